"""Assets that are known, in portions: no transaction is long, no list is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.orm import Session

from .assets import AssetRef
from .database import lock_writers
from .models import Models

#: Assets that one transaction reads or changes: others must not wait for long.
PORTION = 500

#: Is told how many assets were looked at since it was told last.
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Scope:
    """Which assets are meant.

    :param instance: those of one tenant; ``None`` for all.
    :param asset_type: those of one type; ``None`` for all.
    """

    instance: str | None = None
    asset_type: str | None = None

    def includes(self, asset: AssetRef, instance: str) -> bool:
        """Whether an asset is among them."""
        return self.instance in (None, instance) and self.asset_type in (
            None,
            asset.type,
        )

    def where(self, models: Models) -> list[ColumnElement[bool]]:
        """Make conditions on the table of assets."""
        table = models.asset.__table__
        wanted = (
            (table.c.instance, self.instance),
            (table.c.asset_type, self.asset_type),
        )
        return [column == value for column, value in wanted if value is not None]


def read_portion(
    session: Session,
    models: Models,
    scope: Scope,
    after: int,
    *,
    lock: bool = False,
    size: int | None = None,
) -> Sequence[Row[Any]]:
    """Read the next rows of assets, in the order of their keys.

    :param after: key of the last row before; 0 to begin.
    :param lock: let nobody else change them until the transaction ends.
    :param size: how many at most; by default :data:`PORTION`.
    """
    table = models.asset.__table__
    statement = (
        select(table)
        .where(table.c.id > after, *scope.where(models))
        .order_by(table.c.id)
        .limit(size or PORTION)
    )
    if lock:
        lock_writers(session, table)
        statement = statement.with_for_update()
    return session.execute(statement).all()


def count_assets(session: Session, models: Models, scope: Scope) -> int:
    """Count the rows that :func:`read_portion` reads in all."""
    table = models.asset.__table__
    counted = select(func.count()).select_from(table).where(*scope.where(models))
    return session.execute(counted).scalar_one()
