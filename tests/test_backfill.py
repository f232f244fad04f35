"""Portions of what a host lists, for transactions that are neither long nor large."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flask_autotag.backfill import _portions


@given(
    weights=st.lists(st.integers(0, 20)),
    size=st.integers(1, 5),
    most=st.integers(0, 30),
)
def test_portions_lose_nothing_and_stay_small(
    weights: list[int], size: int, most: int
) -> None:
    portions = list(_portions(weights, size, weigh=lambda weight: weight, most=most))
    assert [weight for portion in portions for weight in portion] == weights
    for portion in portions:
        assert 0 < len(portion) <= size
        assert sum(portion[:-1]) <= most
    for portion in portions[:-1]:
        # None is smaller than it needs to be.
        assert len(portion) == size or sum(portion) > most
