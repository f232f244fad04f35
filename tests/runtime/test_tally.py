from __future__ import annotations

from flask_autotag.runtime.tally import Tally


def test_kinds_and_reasons_are_counted() -> None:
    tally = Tally()
    tally.add("done", number=3)
    tally.add("failed", "image_missing")
    tally.add("failed", "image_too_large")
    assert tally.counts == {"done": 3, "failed": 2}
    assert tally.reasons["failed", "image_missing"] == 1


def test_the_whole_counts_its_parts() -> None:
    whole = Tally()
    parts = [Tally(whole), Tally(whole)]
    for part in parts:
        part.add("done")
    assert [part.counts for part in parts] == [{"done": 1}] * 2
    assert whole.counts == {"done": 2}
