"""SQL that differs between SQLite, PostgreSQL and MariaDB, and its limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Double,
    Insert,
    Row,
    Select,
    Table,
    false,
    literal_column,
    select,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import ColumnClause, TableClause

T = TypeVar("T")

#: Values in one ``IN``: databases limit the parameters of a statement.
_IN_SIZE = 500


def in_batches(values: Iterable[T]) -> Iterator[list[T]]:
    """Yield the values in lists short enough for an ``IN``; nothing for no values."""
    remaining = iter(values)
    while batch := [*islice(remaining, _IN_SIZE)]:
        yield batch


def is_one_of(column: ColumnElement[T], values: Sequence[T]) -> ColumnElement[bool]:
    """Return the condition that a column has one of some values.

    An index has the rows of a single value in the order of its next column.
    """
    return column == values[0] if len(values) == 1 else column.in_(values)


def dialect_of(session: Session | Connection) -> str:
    """Return SQLAlchemy's name of the database, such as ``postgresql``."""
    if isinstance(session, Connection):
        return session.dialect.name
    return session.get_bind().dialect.name


def lock_writers(session: Session | Connection, table: Table) -> None:
    """Wait on SQLite until no other transaction writes, and become the writer.

    Call it before the first read of a transaction that will write. SQLite refuses a
    transaction that reads before it writes if another one wrote in between, whatever
    the timeout. On the other databases it does nothing: ``FOR UPDATE`` locks there.
    """
    if dialect_of(session) == "sqlite":
        column = table.primary_key.columns[0]
        session.execute(update(table).where(false()).values({column: column}))


#: Clocks that advance within a transaction and within a statement.
_NOW = {
    "postgresql": "extract(epoch from clock_timestamp())",
    "mysql": "unix_timestamp(sysdate(6))",
    "mariadb": "unix_timestamp(sysdate(6))",
    # 2440587.5 is the Julian day of 1970-01-01 00:00 UTC.
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}


def database_now(session: Session | Connection) -> ColumnElement[float]:
    """Return an expression for the seconds since 1970 by the database's clock.

    Leases compare times that several machines wrote, and their clocks differ.
    """
    return literal_column(_NOW.get(dialect_of(session), _NOW["sqlite"]), Double())


def utc_now() -> datetime:
    """Return the time in UTC, without a time zone, as the columns store it."""
    return datetime.now(UTC).replace(tzinfo=None)


def read_clock(session: Session) -> float:
    """Return the seconds since 1970 by the database's clock, as a number.

    A comparison with a number can use an index; a comparison with
    :func:`database_now`, which changes during the statement, cannot.
    """
    return float(session.execute(select(database_now(session))).scalar_one())


def insert_or_ignore(table: Table, dialect: str, key: Sequence[str]) -> Insert:
    """Return an INSERT that does nothing if a row with the same *key* exists.

    It raises no ``IntegrityError``, which would end the host's transaction.

    :param key: the columns of the primary key or of a unique constraint.
    """
    if dialect in ("mysql", "mariadb"):
        same = {key[0]: table.c[key[0]]}
        return cast(Insert, _insert(table, dialect).on_duplicate_key_update(same))
    insert = _insert(table, dialect)
    return cast(Insert, insert.on_conflict_do_nothing(index_elements=key))


def insert_or_update(
    table: Table, dialect: str, key: Sequence[str], columns: Sequence[str]
) -> Insert:
    """Return an INSERT that updates *columns* if a row with the same *key* exists.

    The row is then locked until the transaction ends.

    :param key: the columns of the primary key or of a unique constraint.
    """
    insert = _insert(table, dialect)
    if dialect in ("mysql", "mariadb"):
        new = {column: insert.inserted[column] for column in columns}
        return cast(Insert, insert.on_duplicate_key_update(new))
    new = {column: _excluded(column) for column in columns}
    return cast(Insert, insert.on_conflict_do_update(index_elements=key, set_=new))


def insert_or_add(
    table: Table, dialect: str, key: Sequence[str], column: str
) -> Insert:
    """Return an INSERT that adds to *column* if a row with the same *key* exists.

    :param key: the columns of the primary key or of a unique constraint.
    """
    insert = _insert(table, dialect)
    if dialect in ("mysql", "mariadb"):
        added = {column: table.c[column] + insert.inserted[column]}
        return cast(Insert, insert.on_duplicate_key_update(added))
    added = {column: table.c[column] + _excluded(column)}
    return cast(Insert, insert.on_conflict_do_update(index_elements=key, set_=added))


def _excluded(column: str) -> ColumnElement[Any]:
    """Return a column of the row that was not inserted.

    It equals ``insert.excluded[column]``, which copies the whole table at each use.
    """
    return TableClause("excluded", ColumnClause(column)).c[column]


def _insert(table: Table, dialect: str) -> Any:
    # Importing a dialect takes some 30 ms; the engine has imported its own already.
    if dialect in ("mysql", "mariadb"):
        from sqlalchemy.dialects import mysql

        return mysql.insert(table)
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def see_commits(connection: Connection, statement: Select[Any]) -> Select[Any]:
    """Return a SELECT that also sees rows that others committed during the transaction.

    On MariaDB and MySQL, a plain read sees the snapshot of the host's transaction, but
    a locking read sees the newest rows.
    """
    if dialect_of(connection) in ("mysql", "mariadb"):
        return statement.with_for_update(read=True)
    return statement


def lock_free_rows(session: Session, statement: Select[Any]) -> list[Row[Any]]:
    """Lock and return the rows that no other transaction has locked."""
    return [*session.execute(statement.with_for_update(skip_locked=True))]


def rows_changed(session: Session | Connection, statement: Any) -> int:
    """Execute an UPDATE or DELETE and return how many rows it matched."""
    result = cast("CursorResult[Any]", session.execute(statement))
    return result.rowcount
