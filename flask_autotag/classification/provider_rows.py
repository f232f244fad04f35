"""Rows of an instance and a provider: quota, circuit breaker and requests in flight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table
from sqlalchemy.orm import Session

from ..db.sql import dialect_of, insert_or_ignore, lock_writers


def is_row_of(
    table: Table, instance: str, provider: str
) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the rows of an instance and a provider."""
    return (table.c.instance == instance, table.c.provider == provider)


def ensure_rows(
    session: Session, table: Table, keys: Sequence[dict[str, str]], **values: Any
) -> None:
    """Insert rows unless they exist. SQLite first waits for other writers.

    :param keys: the columns of the primary key of each row; at least one row.
    :param values: the other columns of new rows.
    """
    lock_writers(session, table)
    statement = insert_or_ignore(table, dialect_of(session), list(keys[0]))
    session.execute(statement.values(**values), keys)
