"""The commands for the tables: made, and brought from release to release."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy.exc import DBAPIError

from ..host_migrations import host_migrations
from ..state import State
from .common import current, telling
from .consent import ask

if TYPE_CHECKING:
    from ..migrations.running import Revision
    from ..migrations.upgrade import Standing, Upgrade

_UPGRADE_OTHERWISE = (
    "To have this command look after them from now on, tell with '--from' which"
    " revision they are of"
)
_DOWNGRADE_OTHERWISE = (
    "Let a migration of the host take them back, as soon as its code has no"
    " Flask-AutoTag any more, or the older release: with Flask-Migrate 'flask db"
    " migrate' and 'flask db upgrade'"
)


@click.command("init-db")
@with_appcontext
def init_db() -> None:
    """Create the tables of the extension, and nothing else.

    It can be run any number of times: tables that exist are left as they are.
    """
    current()[1].database.create_tables()
    click.echo("The tables of Flask-AutoTag are there.")


@click.command("upgrade-db")
@click.option(
    "--dry-run", is_flag=True, help="Only tell the revision, and which are to come."
)
@click.option("--sql", is_flag=True, help="Only write what would be executed.")
@click.option(
    "--from",
    "start",
    metavar="REVISION",
    help="The tables are of this revision, such as 0001, whatever they say themselves;"
    " what comes after it is run, also where it was run before. 'base' is none.",
)
@with_appcontext
def upgrade_db(dry_run: bool, sql: bool, start: str | None) -> None:
    """Bring the tables of the extension to this release.

    Data is kept. Makes the tables where there are none. Run it after every upgrade of
    the package; it can be killed, and run again.
    """
    if start is not None and (dry_run or sql):
        raise click.UsageError("--from goes with neither --dry-run nor --sql.")
    if dry_run and sql:
        raise click.UsageError("Either --dry-run or --sql.")
    app, state = current()
    upgrade = _upgrade(state)
    with telling(), _telling_of_database():
        if start is None:
            standing = upgrade.standing()
            _refuse_beside_others(app, state, standing, _UPGRADE_OTHERWISE)
        if sql:
            upgrade.write_sql(sys.stdout)
        elif dry_run:
            _show(standing)
        else:
            upgrade.upgrade(start, _tell)
            click.echo(
                "The tables of Flask-AutoTag are at revision"
                f" {upgrade.standing().revision}."
            )


@click.command("downgrade-db")
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def downgrade_db(revision: str, yes: bool) -> None:
    """Take back the revisions of the tables after REVISION.

    For going back to an older release of the package, while the newer one is still
    installed. What only newer tables and columns hold is lost; with 'base' everything.
    """
    app, state = current()
    upgrade = _upgrade(state)
    with telling(), _telling_of_database():
        _refuse_beside_others(app, state, upgrade.standing(), _DOWNGRADE_OTHERWISE)
    what = "All tables of Flask-AutoTag" if revision == "base" else "Newer columns"
    ask(f"{what} go, with what is in them. Go on?", yes)
    with telling(), _telling_of_database():
        upgrade.downgrade(revision, _tell_back)
    where = "gone" if revision == "base" else f"at revision {revision}"
    click.echo(f"The tables of Flask-AutoTag are {where}.")


def _upgrade(state: State) -> Upgrade:
    # Alembic is of no use to the other commands.
    from ..migrations.upgrade import Upgrade

    return Upgrade(
        state.database,
        on_wait=lambda: click.echo(
            "Waits for others who keep the tables. Ctrl+C gives up.", err=True
        ),
    )


@contextmanager
def _telling_of_database() -> Iterator[None]:
    """Show what the database says, without the statement."""
    try:
        yield
    except DBAPIError as error:
        raise click.ClickException(
            f"The database refuses it: {error.orig}. What was done before stays, but"
            " on SQLite, where nothing was changed. Mend that, and run the command"
            " again."
        ) from error


def _refuse_beside_others(
    app: Flask, state: State, standing: Standing, otherwise: str
) -> None:
    """Refuse to change tables that the host's migrations made.

    :param otherwise: what to do instead.
    """
    others = host_migrations(app, state.database)
    if others is not None and not standing.noted:
        raise click.ClickException(
            f"This application has {others}, which makes and changes the tables of"
            f" Flask-AutoTag with those of the host: nothing was changed. {otherwise};"
            " see 'Upgrading' in the documentation."
        )


def _show(standing: Standing) -> None:
    if standing.revision is None:
        click.echo("There are no tables; they would be made.")
        return
    how = "" if standing.noted else ", by their columns"
    click.echo(f"The tables are at revision {standing.revision}{how}.")
    for revision in standing.pending:
        click.echo(f"To come: {revision.id}  {revision.message}")
    if not standing.pending:
        click.echo("Nothing is to come.")


def _tell(revision: Revision) -> None:
    click.echo(f"{revision.id}  {revision.message}")


def _tell_back(revision: Revision) -> None:
    click.echo(f"{revision.id}  taken back: {revision.message}")
