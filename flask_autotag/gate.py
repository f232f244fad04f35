"""Whether a provider elsewhere may be asked now, on behalf of an instance.

What decides is in the database, for all workers together: a pause after a key was
not accepted, a breaker after failures in a row, and the images of the month.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, func, or_, select, update
from sqlalchemy.orm import Session

from .assets import SYSTEM
from .database import database_now, insert_or_ignore, lock_writers, rows_changed
from .errors import ProviderBusy, ProviderPaused, ProviderRefused, TaggingError
from .models import Models

#: Failures in a row after which a provider is left alone …
FAILURES = 5
#: … for so many seconds, doubled with each further failure up to the longest.
FIRST_REST, LONGEST_REST = 30.0, 3600.0
#: Seconds between two tries whether a provider answers: nobody scans anything so.
BETWEEN_TESTS = 10.0
#: Characters of a sentence that are kept.
_REASON_LENGTH = 500


@dataclass(frozen=True)
class ProviderState:
    """How a provider fares in one instance.

    :param paused: why it is paused; ``None`` if it is not.
    :param paused_at: since when, in UTC.
    :param resting: seconds for which it is still left alone; 0 if it is not.
    :param calls: images that were sent this month.
    """

    paused: str | None
    paused_at: datetime | None
    resting: float
    calls: int

    @property
    def is_closed(self) -> bool:
        """Whether it is not asked now."""
        return self.paused is not None or self.resting > 0


def admit(
    session: Session,
    models: Models,
    instance: str,
    provider: str,
    wanted: int,
    limit: int,
) -> int:
    """Count images that are about to be sent, before they are.

    They count even if the call fails: whether it is charged, nobody knows. Where it
    is certain that nothing was sent, :func:`give_back` takes them back.

    :param wanted: how many there are.
    :param limit: how many may be sent in a month, 0 for any number.
    :return: how many may be sent now.
    :raises ProviderPaused: if the provider is paused.
    :raises ProviderBusy: if it is left alone for a while.
    """
    _raise_if_closed(session, models, instance, provider)
    return count(session, models, instance, provider, wanted, limit)


def count(
    session: Session,
    models: Models,
    instance: str,
    provider: str,
    wanted: int,
    limit: int = 0,
) -> int:
    """Count images, whether or not the provider is to be asked now.

    :return: how many are within the limit; no more are counted.
    """
    table = models.usage.__table__
    key = {"instance": instance, "provider": provider, "month": this_month()}
    _ensure_row(session, table, key, calls=0)
    same = [table.c[name] == value for name, value in key.items()]
    calls = session.execute(
        select(table.c.calls).where(*same).with_for_update()
    ).scalar_one()
    room = left(limit, calls)
    granted = wanted if room is None else min(wanted, room)
    session.execute(update(table).where(*same).values(calls=table.c.calls + granted))
    return granted


def give_back(
    session: Session, models: Models, instance: str, provider: str, number: int
) -> None:
    """Take images back that were counted this month and certainly not sent."""
    table = models.usage.__table__
    session.execute(
        update(table)
        .where(
            *_same(table, instance, provider),
            table.c.month == this_month(),
            # Not those of a month that began meanwhile.
            table.c.calls >= number,
        )
        .values(calls=table.c.calls - number)
    )


def note_success(
    session: Session, models: Models, instance: str, provider: str
) -> None:
    """Forget failures, if there were any."""
    table = models.provider_state.__table__
    session.execute(
        update(table)
        .where(*_same(table, instance, provider), table.c.failures > 0)
        .values(failures=0, open_until=None)
    )


def note_failure(
    session: Session,
    models: Models,
    instance: str,
    provider: str,
    error: TaggingError,
) -> None:
    """Remember a failure: pause the provider, or leave it alone for a while."""
    table = models.provider_state.__table__
    _ensure_row(
        session, table, {"instance": instance, "provider": provider}, failures=0
    )
    same = _same(table, instance, provider)
    now = database_now(session.get_bind().dialect.name)
    values: dict[str, Any]
    if isinstance(error, ProviderRefused):
        values = {
            "paused": str(error)[:_REASON_LENGTH],
            "paused_at": datetime.now(UTC).replace(tzinfo=None),
        }
    elif isinstance(error, ProviderBusy):
        values = {"open_until": now + error.seconds}
    else:
        failures = (
            1
            + session.execute(
                select(table.c.failures).where(*same).with_for_update()
            ).scalar_one()
        )
        values = {"failures": failures}
        if failures >= FAILURES:
            rest = min(LONGEST_REST, FIRST_REST * 2.0 ** (failures - FAILURES))
            values["open_until"] = now + rest
    session.execute(update(table).where(*same).values(**values))


def resume(
    session: Session, models: Models, instance: str, providers: Collection[str]
) -> None:
    """Let providers be asked again: somebody acted.

    :param instance: or :data:`.SYSTEM`, for all instances.
    """
    table = models.provider_state.__table__
    statement = delete(table).where(table.c.provider.in_(providers))
    if instance != SYSTEM:
        statement = statement.where(table.c.instance == instance)
    session.execute(statement)


def may_test(session: Session, models: Models, instance: str, provider: str) -> bool:
    """Whether somebody may try again if a provider answers; if so, it counts."""
    table = models.provider_state.__table__
    _ensure_row(
        session, table, {"instance": instance, "provider": provider}, failures=0
    )
    now = database_now(session.get_bind().dialect.name)
    statement = (
        update(table)
        .where(
            *_same(table, instance, provider),
            or_(table.c.tested_at.is_(None), table.c.tested_at < now - BETWEEN_TESTS),
        )
        .values(tested_at=now)
    )
    return rows_changed(session, statement) == 1


def read_states(
    session: Session, models: Models, instance: str
) -> dict[str, ProviderState]:
    """Read how each provider fares that was asked or failed, by name."""
    usage = models.usage.__table__
    calls = {
        row.provider: row.calls
        for row in session.execute(
            select(usage.c.provider, usage.c.calls).where(
                usage.c.instance == instance, usage.c.month == this_month()
            )
        )
    }
    found = {
        name: ProviderState(None, None, 0.0, number) for name, number in calls.items()
    }
    here = models.provider_state.__table__.c.instance == instance
    for _, provider, state in _read_rows(session, models, here):
        found[provider] = replace(state, calls=calls.get(provider, 0))
    return found


def read_closed(
    session: Session, models: Models
) -> list[tuple[str, str, ProviderState]]:
    """List what is not asked now: instance, provider, and how it fares."""
    table = models.provider_state.__table__
    now = database_now(session.get_bind().dialect.name)
    closed = or_(table.c.paused.is_not(None), table.c.open_until > now)
    return _read_rows(session, models, closed)


def read_paused(session: Session, models: Models) -> list[tuple[str, str, str]]:
    """List what is paused: instance, provider, and why."""
    return [
        (instance, provider, state.paused)
        for instance, provider, state in read_closed(session, models)
        if state.paused is not None
    ]


def read_calls(session: Session, models: Models) -> dict[str, int]:
    """Count the images that each provider was sent this month, by all instances."""
    table = models.usage.__table__
    rows = session.execute(
        select(table.c.provider, func.sum(table.c.calls))
        .where(table.c.month == this_month())
        .group_by(table.c.provider)
    )
    return {provider: int(calls) for provider, calls in rows}


def left(limit: int, calls: int) -> int | None:
    """Say how many images may still be sent this month.

    :param limit: how many may be in a month, 0 for any number.
    :param calls: how many were.
    :return: ``None`` for any number.
    """
    return max(0, limit - calls) if limit else None


def this_month() -> str:
    """Name the month, in UTC: such as 2026-11."""
    return datetime.now(UTC).strftime("%Y-%m")


def _raise_if_closed(
    session: Session, models: Models, instance: str, provider: str
) -> None:
    table = models.provider_state.__table__
    now = database_now(session.get_bind().dialect.name)
    row = session.execute(
        select(table.c.paused, (table.c.open_until - now).label("resting")).where(
            *_same(table, instance, provider)
        )
    ).one_or_none()
    if row is None:
        return
    if row.paused is not None:
        raise ProviderPaused(f"It is paused: {row.paused}")
    if row.resting is not None and row.resting > 0:
        raise ProviderBusy(
            "The provider failed, or asked to wait; it is left alone for a while.",
            float(row.resting),
        )


def _read_rows(
    session: Session, models: Models, where: ColumnElement[bool]
) -> list[tuple[str, str, ProviderState]]:
    """Read how providers fare, without what they were sent."""
    table = models.provider_state.__table__
    now = database_now(session.get_bind().dialect.name)
    rows = session.execute(
        select(table, (table.c.open_until - now).label("resting"))
        .where(where)
        .order_by(table.c.instance, table.c.provider)
    )
    return [
        (
            row.instance,
            row.provider,
            ProviderState(
                row.paused,
                row.paused_at.replace(tzinfo=UTC) if row.paused_at else None,
                max(0.0, float(row.resting or 0)),
                0,
            ),
        )
        for row in rows
    ]


def _same(table: Table, instance: str, provider: str) -> tuple[Any, ...]:
    return (table.c.instance == instance, table.c.provider == provider)


def _ensure_row(
    session: Session, table: Table, key: dict[str, str], **first: int
) -> None:
    """Make a row unless it is there, on SQLite after other writers."""
    lock_writers(session, table)
    dialect = session.get_bind().dialect.name
    session.execute(insert_or_ignore(table, dialect, list(key)), {**key, **first})
