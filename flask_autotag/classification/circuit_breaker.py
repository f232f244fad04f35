"""Decides whether a remote provider may be called now for an instance.

The state is in the database and shared by all workers: a pause after a rejected key, a
circuit breaker after consecutive failures, and the monthly quota.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from ..db.models import Models
from ..db.sql import database_now, rows_changed, utc_now
from ..errors import ProviderBusy, ProviderPaused, ProviderRefused, TaggingError
from ..host.assets import SYSTEM
from ..providers.http import TOTAL
from .provider_rows import ensure_rows, is_row_of
from .quota import Calls, Limits, count, read_calls

#: Consecutive failures after which the circuit breaker opens.
FAILURES = 5
#: Seconds for which it stays open at first, and at most. Each failure doubles the time.
FIRST_REST, MAX_REST = 30.0, 3600.0
#: Seconds for which the half-open breaker lets one request through: twice the longest
#: request. If its worker dies, another worker tries after that time.
PROBE = 2 * TOTAL
#: Doublings after which the first rest exceeds the longest.
_DOUBLINGS = math.ceil(math.log2(MAX_REST / FIRST_REST))
#: Seconds between two connection tests, too few for a scan of addresses.
TEST_INTERVAL = 10.0
#: Characters of the reason of a pause, as wide as the column.
_REASON_LENGTH = 500


@dataclass(frozen=True)
class ProviderState:
    """The state of a provider in one instance.

    :param paused: the reason of the pause; ``None`` if the provider is not paused.
    :param paused_at: the start of the pause, in UTC.
    :param resting: seconds for which the breaker stays open; 0 if it is closed.
    :param calls: the images sent this month.
    """

    paused: str | None
    paused_at: datetime | None
    resting: float
    calls: Calls

    @property
    def is_closed(self) -> bool:
        """Whether the provider is not called now."""
        return self.paused is not None or self.resting > 0


def reserve_calls(
    session: Session,
    models: Models,
    instance: str,
    provider: str,
    wanted: int,
    limits: Limits,
) -> int:
    """Count images against the quota before they are sent.

    Images count even if the call fails, because the vendor may charge for them. If
    nothing was sent, subtract them again with :func:`.refund`.

    After a rest the breaker is half-open: one caller is let through, and the others
    have to wait until the provider has answered it.

    :param wanted: the number of images to send.
    :return: the number of images that may be sent now.
    :raises ProviderPaused: if the provider is paused.
    :raises ProviderBusy: if the breaker is open. The caller has to roll back.
    """
    rested = _raise_if_closed(session, models, instance, provider)
    granted = count(session, models, instance, provider, wanted, limits)
    while rested and granted and not _is_first(session, models, instance, provider):
        rested = _raise_if_closed(session, models, instance, provider)
    return granted


def record_success(
    session: Session, models: Models, instance: str, provider: str
) -> None:
    """Reset the failures, and close the breaker."""
    table = models.provider_state.__table__
    session.execute(
        update(table)
        .where(
            *is_row_of(table, instance, provider),
            or_(table.c.failures > 0, table.c.open_until.is_not(None)),
        )
        .values(failures=0, open_until=None)
    )


def record_failure(
    session: Session,
    models: Models,
    instance: str,
    provider: str,
    error: TaggingError,
) -> None:
    """Record a failure: pause the provider, or open the breaker if need be.

    :param error: :class:`.ProviderRefused` pauses; :class:`.ProviderBusy` opens the
        breaker for its seconds; any other error counts as one failure.
    """
    table = models.provider_state.__table__
    key = {"instance": instance, "provider": provider}
    ensure_rows(session, table, [key], failures=0)
    same_row = is_row_of(table, instance, provider)
    now = database_now(session)
    values: dict[str, Any]
    if isinstance(error, ProviderRefused):
        values = {
            "paused": str(error)[:_REASON_LENGTH],
            "paused_at": utc_now(),
        }
    elif isinstance(error, ProviderBusy):
        values = {"open_until": now + error.seconds}
    else:
        earlier = select(table.c.failures).where(*same_row).with_for_update()
        failures = session.execute(earlier).scalar_one() + 1
        values = {"failures": failures}
        if failures >= FAILURES:
            values["open_until"] = now + rest_after(failures)
    session.execute(update(table).where(*same_row).values(**values))


def rest_after(failures: int) -> float:
    """Return the seconds for which the breaker opens.

    :param failures: consecutive failures, at least :data:`FAILURES`.
    """
    # Cap the exponent: a float overflows at 2 to the power of 1,024.
    doublings = min(failures - FAILURES, _DOUBLINGS)
    return min(MAX_REST, FIRST_REST * 2.0**doublings)


def resume(
    session: Session, models: Models, instance: str, providers: Collection[str]
) -> None:
    """End pauses and rests of providers, because their settings changed.

    :param instance: an instance, or :data:`.SYSTEM` for all instances.
    :param providers: the names of the providers.
    """
    table = models.provider_state.__table__
    statement = delete(table).where(table.c.provider.in_(providers))
    if instance != SYSTEM:
        statement = statement.where(table.c.instance == instance)
    session.execute(statement)


def reserve_test(
    session: Session, models: Models, instance: str, provider: str
) -> bool:
    """Return whether a connection test is allowed now; if so, record it."""
    table = models.provider_state.__table__
    key = {"instance": instance, "provider": provider}
    ensure_rows(session, table, [key], failures=0)
    now = database_now(session)
    statement = (
        update(table)
        .where(
            *is_row_of(table, instance, provider),
            or_(table.c.tested_at.is_(None), table.c.tested_at < now - TEST_INTERVAL),
        )
        .values(tested_at=now)
    )
    return rows_changed(session, statement) == 1


def read_states(
    session: Session, models: Models, instance: str
) -> dict[str, ProviderState]:
    """Read the state of each provider that was called or failed, by name."""
    calls = read_calls(session, models, instance)
    states = {
        name: ProviderState(None, None, 0.0, number) for name, number in calls.items()
    }
    same_instance = models.provider_state.__table__.c.instance == instance
    for _, provider, state in _read_rows(session, models, same_instance):
        states[provider] = replace(state, calls=calls.get(provider, Calls()))
    return states


def read_closed(
    session: Session, models: Models
) -> list[tuple[str, str, ProviderState]]:
    """Return instance, provider and state of each provider that is not called now."""
    table = models.provider_state.__table__
    now = database_now(session)
    closed = or_(table.c.paused.is_not(None), table.c.open_until > now)
    return _read_rows(session, models, closed)


def read_paused(session: Session, models: Models) -> list[tuple[str, str, str]]:
    """Return instance, provider and reason of each pause."""
    return [
        (instance, provider, state.paused)
        for instance, provider, state in read_closed(session, models)
        if state.paused is not None
    ]


def _raise_if_closed(
    session: Session, models: Models, instance: str, provider: str
) -> bool:
    """Raise if the provider is paused or the breaker is open.

    :return: whether the breaker is half-open.
    """
    table = models.provider_state.__table__
    now = database_now(session)
    row = session.execute(
        select(table.c.paused, (table.c.open_until - now).label("resting")).where(
            *is_row_of(table, instance, provider)
        )
    ).one_or_none()
    if row is None:
        return False
    if row.paused is not None:
        raise ProviderPaused(f"It is paused: {row.paused}")
    if row.resting is None:
        return False
    if row.resting > 0:
        raise ProviderBusy(
            "The provider failed or asked to wait; it is not called for a while.",
            float(row.resting),
        )
    return True


def _is_first(session: Session, models: Models, instance: str, provider: str) -> bool:
    """Return whether this caller is the one that the half-open breaker lets through.

    The breaker opens again for the others until the provider has answered.
    """
    table = models.provider_state.__table__
    now = database_now(session)
    over = update(table).where(
        *is_row_of(table, instance, provider), table.c.open_until <= now
    )
    return rows_changed(session, over.values(open_until=now + PROBE)) == 1


def _read_rows(
    session: Session, models: Models, where: ColumnElement[bool]
) -> list[tuple[str, str, ProviderState]]:
    """Read the states of providers, without the images sent."""
    table = models.provider_state.__table__
    now = database_now(session)
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
