"""Examines the tables: whether all is there that this release works with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import Inspector, Table, UniqueConstraint, inspect

from .errors import UpgradeError
from .findings import ERROR, OK, Finding
from .host_migrations import host_migrations
from .migrations import newest_revision
from .models import noted_revision
from .state import State

if TYPE_CHECKING:
    from flask import Flask

_UPGRADE = "Run 'flask autotag upgrade-db'."


def check_tables(app: Flask, state: State) -> Iterator[Finding]:
    """Look for tables, columns and keys that are missing, and for revisions to come."""
    inspector = inspect(state.database.engine)
    tables = state.database.models.tables
    missing = [each for table in tables for each in _missing(inspector, table)]
    if {table.name for table in tables} <= {*missing}:
        yield _fault(
            f"Missing: {', '.join(missing)}.",
            "Run 'flask autotag init-db', or make a migration.",
        )
    elif missing:
        yield _fault(f"Missing: {', '.join(missing)}.", _fix(app, state))
    else:
        yield _check_revision(app, state)


def _check_revision(app: Flask, state: State) -> Finding:
    """Tell whether data waits to be brought along, where all columns are there."""
    from .migrations.upgrade import Upgrade

    try:
        standing = Upgrade(state.database).standing()
    except UpgradeError as error:
        return _fault(str(error))
    # Of tables that others migrate, nobody notes it.
    others = None if standing.noted else host_migrations(app, state.database)
    if standing.pending and others is None:
        ids = ", ".join(each.id for each in standing.pending)
        return _fault(f"Revisions to come: {ids}.", _UPGRADE)
    return Finding(OK, "tables", "All are there.")


def _fix(app: Flask, state: State) -> str:
    with state.database.engine.connect() as connection:
        noted = noted_revision(connection, state.database.models)
    others = host_migrations(app, state.database)
    if noted == newest_revision():
        return (
            f"The tables say that they are at revision {noted}. Run 'flask autotag"
            " upgrade-db --from base', which repeats all; what you added yourself needs"
            " a migration of yours."
        )
    if others is not None and noted is None:
        return f"Make a migration with {others}, and run it."
    return _UPGRADE


def _fault(message: str, fix: str | None = None) -> Finding:
    return Finding(ERROR, "tables", message, fix)


def _missing(inspector: Inspector, table: Table) -> list[str]:
    """Name what a table lacks: itself, or columns and keys of it."""
    if not inspector.has_table(table.name, schema=table.schema):
        return [table.name]
    columns = inspector.get_columns(table.name, schema=table.schema)
    keys = (
        *inspector.get_indexes(table.name, schema=table.schema),
        *inspector.get_unique_constraints(table.name, schema=table.schema),
    )
    there = {each["name"] for each in (*columns, *keys)}
    wanted = (
        *(column.name for column in table.columns),
        *(each.name for each in table.indexes),
        *(
            each.name
            for each in table.constraints
            if isinstance(each, UniqueConstraint) and each.name is not None
        ),
    )
    return [f"{table.name}.{name}" for name in wanted if name not in there]
