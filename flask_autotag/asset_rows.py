"""The rows of assets: made where they are new, and locked either way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, select

from .database import insert_or_update

#: Instance, type and id.
Name = tuple[str, str, str]

#: The columns of a name.
NAME_COLUMNS = ("instance", "asset_type", "asset_id")


def ensure_rows(
    connection: Connection, table: Table, rows: Mapping[Name, Mapping[str, Any]]
) -> dict[Name, int]:
    """Give the key of each asset's row, which nobody else changes until the end.

    :param rows: what else is to stand in each row; the same columns in all, or none.
    """
    # An UPDATE that changes nothing locks a row that is there.
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
        # Locking, for it sees what others wrote whatever the transaction saw before.
        found = connection.execute(
            select(*columns).where(is_named(table, rows)).with_for_update()
        )
    ids = {tuple(row[:3]): row.id for row in found}
    return {name: ids[name] for name in rows}


def is_named(table: Table, names: Collection[Name]) -> ColumnElement[bool]:
    """Make the condition for the rows of assets; a few others may meet it too."""
    instances, types, ids = (set(part) for part in zip(*names, strict=True))
    # The type and the id lead an index, where a row value would not everywhere.
    return and_(
        table.c.instance.in_(instances),
        table.c.asset_type.in_(types),
        table.c.asset_id.in_(ids),
    )
