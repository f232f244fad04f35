"""Finished and failed jobs of the last 24 hours, by hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ..db.job_states import DONE
from ..db.models import Models
from .queue_report import HOUR, TROUBLE, Jobs

#: Number of hours, including the current one.
HOURS = 24
#: Up to this number of jobs, their times are read; beyond it each hour is counted.
_FEW = 200


@dataclass(frozen=True)
class Hour:
    """The jobs that ended in one hour.

    :param start: start of the hour in UTC, in seconds since 1970.
    :param done: number of jobs that were done.
    :param failed: number of jobs that failed or went into quarantine, without those
        that were retried or deleted since.
    """

    start: int
    done: int = 0
    failed: int = 0


def last_day(
    session: Session, models: Models, instance: str | None = None
) -> Sequence[Hour]:
    """Count the jobs that ended in each of the last 24 hours, the current hour last.

    :param instance: the instance of the jobs; ``None`` for all.
    """
    jobs = Jobs(session, models, instance)
    current = int(jobs.now // HOUR)
    hours = range(current - HOURS + 1, current + 1)
    done = _by_hour(jobs, DONE, hours)
    failed: Counter[int] = sum(
        (_by_hour(jobs, state, hours) for state in TROUBLE), Counter()
    )
    return [Hour(int(hour * HOUR), done[hour], failed[hour]) for hour in hours]


def _by_hour(jobs: Jobs, state: str, hours: range) -> Counter[int]:
    """Count the jobs that ended in a state, by hour since 1970."""
    within = jobs.within(state, since=hours.start * HOUR)
    moments = jobs.moments(within, _FEW + 1)
    if len(moments) <= _FEW:
        # Clocks of servers differ: a time in the future counts as the current hour.
        return Counter(min(int(each // HOUR), hours[-1]) for each in moments)
    counts = jobs.count(
        *(
            jobs.within(
                state,
                since=hour * HOUR,
                before=None if hour == hours[-1] else (hour + 1) * HOUR,
            )
            for hour in hours
        )
    )
    return Counter(dict(zip(hours, counts, strict=True)))
