"""Whether a provider elsewhere may be asked now, on behalf of an instance.

What decides is in the database, for all workers together: a pause after a key was
not accepted, a breaker after failures in a row, and the images of the month.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, or_, select, update
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
class Calls:
    """Images that a provider was sent this month.

    :param own: by one instance.
    :param total: by all instances together.
    """

    own: int = 0
    total: int = 0


@dataclass(frozen=True)
class Limits:
    """How many images a provider may be sent in a month, 0 for any number.

    :param own: by one instance.
    :param total: by all instances together.
    """

    own: int = 0
    total: int = 0

    @classmethod
    def of(cls, instance: str, values: Mapping[str, Any]) -> Limits:
        """Take them from the settings of a provider, which may have none.

        :param instance: or :data:`.SYSTEM`, which has only that of all together.
        """
        own = 0 if instance == SYSTEM else values.get("monthly_limit", 0)
        return cls(own, values.get("total_limit", 0))

    def left(self, calls: Calls) -> int | None:
        """Say how many images may still be sent; ``None`` for any number."""
        rooms = (_room(self.own, calls.own), _room(self.total, calls.total))
        return min((room for room in rooms if room is not None), default=None)

    def is_total_used(self, calls: Calls) -> bool:
        """Whether all instances together have used up theirs."""
        return _room(self.total, calls.total) == 0


#: Of what charges nothing.
NO_LIMITS = Limits()


@dataclass(frozen=True)
class ProviderState:
    """How a provider fares in one instance.

    :param paused: why it is paused; ``None`` if it is not.
    :param paused_at: since when, in UTC.
    :param resting: seconds for which it is still left alone; 0 if it is not.
    :param calls: what it was sent.
    """

    paused: str | None
    paused_at: datetime | None
    resting: float
    calls: Calls

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
    limits: Limits,
) -> int:
    """Count images that are about to be sent, before they are.

    They count even if the call fails: whether it is charged, nobody knows. Where it
    is certain that nothing was sent, :func:`give_back` takes them back.

    :param wanted: how many there are.
    :return: how many may be sent now.
    :raises ProviderPaused: if the provider is paused.
    :raises ProviderBusy: if it is left alone for a while.
    """
    _raise_if_closed(session, models, instance, provider)
    return count(session, models, instance, provider, wanted, limits)


def count(
    session: Session,
    models: Models,
    instance: str,
    provider: str,
    wanted: int,
    limits: Limits = NO_LIMITS,
) -> int:
    """Count images, whether or not the provider is to be asked now.

    They count for the instance, and for :data:`.SYSTEM`, which has the sum.

    :return: how many are within the limits; no more are counted.
    """
    table, month = models.usage.__table__, this_month()
    own = _lock_calls(session, table, instance, provider, month)
    # Last, and of all the same: nobody waits for who waits for him.
    total = _lock_calls(session, table, SYSTEM, provider, month)
    room = limits.left(Calls(own, total))
    granted = wanted if room is None else min(wanted, room)
    for one in dict.fromkeys((instance, SYSTEM)):
        _add_calls(session, table, one, provider, month, granted)
    return granted


def give_back(
    session: Session, models: Models, instance: str, provider: str, number: int
) -> None:
    """Take images back that were counted this month and certainly not sent."""
    table, month = models.usage.__table__, this_month()
    # In the order in which they are locked to be counted; both, or in a month that
    # began meanwhile neither.
    for one in dict.fromkeys((instance, SYSTEM)):
        if not _add_calls(session, table, one, provider, month, -number):
            break


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
    calls = read_calls(session, models, instance)
    found = {
        name: ProviderState(None, None, 0.0, number) for name, number in calls.items()
    }
    here = models.provider_state.__table__.c.instance == instance
    for _, provider, state in _read_rows(session, models, here):
        found[provider] = replace(state, calls=calls.get(provider, Calls()))
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


def read_calls(session: Session, models: Models, instance: str) -> dict[str, Calls]:
    """Read what each provider was sent this month, by name.

    :param instance: or :data:`.SYSTEM`, whose own calls are those of all.
    """
    table = models.usage.__table__
    rows = session.execute(
        select(table.c.instance, table.c.provider, table.c.calls).where(
            table.c.instance.in_({instance, SYSTEM}), table.c.month == this_month()
        )
    ).all()
    own = {row.provider: row.calls for row in rows if row.instance == instance}
    total = {row.provider: row.calls for row in rows if row.instance == SYSTEM}
    return {name: Calls(own.get(name, 0), total.get(name, 0)) for name in own | total}


def this_month() -> str:
    """Name the month, in UTC: such as 2026-11."""
    return datetime.now(UTC).strftime("%Y-%m")


def _room(limit: int, calls: int) -> int | None:
    return max(0, limit - calls) if limit else None


def _lock_calls(
    session: Session, table: Table, instance: str, provider: str, month: str
) -> int:
    """Read how many images were sent, and let nobody else count until the end."""
    key = {"instance": instance, "provider": provider, "month": month}
    _ensure_row(session, table, key, calls=0)
    statement = select(table.c.calls).where(
        *_same(table, instance, provider), table.c.month == month
    )
    return int(session.execute(statement.with_for_update()).scalar_one())


def _add_calls(
    session: Session,
    table: Table,
    instance: str,
    provider: str,
    month: str,
    number: int,
) -> bool:
    """Add to what was sent; or take away, if so many were."""
    return bool(
        rows_changed(
            session,
            update(table)
            .where(
                *_same(table, instance, provider),
                table.c.month == month,
                table.c.calls >= -number,
            )
            .values(calls=table.c.calls + number),
        )
    )


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
                Calls(),
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
