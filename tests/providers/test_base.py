from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flask_autotag.providers.base import (
    LEAST_CONFIDENCE,
    MOST_LABELS,
    Label,
    surest,
)

LABELS = st.builds(Label, st.text(), st.text(), st.floats(0, 1))


@given(st.lists(LABELS, max_size=3 * MOST_LABELS))
def test_the_surest_labels_are_kept_and_sorted(labels: list[Label]) -> None:
    kept = surest(labels)
    likely = [label for label in labels if label.confidence >= LEAST_CONFIDENCE]
    assert len(kept) == min(MOST_LABELS, len(likely))
    ranks = [(-label.confidence, label.name) for label in kept]
    assert ranks == sorted(ranks)
    if kept:
        better = [each for each in likely if each.confidence > kept[-1].confidence]
        assert all(label in kept for label in better)


def test_what_is_less_likely_than_one_in_a_hundred_is_dropped() -> None:
    labels = [Label("1", "cat", 0.0099), Label("2", "dog", 0.01)]
    assert surest(labels) == [Label("2", "dog", 0.01)]
