"""What a revision is made of: steps that look first whether they were done already.

Tables are named as in :class:`~flask_autotag.models.Models`: ``"asset"``, whatever the
host calls it. Written as SQL (``--sql``) the steps cannot look, and are all there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, cast

from alembic import op
from alembic.operations import BatchOperations
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    ForeignKeyConstraint,
    Inspector,
    TableClause,
    Update,
    and_,
    column,
    inspect,
    select,
    table,
    text,
    true,
)
from sqlalchemy.schema import SchemaItem

from .installed import InstalledTable
from .lock import LOCK_TIMEOUT

#: Keys that one statement of :func:`fill` spans: others must not wait for long.
PORTION = 5000


def create_table(
    model: str,
    *items: SchemaItem,
    indexes: Mapping[str, Sequence[str]] = MappingProxyType({}),
    **options: Any,
) -> None:
    """Create a table and its indexes, as far as they are not there.

    :param items: columns and constraints.
    :param indexes: their columns, by their names.
    :param options: of one kind of database, such as ``sqlite_with_rowid``. Those of
        MySQL, MariaDB and PostgreSQL are the host's.
    """
    it = _installed(model)
    if not _has_table(it):
        op.create_table(it.name, *items, schema=it.schema, **{**it.options, **options})
    # Each is a statement of its own, before which one may have been killed.
    for name, columns in indexes.items():
        if name not in _keys(it):
            op.create_index(name, it.name, columns, schema=it.schema)


def drop_table(model: str) -> None:
    """Drop a table, with all that is in it, if there is one."""
    it = _installed(model)
    if _offline() or _has_table(it):
        op.drop_table(it.name, schema=it.schema)


def reference(child: str, name: str, parent: str) -> ForeignKeyConstraint:
    """Make a foreign key to the ``id`` of a table; what refers goes when that goes."""
    return ForeignKeyConstraint(
        [name],
        [f"{_installed(parent).full_name}.id"],
        name=f"fk_{_installed(child).name}_{parent}",
        ondelete="CASCADE",
    )


def create_index(name: str, model: str, columns: Sequence[str]) -> None:
    """Create an index, if there is none of that name.

    On PostgreSQL nobody who writes to the table waits for it; the other databases
    need no word for that, or know none.
    """
    it = _installed(model)
    if _dialect() == "postgresql":
        _create_index_concurrently(name, it, columns)
    elif name not in _keys(it):
        op.create_index(name, it.name, columns, schema=it.schema)


def drop_index(name: str, model: str) -> None:
    """Drop an index, if it is there."""
    it = _installed(model)
    if _offline() or name in _keys(it):
        op.drop_index(name, it.name, schema=it.schema)


def add_column(model: str, new: Column[Any]) -> None:
    """Add a column, if there is none of that name."""
    it = _installed(model)
    if new.name not in _columns(it):
        op.add_column(it.name, new, schema=it.schema)


def drop_column(model: str, name: str) -> None:
    """Drop a column, if it is there. Drop its indexes before."""
    it = _installed(model)
    if _offline() or name in _columns(it):
        op.drop_column(it.name, name, schema=it.schema)


@contextmanager
def altering(model: str, **options: Any) -> Iterator[BatchOperations]:
    """Change what SQLite can change only by copying the table.

    The changes in the block are made whether they were made before or not.

    :param options: of the table on SQLite, which a copy would lose otherwise, such as
        ``sqlite_with_rowid=False`` of the assignments.
    """
    it = _installed(model)
    with op.batch_alter_table(it.name, schema=it.schema, table_kwargs=options) as batch:
        yield batch


def lightweight(model: str, *columns: str) -> TableClause:
    """Make a table with the named columns, to write statements with."""
    it = _installed(model)
    return table(it.name, *(column(name) for name in columns), schema=it.schema)


def fill(statement: Update, *, by: ColumnElement[Any]) -> None:
    """Execute an UPDATE in portions, each a transaction, so that nobody waits for long.

    SQLite has one writer at a time in any case, and takes all of a revision in one
    transaction.

    :param statement: its WHERE leaves out rows that have their value, so that it costs
        little to run it again.
    :param by: what the portions are ranges of: the first column of the primary key.
    """
    if _offline() or _dialect() == "sqlite":
        op.execute(statement)
        return
    with op.get_context().autocommit_block():
        for portion in _portions(op.get_bind(), by):
            op.execute(statement.where(portion))


def _portions(
    connection: Connection, by: ColumnElement[Any]
) -> Iterator[ColumnElement[bool]]:
    after = true()
    while True:
        keys = select(by).where(after).order_by(by)
        last = connection.scalar(keys.offset(PORTION - 1).limit(1))
        if last is None:
            yield after
            return
        yield and_(after, by <= last)
        after = by > last


def _create_index_concurrently(
    name: str, it: InstalledTable, columns: Sequence[str]
) -> None:
    there = name in _keys(it)
    if there and _is_valid(name, it):
        return
    options: dict[str, Any] = {"schema": it.schema, "postgresql_concurrently": True}
    with op.get_context().autocommit_block(), _waiting_long():
        if there:
            # Somebody was killed who built it.
            op.drop_index(name, it.name, **options)
        op.create_index(name, it.name, columns, **options)


@contextmanager
def _waiting_long() -> Iterator[None]:
    """Wait for transactions that began before, which keep nobody else waiting."""
    if _offline():
        yield
        return
    op.execute("SET lock_timeout = 0")
    yield
    op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}s'")


def _is_valid(name: str, it: InstalledTable) -> bool:
    connection = op.get_bind()
    quote = connection.dialect.identifier_preparer.quote
    index = ".".join(quote(part) for part in (it.schema, name) if part is not None)
    query = text(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = CAST(:index AS regclass)"
    )
    return bool(connection.scalar(query, {"index": index}))


def _installed(model: str) -> InstalledTable:
    return cast(InstalledTable, op.get_context().opts["installed"][model])


def _offline() -> bool:
    return op.get_context().as_sql


def _dialect() -> str:
    return op.get_context().dialect.name


def _inspector() -> Inspector:
    return inspect(op.get_bind())


def _has_table(it: InstalledTable) -> bool:
    return not _offline() and _inspector().has_table(it.name, schema=it.schema)


def _columns(it: InstalledTable) -> set[str]:
    if _offline():
        return set()
    found = _inspector().get_columns(it.name, schema=it.schema)
    return {each["name"] for each in found}


def _keys(it: InstalledTable) -> set[str]:
    if _offline():
        return set()
    found = _inspector().get_indexes(it.name, schema=it.schema)
    return {each["name"] for each in found if each["name"] is not None}
