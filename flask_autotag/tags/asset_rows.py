"""The rows of assets: inserted or found, and locked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, false, select
from sqlalchemy.orm import Session

from ..db.models import Models
from ..db.sql import in_batches, insert_or_update, lock_writers
from ..host.assets import AssetRef

#: Instance, type and id.
Name = tuple[str, str, str]

#: The columns of a name.
NAME_COLUMNS = ("instance", "asset_type", "asset_id")


def ensure_rows(
    connection: Connection, table: Table, rows: Mapping[Name, Mapping[str, Any]]
) -> dict[Name, int]:
    """Insert or update the rows of assets, and return their keys.

    The rows are locked until the transaction ends.

    :param rows: values of further columns, by the asset's name; all assets have the
        same columns, or none.
    """
    # An UPDATE locks an existing row even if it changes nothing.
    changed = [*next(iter(rows.values()))] or ["asset_type"]
    dialect = connection.dialect
    statement = insert_or_update(table, dialect.name, NAME_COLUMNS, changed)
    values = [
        {**dict(zip(NAME_COLUMNS, name, strict=True)), **rows[name]} for name in rows
    ]
    columns = [table.c[column] for column in (*NAME_COLUMNS, "id")]
    if dialect.insert_executemany_returning:
        found = connection.execute(statement.returning(*columns), values)
    else:
        connection.execute(statement, values)
        # A locking read sees rows that others committed after the snapshot.
        found = connection.execute(
            select(*columns).where(is_named(table, rows)).with_for_update()
        )
    ids = {tuple(row[:3]): row.id for row in found}
    return {name: ids[name] for name in rows}


def ensure_assets(
    connection: Connection, models: Models, instance: str, assets: Iterable[AssetRef]
) -> dict[int, AssetRef]:
    """Insert the missing rows of an instance's assets, and lock all of them.

    :return: the assets by their rows.
    """
    names = {(instance, each.type, each.id): each for each in sorted(assets, key=str)}
    rows = ensure_rows(connection, models.asset.__table__, {name: {} for name in names})
    return {row: names[name] for name, row in rows.items()}


def is_named(table: Table, names: Collection[Name]) -> ColumnElement[bool]:
    """Return a condition that the rows of assets meet; a few others may meet it too.

    :param table: the table of assets or of jobs.
    """
    if not names:
        return false()
    instances, types, ids = (set(part) for part in zip(*names, strict=True))
    # Not every database searches an index for a row value (instance, type, id).
    return and_(
        table.c.instance.in_(instances),
        table.c.asset_type.in_(types),
        table.c.asset_id.in_(ids),
    )


def is_of(table: Table, asset: AssetRef, instance: str) -> ColumnElement[bool]:
    """Return the condition that a row of assets or jobs is one of an asset."""
    return and_(
        table.c.instance == instance,
        table.c.asset_type == asset.type,
        table.c.asset_id == asset.id,
    )


def find_row(
    session: Session, models: Models, asset: AssetRef, instance: str
) -> int | None:
    """Return the key of an asset's row; ``None`` if the instance has no such asset."""
    table = models.asset.__table__
    return session.scalar(select(table.c.id).where(is_of(table, asset, instance)))


def find_rows(
    session: Session, models: Models, assets: Iterable[AssetRef], instance: str
) -> dict[AssetRef, int]:
    """Return the keys of those assets' rows that an instance has."""
    table = models.asset.__table__
    names = {(instance, each.type, each.id): each for each in assets}
    columns = select(table.c.id, *(table.c[name] for name in NAME_COLUMNS))
    return {
        names[name]: row.id
        for some in in_batches(names)
        for row in session.execute(columns.where(is_named(table, some)))
        if (name := tuple(row[1:])) in names
    }


def find_asset(
    session: Session, models: Models, row: int, instance: str
) -> AssetRef | None:
    """Return the asset of a row; ``None`` if the instance has no such row."""
    table = models.asset.__table__
    found = session.execute(
        select(table.c.asset_type, table.c.asset_id).where(
            table.c.id == row, table.c.instance == instance
        )
    ).one_or_none()
    return None if found is None else AssetRef(found.asset_type, found.asset_id)


def lock_row(
    connection: Connection, models: Models, asset: AssetRef, instance: str
) -> Sequence[int]:
    """Find the row of an asset, and lock it until the transaction ends.

    :return: its key; empty if there is no row.
    """
    table = models.asset.__table__
    lock_writers(connection, table)
    return connection.scalars(
        select(table.c.id).where(is_of(table, asset, instance)).with_for_update()
    ).all()


def lock_assets(
    session: Session, models: Models, instance: str, rows: Collection[int]
) -> dict[int, AssetRef]:
    """Find some assets by their rows, and lock them until the transaction ends.

    Decisions and workers lock an asset before they change its tags.

    :return: the assets that the instance still has, in the order of their rows.
    """
    table = models.asset.__table__
    lock_writers(session, table)
    columns = select(table.c.id, table.c.asset_type, table.c.asset_id)
    return {
        row.id: AssetRef(row.asset_type, row.asset_id)
        for some in in_batches(sorted(rows))
        for row in session.execute(
            columns.where(table.c.id.in_(some), table.c.instance == instance)
            .order_by(table.c.id)
            .with_for_update()
        )
    }
