"""Check that the tables have everything that this release uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...db.database import Database, OwnDatabase
from ...db.migrations.inspection import (
    Part,
    can_be_created,
    has_tables,
    missing_parts,
    part_names,
)
from ...db.models import stored_revision
from ...db.revisions import newest_revision
from ...errors import UpgradeError
from ...runtime.state import State
from .finding import ERROR, OK, Finding

if TYPE_CHECKING:
    from flask import Flask

_UPGRADE = "Run 'flask autotag upgrade-db'."
#: db.create_all() and migrations see only tables on their own metadata.
_CREATE = (
    "Run 'flask autotag init-db', or create a migration. If your models have a base"
    " class of their own, such as Model, pass"
    " AutoTag(models=create_models(Model.metadata))."
)


def check_tables(app: Flask, state: State) -> Iterator[Finding]:
    """Check for missing tables, columns and keys, and for pending revisions."""
    models = state.database.models
    with state.database.engine.connect() as connection:
        stored = stored_revision(connection, models)
        missing = missing_parts(connection, models)
        empty = not has_tables(connection, models)
    if not missing:
        yield _check_revision(app, state)
        return
    if empty:
        fix = _CREATE
    else:
        fix = _fix(stored, missing, host_migrations(app, state.database))
    yield _problem(f"Missing: {part_names(missing)}.", fix)


def _check_revision(app: Flask, state: State) -> Finding:
    """Check for pending revisions, which may change data alone."""
    from ...db.migrations.upgrade import Upgrade

    try:
        standing = Upgrade(state.database).standing()
    except UpgradeError as error:
        return _problem(str(error))
    if standing.pending:
        ids = ", ".join(each.revision for each in standing.pending)
        return _problem(f"Pending revisions: {ids}.", _UPGRADE)
    return Finding(OK, "tables", "Complete.")


def _fix(stored: str | None, missing: list[Part], others: str | None) -> str:
    """Return the fix for missing parts.

    :param stored: the revision that the database stores.
    :param others: the extension of the host's migrations.
    """
    if others is not None and stored is None:
        return f"Create a migration with {others}, and run it."
    if stored == newest_revision() and not all(map(can_be_created, missing)):
        return (
            f"The tables are at revision {stored}, so no revision adds missing columns"
            " and unique constraints. Add them by hand, or restore a backup; columns of"
            " your own need a migration of yours."
        )
    return _UPGRADE


def _problem(message: str, fix: str | None = None) -> Finding:
    return Finding(ERROR, "tables", message, fix)


#: Packages of migrations, by their key in ``app.extensions``.
_EXTENSIONS = {"migrate": "Flask-Migrate", "alembic": "Flask-Alembic"}


def host_migrations(app: Flask, database: Database) -> str | None:
    """Return the package that migrates the host's tables, and this extension's too."""
    if isinstance(database, OwnDatabase):
        return None
    for name, package in _EXTENSIONS.items():
        if name in app.extensions:
            return package
    return None
