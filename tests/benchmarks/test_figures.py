from __future__ import annotations

import pytest
from figures import Share, count
from judges import Judgement

RIGHT, ACCEPTABLE, WRONG, LAUGHABLE, UNJUDGED, UNDECIDED = Judgement


class TestShares:
    # From table I of R. G. Newcombe, "Two-sided confidence intervals for the single
    # proportion", Statistics in Medicine 17 (1998).
    @pytest.mark.parametrize(
        ("part", "whole", "low", "high"),
        [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
            (20, 20, 1 - 0.1611, 1.0),
        ],
    )
    def test_the_interval_is_wilson_s(
        self, part: int, whole: int, low: float, high: float
    ) -> None:
        assert Share(part, whole).interval() == pytest.approx((low, high), abs=5e-5)

    def test_an_empty_whole_has_no_share_and_says_nothing(self) -> None:
        assert str(Share(0, 0)) == "-"
        assert Share(0, 0).interval() == (0.0, 1.0)

    def test_it_is_printed_as_a_fraction(self) -> None:
        assert str(Share(1, 3)) == "0.333"


class TestCounts:
    def test_photos_are_counted_by_their_tags(self) -> None:
        figures = count([[], [RIGHT, WRONG], [RIGHT, RIGHT], [ACCEPTABLE]])
        assert figures.photos == 4
        assert figures.tags == 5 / 4
        assert figures.untagged == Share(1, 4)
        assert figures.found == Share(2, 4)
        assert figures.mistagged == Share(1, 4)

    @pytest.mark.parametrize("wrong", [WRONG, LAUGHABLE, UNJUDGED])
    def test_laughable_and_unjudged_tags_are_wrong(self, wrong: Judgement) -> None:
        figures = count([[wrong, RIGHT, ACCEPTABLE]])
        assert figures.mistagged == Share(1, 1)
        assert figures.strict == Share(1, 3)
        assert figures.accepted == Share(2, 3)

    def test_undecided_tags_are_neither_right_nor_wrong(self) -> None:
        figures = count([[UNDECIDED, RIGHT], [UNDECIDED]])
        assert figures.strict == figures.accepted == Share(1, 1)
        assert figures.found == Share(1, 2)
        assert figures.mistagged == Share(0, 2)
        assert figures.untagged == Share(0, 2)
        assert figures.tags == 3 / 2

    def test_no_photos(self) -> None:
        figures = count([])
        assert (figures.photos, figures.tags) == (0, 0)
        assert str(figures.strict) == "-"
