from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="SciPy is not installed.")

import numpy as np
from operating_points import (
    LOWER_BOUND,
    PRECISION,
    at_score,
    bands,
    confidence,
    operating_point,
    platt,
    wilson_lower_bound,
)

CASES = st.lists(
    st.tuples(
        st.integers(-20, 20).map(lambda tenths: tenths / 10),
        st.sampled_from([0, 0.5, 1, 1, 1]),
    ),
    min_size=1,
    max_size=120,
)


class TestWilsonLowerBound:
    @pytest.mark.parametrize(
        ("share", "count", "bound"),
        # The root of (share - bound)² = z² · bound · (1 - bound) / count.
        [(1.0, 10, 0.7871), (0.9, 100, 0.8396), (0.5, 40, 0.3741), (0.0, 5, 0.0)],
    )
    def test_known_values(self, share: float, count: int, bound: float) -> None:
        assert wilson_lower_bound(share, count) == pytest.approx(bound, abs=1e-4)

    def test_without_cases_nothing_is_certain(self) -> None:
        assert wilson_lower_bound(0, 0) == 0

    @given(st.floats(0, 1), st.integers(1, 10**6))
    def test_it_is_below_the_share_and_solves_the_equation(
        self, share: float, count: int
    ) -> None:
        bound = wilson_lower_bound(share, count)
        assert 0 <= bound <= share + 1e-12
        spread = 1.6448536269514722**2 * bound * (1 - bound) / count
        assert (share - bound) ** 2 == pytest.approx(spread, abs=1e-9)


class TestOperatingPoint:
    @given(CASES, st.integers(-20, 20))
    def test_it_is_the_lowest_that_is_precise_enough(
        self, cases: list[tuple[float, float]], tenths: int
    ) -> None:
        scores, targets = (np.array(each, float) for each in zip(*cases, strict=True))
        least = tenths / 10

        def precise(score: float) -> bool:
            given = [target for each, target in cases if each >= score]
            acceptable = sum(target > 0 for target in given) / len(given)
            return (
                sum(given) / len(given) >= PRECISION
                and wilson_lower_bound(acceptable, len(given)) >= LOWER_BOUND
            )

        found = operating_point(scores, targets, least)
        expected = [each for each in scores if each >= least and precise(each)]
        assert (found and found.score) == min(expected, default=None)

    def test_it_measures_the_tags(self) -> None:
        scores = np.array([3, 2, 2, 1, 0], float)
        point = at_score(scores, np.array([1, 1, 0.5, 0, 1]), 1)
        assert (point.given, point.right, point.half) == (4, 0.5, 0.625)
        assert point.acceptable == 0.75
        assert point.lower_bound == wilson_lower_bound(0.75, 4)
        assert point.recall == pytest.approx(2 / 3)

    def test_few_photos_prove_nothing(self) -> None:
        few, enough = (
            operating_point(np.arange(count, dtype=float), np.ones(count))
            for count in (15, 16)
        )
        assert few is None
        assert enough is not None
        assert enough.score == 0


class TestConfidence:
    def test_platt_s_scaling_recovers_probabilities(self) -> None:
        scores = np.random.default_rng(1).normal(0, 3, 20_000)
        probabilities = 1 / (1 + np.exp(-0.7 * (scores - 2)))
        found = platt(scores, probabilities)
        assert found.slope == pytest.approx(0.7, abs=0.01)
        assert found.middle == pytest.approx(2, abs=0.05)

    def test_a_head_that_is_worse_than_none_has_no_operating_point(self) -> None:
        scores = np.arange(100, dtype=float)
        targets = (scores < 50).astype(float)
        assert platt(scores, targets).middle == math.inf
        assert operating_point(scores, targets, math.inf) is None

    @given(CASES, st.floats(0.1, 5))
    def test_it_is_half_at_the_operating_point(
        self, cases: list[tuple[float, float]], slope: float
    ) -> None:
        cases = [*cases, *[(3.0, 1)] * 16]
        scores, targets = (np.array(each, float) for each in zip(*cases, strict=True))
        point = operating_point(scores, targets)
        assert point is not None
        confidences = confidence(scores, slope, point)
        assert ((confidences >= 0.5) == (scores >= point.score)).all()
        assert confidences[scores == point.score] == pytest.approx(0.5)

    def test_it_is_never_above_the_probability(self) -> None:
        random = np.random.default_rng(2)
        scores = random.normal(0, 3, 5000)
        targets = (random.random(5000) < 1 / (1 + np.exp(-scores))).astype(float)
        scaling = platt(scores, targets)
        point = operating_point(scores, targets, scaling.middle)
        assert point is not None
        probabilities = confidence(scores, scaling.slope, at_score(scores, targets, 0))
        assert (confidence(scores, scaling.slope, point) <= probabilities + 0.05).all()
        found = bands(confidence(scores, scaling.slope, point), targets)
        assert all(band.half > band.lowest for band in found)

    def test_bands_contain_their_lower_limit(self) -> None:
        found = bands(
            np.array([0.49, 0.5, 0.59, 0.6, 1.0]), np.array([1, 1, 0.5, 0, 1])
        )
        assert [(band.lowest, band.given) for band in found] == [
            *((0.5, 2), (0.6, 1), (0.7, 0), (0.8, 0), (0.9, 1))
        ]
        assert found[0].half == 0.75
        assert found[0].confidence == pytest.approx(0.545)
        assert math.isnan(found[2].half)
