"""The queue in a sentence or two, problems first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ....db.job_states import FAILED, QUARANTINED, QUEUED, RUNNING
from ....monitoring.queue_report import Report
from ...translation import gettext
from ..filters import count, duration

#: Nothing to do, jobs in progress, and problems that need an administrator.
CALM, BUSY, TROUBLED = "calm", "busy", "troubled"


@dataclass(frozen=True)
class Headline:
    """The state of the queue in short.

    :param mood: ``"calm"``, ``"busy"`` or ``"troubled"``.
    :param sentences: problems first.
    :param mark: changes whenever users of screen readers should hear the sentences.
    """

    mood: str
    sentences: Sequence[str]
    mark: str


def headline(report: Report, paused: int = 0) -> Headline:
    """Return a report as a headline.

    :param paused: the number of paused providers.
    """
    troubles = list(_troubles(report, paused))
    work = list(_work(report))
    mood = TROUBLED if troubles else BUSY if work else CALM
    if mood == CALM:
        work = [gettext("No jobs are waiting, and none have failed.")]
    failed = [str(report.states.get(state, 0)) for state in (FAILED, QUARANTINED)]
    mark = ":".join((mood, *failed, str(report.is_stuck), str(paused)))
    return Headline(mood, [*troubles, *work], mark)


def _troubles(report: Report, paused: int) -> Iterator[str]:
    if report.is_stuck:
        yield gettext(
            "Images have been waiting for %(time)s, and no worker is processing them:"
            " run 'flask autotag doctor'.",
            time=duration(report.oldest or 0),
        )
    for state, sentence in (
        (FAILED, gettext("Failed: %(number)s.")),
        (QUARANTINED, gettext("In quarantine: %(number)s.")),
    ):
        if report.states.get(state):
            yield sentence % {"number": count(report.states[state])}
    if paused:
        yield gettext("Paused providers: %(number)s.", number=paused)


def _work(report: Report) -> Iterator[str]:
    waiting, running = (report.states.get(state, 0) for state in (QUEUED, RUNNING))
    if not waiting and not running:
        return
    yield gettext(
        "Waiting: %(waiting)s; in progress: %(running)s.",
        waiting=count(waiting),
        running=count(running),
    )
    if report.seconds_left is not None:
        yield gettext("About %(time)s left.", time=duration(report.seconds_left))
