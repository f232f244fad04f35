"""Examines the numbers that are kept of each tag's assets, and corrects them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import counters
from .findings import ERROR, OK, Finding
from .state import State

if TYPE_CHECKING:
    from flask import Flask


def check_counters(_app: Flask, state: State) -> Iterator[Finding]:
    """Count the images of some tags."""
    with state.database.begin() as session:
        drift = counters.check_some(session, state.database.models)
    if drift.wrong:
        yield Finding(
            ERROR,
            "counters",
            f"Of {drift.looked_at:,} tags that were looked at, {len(drift.wrong):,}"
            " have a wrong number of images.",
            "Run 'flask autotag doctor --repair', which looks at all.",
        )
    else:
        yield Finding(OK, "counters", f"Right for {drift.looked_at:,} tags.")


def repair_counters(state: State) -> Finding:
    """Count the images of all tags, and correct the counters that are wrong."""
    drift = counters.check_all(state.database)
    counters.repair(state.database, drift.wrong)
    return Finding(
        OK,
        "counters",
        f"Counted for {drift.looked_at:,} tags, and {len(drift.wrong):,} corrected.",
    )
