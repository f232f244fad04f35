"""The check of the stored number of images of each tag, and its repair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...runtime.state import State
from ...tags import counters
from .finding import ERROR, OK, Finding

if TYPE_CHECKING:
    from flask import Flask


def check_counters(_app: Flask, state: State) -> Iterator[Finding]:
    """Compare the counters of some tags with the number of their images."""
    with state.database.begin() as session:
        drift = counters.check_some(session, state.database.models)
    if drift.wrong:
        yield Finding(
            ERROR,
            "counters",
            f"{len(drift.wrong):,} of {drift.looked_at:,} checked tags have a wrong"
            " number of images.",
            "Run 'flask autotag doctor --repair', which checks all tags.",
        )
    else:
        yield Finding(OK, "counters", f"Correct for {drift.looked_at:,} checked tags.")


def repair_counters(state: State) -> Finding:
    """Recount the images of all tags and correct wrong counters."""
    drift = counters.check_all(state.database)
    counters.repair(state.database, drift.wrong)
    return Finding(
        OK,
        "counters",
        f"{drift.looked_at:,} tags recounted, {len(drift.wrong):,} corrected.",
    )
