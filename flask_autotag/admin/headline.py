"""What goes on, in a sentence or two: what needs somebody comes first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..activity import COUNTED
from ..jobs.queue import FAILED, QUARANTINED, QUEUED, RUNNING
from ..jobs.report import Report
from .duration import counted, duration
from .text import gettext

#: Nothing to do; something is done; somebody should look.
CALM, BUSY, TROUBLED = "calm", "busy", "troubled"


@dataclass(frozen=True)
class Headline:
    """What goes on, in short.

    :param mood: ``"calm"``, ``"busy"`` or ``"troubled"``.
    :param sentences: what needs somebody first.
    :param mark: changes when somebody who cannot see the page should be told.
    """

    mood: str
    sentences: Sequence[str]
    mark: str


def headline(report: Report, paused: int = 0) -> Headline:
    """Put a report in words.

    :param paused: how many providers are paused.
    """
    troubles = list(_troubles(report, paused))
    work = list(_work(report))
    mood = TROUBLED if troubles else BUSY if work else CALM
    if mood == CALM:
        work = [gettext("Nothing waits, and nothing has failed.")]
    failed = [str(report.states.get(state, 0)) for state in (FAILED, QUARANTINED)]
    mark = ":".join((mood, *failed, str(report.is_stuck), str(paused)))
    return Headline(mood, [*troubles, *work], mark)


def _troubles(report: Report, paused: int) -> Iterator[str]:
    if report.is_stuck:
        yield gettext(
            "Images have been waiting for %(time)s, and nobody works on any: see"
            " 'flask autotag doctor'.",
            time=duration(report.oldest or 0),
        )
    for state, sentence in (
        (FAILED, gettext("Failed: %(number)s.")),
        (QUARANTINED, gettext("In quarantine: %(number)s.")),
    ):
        if report.states.get(state):
            yield sentence % {"number": counted(report.states[state], COUNTED)}
    if paused:
        yield gettext("Paused providers: %(number)s.", number=paused)


def _work(report: Report) -> Iterator[str]:
    waiting, running = (report.states.get(state, 0) for state in (QUEUED, RUNNING))
    if not waiting and not running:
        return
    yield gettext(
        "Waiting: %(waiting)s; at work: %(running)s.",
        waiting=counted(waiting, COUNTED),
        running=counted(running, COUNTED),
    )
    if report.seconds_left is not None:
        yield gettext("About %(time)s left.", time=duration(report.seconds_left))
