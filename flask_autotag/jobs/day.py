"""What became of jobs in the last 24 hours, hour by hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ..models import Models
from .queue import DONE
from .report import HOUR, TROUBLE, Jobs

#: Hours that are looked at; the last one is not over.
HOURS = 24
#: Jobs of a day that are read one by one; of more, each hour is counted.
_FEW = 200


@dataclass(frozen=True)
class Hour:
    """What became of jobs in one hour.

    :param start: when it begins, in seconds since 1970: a full hour in UTC.
    :param done: jobs that were done in it.
    :param failed: jobs that failed in it, or went to quarantine, and were neither
        tried again nor dismissed since.
    """

    start: int
    done: int = 0
    failed: int = 0


def last_day(
    session: Session, models: Models, instance: str | None = None
) -> Sequence[Hour]:
    """Count what ended in each of the last 24 hours, the present one last.

    :param instance: the jobs of one tenant; ``None`` for all.
    """
    jobs = Jobs(session, models, instance)
    present = int(jobs.now // HOUR)
    hours = range(present - HOURS + 1, present + 1)
    done = _by_hour(jobs, DONE, hours)
    failed: Counter[int] = sum(
        (_by_hour(jobs, state, hours) for state in TROUBLE), Counter()
    )
    return [Hour(int(hour * HOUR), done[hour], failed[hour]) for hour in hours]


def _by_hour(jobs: Jobs, state: str, hours: range) -> Counter[int]:
    """Count the jobs that ended in a state, by the number of the hour since 1970."""
    within = jobs.within(state, since=hours.start * HOUR)
    moments = jobs.moments(within, _FEW + 1)
    if len(moments) <= _FEW:
        # Clocks of servers differ: what ended after now has ended in this hour.
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
