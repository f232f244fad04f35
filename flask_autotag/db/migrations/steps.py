"""The functions that revisions are written with.

They name a table by its field in :class:`~flask_autotag.db.models.Models`, such as
``"asset"``, and look up the name and the schema that the host chose. Each checks first
whether its change is there already. With ``--sql`` they cannot check, and write all
statements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, cast

from alembic import op
from alembic.operations import BatchOperations
from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Table,
    TableClause,
    column,
    inspect,
    table,
)
from sqlalchemy.schema import SchemaItem


def create_table(
    model: str,
    *items: SchemaItem,
    indexes: Mapping[str, Sequence[str]] = MappingProxyType({}),
    **options: Any,
) -> None:
    """Create a table and its indexes.

    :param items: columns and constraints.
    :param indexes: maps the name of an index to its columns.
    :param options: dialect options such as ``sqlite_with_rowid``, added to those of the
        host's table.
    """
    it = _table(model)
    if _offline() or not _has_table(it):
        options = {**it.kwargs, **options}
        op.create_table(it.name, *items, schema=it.schema, **options)
    for name, columns in indexes.items():
        create_index(name, model, columns)


def drop_table(model: str) -> None:
    """Drop a table and its rows."""
    it = _table(model)
    if _offline() or _has_table(it):
        op.drop_table(it.name, schema=it.schema)


def reference(child: str, name: str, parent: str) -> ForeignKeyConstraint:
    """Return a foreign key from column *name* to ``id``, with ``ON DELETE CASCADE``."""
    return ForeignKeyConstraint(
        [name],
        [f"{_table(parent).fullname}.id"],
        name=f"fk_{_table(child).name}_{parent}",
        ondelete="CASCADE",
    )


def create_index(name: str, model: str, columns: Sequence[str]) -> None:
    """Create an index."""
    it = _table(model)
    if not _exists(it, name):
        op.create_index(name, it.name, columns, schema=it.schema)


def add_column(model: str, new: Column[Any]) -> None:
    """Add a column."""
    it = _table(model)
    if not _exists(it, new.name):
        op.add_column(it.name, new, schema=it.schema)


def drop_column(model: str, name: str) -> None:
    """Drop a column and its values. Drop its indexes first."""
    it = _table(model)
    if _offline() or _exists(it, name):
        op.drop_column(it.name, name, schema=it.schema)


def alter_table(model: str) -> AbstractContextManager[BatchOperations]:
    """Return ``op.batch_alter_table`` for a table, to change types and constraints.

    SQLite copies the table; the copy keeps the options of the host's table.
    """
    it = _table(model)
    return op.batch_alter_table(it.name, schema=it.schema, table_kwargs=dict(it.kwargs))


def table_clause(model: str, *columns: str) -> TableClause:
    """Return a table with the named columns, to write statements with."""
    it = _table(model)
    return table(it.name, *(column(name) for name in columns), schema=it.schema)


def _table(model: str) -> Table:
    return cast(Table, getattr(op.get_context().opts["models"], model).__table__)


def _offline() -> bool:
    return op.get_context().as_sql


def _has_table(it: Table) -> bool:
    return inspect(op.get_bind()).has_table(it.name, schema=it.schema)


def _exists(it: Table, name: str) -> bool:
    if _offline():
        return False
    inspector = inspect(op.get_bind())
    found = (
        *inspector.get_columns(it.name, schema=it.schema),
        *inspector.get_indexes(it.name, schema=it.schema),
    )
    return name in {each["name"] for each in found}
