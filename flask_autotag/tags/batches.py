"""Known assets, a batch at a time, so that transactions and statements stay short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.orm import Session

from ..db.models import Models
from ..db.sql import lock_writers
from ..host.assets import AssetRef

#: Assets that one transaction reads or changes, so that others do not wait long.
BATCH_SIZE = 500

#: Called with the number of assets that were processed since the last call.
Advance = Callable[[int], None]


@dataclass(frozen=True)
class AssetFilter:
    """Which assets to process.

    :param instance: only one tenant's; ``None`` for all.
    :param asset_type: only one type; ``None`` for all.
    """

    instance: str | None = None
    asset_type: str | None = None

    def includes(self, asset: AssetRef, instance: str) -> bool:
        """Whether an asset passes the filter."""
        return self.instance in (None, instance) and self.asset_type in (
            None,
            asset.type,
        )

    def where(self, models: Models) -> list[ColumnElement[bool]]:
        """Return the filter as conditions on the table of assets."""
        table = models.asset.__table__
        wanted = (
            (table.c.instance, self.instance),
            (table.c.asset_type, self.asset_type),
        )
        return [column == value for column, value in wanted if value is not None]


def read_batch(
    session: Session,
    models: Models,
    scope: AssetFilter,
    after: int,
    *,
    lock: bool = False,
    size: int | None = None,
) -> Sequence[Row[Any]]:
    """Read the next rows of assets, in the order of their keys.

    :param after: key of the last row of the previous batch; 0 for the first batch.
    :param lock: lock the rows until the transaction ends.
    :param size: maximum number of rows; by default :data:`BATCH_SIZE`.
    """
    table = models.asset.__table__
    statement = (
        select(table)
        .where(table.c.id > after, *scope.where(models))
        .order_by(table.c.id)
        .limit(size or BATCH_SIZE)
    )
    if lock:
        lock_writers(session, table)
        statement = statement.with_for_update()
    return session.execute(statement).all()


def count_assets(session: Session, models: Models, scope: AssetFilter) -> int:
    """Count the rows that :func:`read_batch` reads in total."""
    table = models.asset.__table__
    counted = select(func.count()).select_from(table).where(*scope.where(models))
    return session.execute(counted).scalar_one()
