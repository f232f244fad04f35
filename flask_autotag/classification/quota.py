"""The monthly quota: images sent to each provider, and images still allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, select, update
from sqlalchemy.orm import Session

from ..db.models import Models
from ..db.sql import rows_changed
from ..host.assets import SYSTEM
from .provider_rows import ensure_rows, is_row_of


@dataclass(frozen=True)
class Calls:
    """Images sent to a provider this month.

    :param own: by one instance.
    :param total: by all instances together.
    """

    own: int = 0
    total: int = 0


@dataclass(frozen=True)
class Limits:
    """Images that may be sent to a provider in a month; 0 for no limit.

    :param own: by one instance.
    :param total: by all instances together.
    """

    own: int = 0
    total: int = 0

    @classmethod
    def of(cls, instance: str, values: Mapping[str, Any]) -> Limits:
        """Read the limits from a provider's settings, which may have none.

        :param instance: an instance, or :data:`.SYSTEM`, for which only the limit of
            all instances together applies.
        :param values: the provider's settings, by field.
        """
        own = 0 if instance == SYSTEM else values.get("monthly_limit", 0)
        return cls(own, values.get("total_limit", 0))

    def left(self, calls: Calls) -> int | None:
        """Return how many images may still be sent; ``None`` for no limit."""
        rest = (_left(self.own, calls.own), _left(self.total, calls.total))
        return min((each for each in rest if each is not None), default=None)

    def is_total_used(self, calls: Calls) -> bool:
        """Return whether all instances together have used up their limit."""
        return _left(self.total, calls.total) == 0


#: The limits of a provider that charges nothing.
NO_LIMITS = Limits()


def count(
    session: Session,
    models: Models,
    instance: str,
    provider: str,
    wanted: int,
    limits: Limits = NO_LIMITS,
) -> int:
    """Count images up to the limits, before they are sent.

    The circuit breaker is not consulted; see :func:`.reserve_calls`. Images count for
    the instance and for :data:`.SYSTEM`, which holds the total.

    :param wanted: the number of images to send.
    :param limits: no limits by default.
    :return: the number of images within the limits, which is the number counted.
    """
    table, month = models.usage.__table__, this_month()
    own = _lock_calls(session, table, instance, provider, month)
    # Lock the shared total last: a fixed order cannot deadlock.
    total = _lock_calls(session, table, SYSTEM, provider, month)
    left = limits.left(Calls(own, total))
    granted = wanted if left is None else min(wanted, left)
    for owner in dict.fromkeys((instance, SYSTEM)):
        _add_calls(session, table, owner, provider, month, granted)
    return granted


def refund(
    session: Session, models: Models, instance: str, provider: str, number: int
) -> None:
    """Subtract images that were counted this month and certainly not sent."""
    table, month = models.usage.__table__, this_month()
    # The same order of locks as in count(). If a new month has begun, neither row holds
    # the images, and neither changes.
    for owner in dict.fromkeys((instance, SYSTEM)):
        if not _add_calls(session, table, owner, provider, month, -number):
            break


def read_calls(session: Session, models: Models, instance: str) -> dict[str, Calls]:
    """Read the images sent to each provider this month, by the provider's name.

    :param instance: an instance, or :data:`.SYSTEM`, whose own calls are the total.
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
    """Return the month in UTC, such as ``2026-11``."""
    return datetime.now(UTC).strftime("%Y-%m")


def _left(limit: int, calls: int) -> int | None:
    return max(0, limit - calls) if limit else None


def _lock_calls(
    session: Session, table: Table, instance: str, provider: str, month: str
) -> int:
    """Read the number of images sent, and lock the row until the transaction ends."""
    key = {"instance": instance, "provider": provider, "month": month}
    ensure_rows(session, table, [key], calls=0)
    statement = select(table.c.calls).where(
        *is_row_of(table, instance, provider), table.c.month == month
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
    """Add to the images sent. Subtract only if so many were counted.

    :return: whether the row changed.
    """
    return bool(
        rows_changed(
            session,
            update(table)
            .where(
                *is_row_of(table, instance, provider),
                table.c.month == month,
                table.c.calls >= -number,
            )
            .values(calls=table.c.calls + number),
        )
    )
