"""The commands that create, upgrade and drop the tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy.exc import DBAPIError

from ..db.migrations.inspection import part_names
from ..db.models import stored_revision
from ..monitoring.doctor.tables import host_migrations
from ..runtime.state import State
from .confirm import confirm
from .options import current, reporting_errors

if TYPE_CHECKING:
    from alembic.script import Script

    from ..db.migrations.upgrade import Standing, Upgrade

_INSTEAD_OF_UPGRADE = (
    "To upgrade them with this command from now on, name their revision with '--from'"
)
_INSTEAD_OF_DOWNGRADE = (
    "Remove Flask-AutoTag from the code, or install the older release; then let a"
    " migration of the host change the tables, with Flask-Migrate 'flask db migrate'"
    " and 'flask db upgrade'"
)

_DELETED = (
    "The tables of Flask-AutoTag are deleted. Remove Flask-AutoTag from the code before"
    " the application starts again: db.create_all() would create them again."
)


@click.command("init-db")
@with_appcontext
def init_db() -> None:
    """Create the tables of the extension.

    Existing tables stay as they are, so the command can be run any number of times.
    """
    current()[1].database.create_tables()
    click.echo("The tables of Flask-AutoTag exist.")


@click.command("upgrade-db")
@click.option(
    "--dry-run", is_flag=True, help="Only show the revision and the pending revisions."
)
@click.option("--sql", is_flag=True, help="Only print the statements.")
@click.option(
    "--from",
    "start",
    metavar="REVISION",
    help="Apply all revisions after this one, such as 0001, whatever revision the"
    " database stores. 'base' applies all.",
)
@with_appcontext
def upgrade_db(dry_run: bool, sql: bool, start: str | None) -> None:
    """Upgrade the tables of the extension to this release.

    Creates missing tables and keeps data. Run it after each upgrade of the package. If
    it was interrupted, run it again.
    """
    if start is not None and (dry_run or sql):
        raise click.UsageError("--from cannot be combined with --dry-run or --sql.")
    if dry_run and sql:
        raise click.UsageError("Use either --dry-run or --sql.")
    app, state = current()
    upgrade = _upgrade(state)
    with reporting_errors(), _database_errors():
        if start is None:
            _refuse_tables_of_host(app, state, _INSTEAD_OF_UPGRADE)
        if sql:
            click.echo(upgrade.sql(), nl=False)
        elif dry_run:
            _show(upgrade.standing())
        else:
            upgrade.upgrade(start, _show_applied)
            revision = upgrade.standing().revision
            click.echo(f"The tables of Flask-AutoTag are at revision {revision}.")


@click.command("downgrade-db")
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def downgrade_db(revision: str, yes: bool) -> None:
    """Take back the revisions of the tables after REVISION.

    Run it before you install an older release of the package. The data in newer tables
    and columns is lost. 'base' drops all tables.
    """
    app, state = current()
    with reporting_errors(), _database_errors():
        _refuse_tables_of_host(app, state, _INSTEAD_OF_DOWNGRADE)
    tables = "all tables" if revision == "base" else "newer tables and columns"
    confirm(f"This deletes {tables} of Flask-AutoTag with their data. Continue?", yes)
    with reporting_errors(), _database_errors():
        _upgrade(state).downgrade(revision, _show_taken_back)
    if revision == "base":
        click.echo(_DELETED)
    else:
        click.echo(f"The tables of Flask-AutoTag are at revision {revision}.")


def _upgrade(state: State) -> Upgrade:
    # Imports Alembic, which the other commands do not use.
    from ..db.migrations.upgrade import Upgrade

    return Upgrade(
        state.database,
        on_wait=lambda: click.echo(
            "Waiting for another process to unlock the tables. Ctrl+C cancels.",
            err=True,
        ),
    )


@contextmanager
def _database_errors() -> Iterator[None]:
    """Show an error of the database without its statement."""
    try:
        yield
    except DBAPIError as error:
        raise click.ClickException(
            f"The database refused a change: {error.orig}. A SQLite database is"
            " unchanged; on others, earlier changes stay. A lock timeout means that a"
            " long transaction uses the tables. Remove the cause, and run the command"
            " again."
        ) from error


def _refuse_tables_of_host(app: Flask, state: State, instead: str) -> None:
    """Refuse to change tables that migrations of the host created.

    :param instead: the way to change them.
    """
    others = host_migrations(app, state.database)
    if others is None:
        return
    with state.database.engine.connect() as connection:
        stored = stored_revision(connection, state.database.models)
    if stored is None:
        raise click.ClickException(
            f"This application has {others}, which creates and changes the tables of"
            f" Flask-AutoTag with those of the host: nothing was changed. {instead};"
            " see 'Upgrading' in the documentation."
        )


def _show(standing: Standing) -> None:
    if standing.revision is None:
        click.echo("There are no tables; they would be created.")
        return
    origin = "" if standing.stored else ", judged by their columns"
    click.echo(f"The tables are at revision {standing.revision}{origin}.")
    for script in standing.pending:
        click.echo(f"Pending: {script.revision}  {script.doc}")
    if not standing.pending and standing.missing:
        click.echo(f"Missing: {part_names(standing.missing)}; they would be created.")
    elif not standing.pending:
        click.echo("No revision is pending.")


def _show_applied(script: Script) -> None:
    click.echo(f"{script.revision}  {script.doc}")


def _show_taken_back(script: Script) -> None:
    click.echo(f"{script.revision}  taken back: {script.doc}")
