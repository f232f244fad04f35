"""What the queue looks like: counts for the command and the console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Table, func, select
from sqlalchemy.orm import Session

from ..database import Database, database_now
from .queue import BULK, DONE, FAILED, FRESH, QUARANTINED, QUEUED, RUNNING

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True)
class Reason:
    """Why jobs failed.

    :param code: see :exc:`~flask_autotag.TaggingError`.
    :param count: how many ended with it.
    :param example: the sentence of one of them.
    """

    code: str
    count: int
    example: str


@dataclass(frozen=True)
class Report:
    """The queue at one moment, by the clock of the database.

    :param states: how many jobs are in each state.
    :param bulk: how many of those that wait are bulk work.
    :param oldest: seconds for which the oldest due job waits; ``None`` without one.
    :param workers: who works on jobs now.
    :param reasons: of the failed and quarantined jobs, the most frequent first.
    :param last_minute: jobs that were done in it.
    :param last_hour: jobs that were done in it.
    """

    states: Mapping[str, int]
    bulk: int
    oldest: float | None
    workers: tuple[str, ...]
    reasons: tuple[Reason, ...]
    last_minute: int
    last_hour: int


def report(database: Database) -> Report:
    """Count what is in the queue."""
    table = database.models.job.__table__
    with database.begin() as session:
        counts = _counts(session, table)
        return Report(
            states=_by_state(counts),
            bulk=counts.get((QUEUED, BULK), 0),
            oldest=_oldest(session, table),
            workers=_workers(session, table),
            reasons=_reasons(session, table),
            last_minute=_done_within(session, table, MINUTE),
            last_hour=_done_within(session, table, HOUR),
        )


def _counts(session: Session, table: Table) -> dict[tuple[str, int], int]:
    """Count by state and priority, from the index alone."""
    grouped = (table.c.state, table.c.priority)
    rows = session.execute(select(*grouped, func.count()).group_by(*grouped))
    return {(state, priority): number for state, priority, number in rows}


def _by_state(counts: Mapping[tuple[str, int], int]) -> dict[str, int]:
    states: dict[str, int] = {}
    for (state, _), number in counts.items():
        states[state] = states.get(state, 0) + number
    return states


def _oldest(session: Session, table: Table) -> float | None:
    now = database_now(session.get_bind().dialect.name)
    ages = [
        session.execute(_first_due(table, priority, now)).scalar()
        for priority in (FRESH, BULK)
    ]
    return max((float(age) for age in ages if age is not None), default=None)


def _first_due(table: Table, priority: int, now: Any) -> Select[Any]:
    return (
        select(now - table.c.run_at)
        .where(
            table.c.state == QUEUED,
            table.c.priority == priority,
            table.c.run_at <= now,
        )
        .order_by(table.c.run_at)
        .limit(1)
    )


def _workers(session: Session, table: Table) -> tuple[str, ...]:
    owners = select(table.c.lease_owner).where(table.c.state == RUNNING).distinct()
    return tuple(sorted(owner for owner in session.scalars(owners) if owner))


def _reasons(session: Session, table: Table) -> tuple[Reason, ...]:
    number = func.count()
    rows = session.execute(
        select(table.c.error_code, number, func.max(table.c.error_text))
        .where(table.c.state.in_((FAILED, QUARANTINED)))
        .group_by(table.c.error_code)
        .order_by(number.desc(), table.c.error_code)
    )
    return tuple(Reason(code or "", count, text or "") for code, count, text in rows)


def _done_within(session: Session, table: Table, seconds: float) -> int:
    now = database_now(session.get_bind().dialect.name)
    done = select(func.count()).where(
        table.c.finished_at > now - seconds, table.c.state == DONE
    )
    return session.execute(done).scalar_one()
