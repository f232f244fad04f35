"""Which tables, columns, indexes and unique constraints a database lacks.

They are compared by name, so columns and indexes that a host added are no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias, cast

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Inspector,
    Table,
    UniqueConstraint,
    inspect,
)

from ..models import Models

Part: TypeAlias = Table | Column[Any] | Index | UniqueConstraint


def has_tables(connection: Connection, models: Models) -> bool:
    """Return whether any table exists, apart from the one that stores the revision."""
    inspector, revision = inspect(connection), models.revision.__table__
    return any(
        inspector.has_table(table.name, schema=table.schema)
        for table in models.tables
        if table is not revision
    )


def missing_parts(connection: Connection, models: Models) -> list[Part]:
    """Return the parts of the models that the database lacks."""
    inspector = inspect(connection)
    return [part for table in models.tables for part in _missing(inspector, table)]


def can_be_created(part: Part) -> bool:
    """Return whether the part can be created in an existing database.

    Columns and unique constraints come only with their table or with a revision.
    """
    return isinstance(part, Table | Index)


def part_names(parts: list[Part]) -> str:
    """Return names such as ``autotag_tag, autotag_word.threshold``."""
    return ", ".join(map(_name, parts))


def _name(part: Part) -> str:
    if isinstance(part, Table):
        return part.fullname
    return f"{cast(Table, part.table).fullname}.{part.name}"


def _missing(inspector: Inspector, table: Table) -> Iterator[Part]:
    if not inspector.has_table(table.name, schema=table.schema):
        yield table
        return
    found = (
        *inspector.get_columns(table.name, schema=table.schema),
        *inspector.get_indexes(table.name, schema=table.schema),
        *inspector.get_unique_constraints(table.name, schema=table.schema),
    )
    names = {each["name"] for each in found}
    unique = (each for each in table.constraints if isinstance(each, UniqueConstraint))
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    for part in (*table.columns, *indexes, *unique):
        if part.name is not None and part.name not in names:
            yield part
