"""``flask autotag init-db``, ``upgrade-db`` and ``downgrade-db``."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData, inspect, text

from flask_autotag import AssetRef, AutoTag, create_models
from flask_autotag.db.revisions import newest_revision

from ..db.migrations.next_release import COLUMN, NEXT, REVISIONS, install_next_release
from ..hosts import Host, close, make_db
from .terminals import run_command, sit_at_a_terminal

NEWEST = newest_revision()
DELETED = (
    "The tables of Flask-AutoTag are deleted. Remove Flask-AutoTag from the code before"
    " the application starts again: db.create_all() would create them again.\n"
)


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_next_release(tmp_path / "next", monkeypatch)


def execute(host: Host, *statements: str) -> None:
    with host.app.app_context(), host.db.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.mark.usefixtures("next_release")
def test_an_upgrade(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.autotag.add_tag(AssetRef("photo", "1"), "dog", instance="shop")
    assert run_command(any_host, "upgrade-db", "--dry-run") == (
        0,
        f"The tables are at revision {NEWEST}.\n"
        f"Pending: {COLUMN}  {REVISIONS[COLUMN]}\n"
        f"Pending: {NEXT}  {REVISIONS[NEXT]}\n",
    )
    assert run_command(any_host, "upgrade-db") == (
        0,
        f"{COLUMN}  {REVISIONS[COLUMN]}\n"
        f"{NEXT}  {REVISIONS[NEXT]}\n"
        f"The tables of Flask-AutoTag are at revision {NEXT}.\n",
    )
    with any_host.app.app_context(), any_host.db.engine.connect() as connection:
        query = text("SELECT instance FROM autotag_assignment")
        assert connection.scalars(query).all() == ["shop"]
        assert inspect(connection).has_table("photo")
    assert run_command(any_host, "upgrade-db", "--dry-run") == (
        0,
        f"The tables are at revision {NEXT}.\nNo revision is pending.\n",
    )
    assert run_command(any_host, "upgrade-db") == (
        0,
        f"The tables of Flask-AutoTag are at revision {NEXT}.\n",
    )


def test_it_creates_the_tables(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.models.metadata.drop_all(any_host.db.engine)
    assert run_command(any_host, "upgrade-db", "--dry-run") == (
        0,
        "There are no tables; they would be created.\n",
    )
    assert run_command(any_host, "upgrade-db") == (
        0,
        f"The tables of Flask-AutoTag are at revision {NEWEST}.\n",
    )
    assert run_command(any_host, "doctor")[1].startswith("ok       tables: Complete.")


def test_init_db_stores_the_revision(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.models.metadata.drop_all(any_host.db.engine)
    run_command(any_host, "init-db")
    assert run_command(any_host, "upgrade-db", "--dry-run") == (
        0,
        f"The tables are at revision {NEWEST}.\nNo revision is pending.\n",
    )


def test_tables_without_a_stored_revision(host: Host) -> None:
    execute(host, "DROP TABLE autotag_revision", "DROP INDEX ix_autotag_job_due")
    assert run_command(host, "upgrade-db", "--dry-run") == (
        0,
        f"The tables are at revision {NEWEST}, judged by their columns.\n"
        "Missing: autotag_job.ix_autotag_job_due, autotag_revision; they would be"
        " created.\n",
    )
    code, told = run_command(host, "upgrade-db", "--sql")
    assert code == 1
    assert "Error: The database stores no revision of the tables, so there are" in told
    assert run_command(host, "upgrade-db")[0] == 0
    assert run_command(host, "upgrade-db", "--dry-run") == (
        0,
        f"The tables are at revision {NEWEST}.\nNo revision is pending.\n",
    )


def test_tables_that_lack_columns(host: Host) -> None:
    execute(
        host,
        "DROP TABLE autotag_revision",
        "ALTER TABLE autotag_word DROP COLUMN threshold",
    )
    for options in ([], ["--dry-run"], ["--sql"]):
        code, told = run_command(host, "upgrade-db", *options)
        assert code == 1
        assert told.startswith("Error: The tables lack autotag_word.threshold, which")


@pytest.mark.usefixtures("next_release")
def test_the_statements(any_host: Host) -> None:
    code, told = run_command(any_host, "upgrade-db", "--sql")
    assert code == 0
    assert "ALTER TABLE autotag_assignment ADD COLUMN instance VARCHAR(64)" in told
    assert run_command(any_host, "upgrade-db", "--dry-run")[1].startswith(
        f"The tables are at revision {NEWEST}.\nPending: {COLUMN}"
    )


def test_options_that_exclude_each_other(host: Host) -> None:
    for option in ("--dry-run", "--sql"):
        code, told = run_command(host, "upgrade-db", "--from", "0001", option)
        assert code == 2
        assert "--from cannot be combined with --dry-run or --sql." in told
    code, told = run_command(host, "upgrade-db", "--sql", "--dry-run")
    assert code == 2
    assert "Use either --dry-run or --sql." in told


def test_an_unknown_revision(host: Host) -> None:
    for command in (["upgrade-db", "--from"], ["downgrade-db", "--yes"]):
        code, told = run_command(host, *command, "7")
        assert code == 1
        assert "There is no revision '7'; there are base, 0001" in told


@pytest.mark.usefixtures("next_release")
def test_beside_flask_migrate(host: Host) -> None:
    """It changes nothing without ``--from``."""
    Migrate(host.app, host.db)
    execute(host, "DELETE FROM autotag_revision")
    for options in ([], ["--dry-run"], ["--sql"]):
        code, told = run_command(host, "upgrade-db", *options)
        assert (code, told) == (
            1,
            "Error: This application has Flask-Migrate, which creates and changes the"
            " tables of Flask-AutoTag with those of the host: nothing was changed. To"
            " upgrade them with this command from now on, name their revision with"
            " '--from'; see 'Upgrading' in the documentation.\n",
        )
    # A migration of the host has added the column, but has not filled it.
    with host.app.app_context():
        host.autotag.add_tag(AssetRef("photo", "1"), "dog", instance="shop")
    execute(host, "ALTER TABLE autotag_assignment ADD COLUMN instance VARCHAR(64)")
    assert run_command(host, "upgrade-db", "--from", NEWEST)[0] == 0
    with host.app.app_context(), host.db.engine.connect() as connection:
        query = text("SELECT instance FROM autotag_assignment")
        assert connection.scalars(query).all() == ["shop"]
    assert run_command(host, "upgrade-db") == (
        0,
        f"The tables of Flask-AutoTag are at revision {NEXT}.\n",
    )


def test_a_downgrade_beside_flask_migrate(host: Host) -> None:
    """The host's migrations would create the tables again, or fail to drop them."""
    Migrate(host.app, host.db)
    execute(host, "DELETE FROM autotag_revision")
    for revision in ("base", NEWEST):
        assert run_command(host, "downgrade-db", revision, "--yes") == (
            1,
            "Error: This application has Flask-Migrate, which creates and changes the"
            " tables of Flask-AutoTag with those of the host: nothing was changed."
            " Remove Flask-AutoTag from the code, or install the older release; then"
            " let a migration of the host change the tables, with Flask-Migrate 'flask"
            " db migrate' and 'flask db upgrade'; see 'Upgrading' in the"
            " documentation.\n",
        )
    with host.app.app_context():
        assert inspect(host.db.engine).has_table("autotag_tag")
    assert run_command(host, "upgrade-db", "--from", NEWEST)[0] == 0
    assert run_command(host, "downgrade-db", "base", "--yes")[0] == 0


def test_beside_flask_migrate_for_other_tables(tmp_path: Path) -> None:
    """The host's migrations do not change our separate file."""
    app = Flask("host", instance_path=str(tmp_path))
    app.config.update(AUTOTAG_RUNNER="none")
    autotag = AutoTag(app, models=create_models(MetaData()))
    db, _ = make_db()
    app.config.update(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.sqlite'}")
    db.init_app(app)
    Migrate(app, db)
    result = app.test_cli_runner().invoke(args=["autotag", "upgrade-db"])
    assert result.output == f"The tables of Flask-AutoTag are at revision {NEWEST}.\n"
    autotag.state_of(app).database.engine.dispose()
    close(app, db)


@pytest.mark.usefixtures("next_release")
def test_the_database_refuses_a_change(host: Host) -> None:
    execute(
        host,
        "CREATE TRIGGER refuse BEFORE UPDATE ON autotag_revision"
        " BEGIN SELECT RAISE(ABORT, 'not allowed'); END",
    )
    assert run_command(host, "upgrade-db") == (
        1,
        "Error: The database refused a change: not allowed. A SQLite database is"
        " unchanged; on others, earlier changes stay. A lock timeout means that a long"
        " transaction uses the tables. Remove the cause, and run the command again.\n",
    )
    assert f"at revision {NEWEST}." in run_command(host, "upgrade-db", "--dry-run")[1]


@pytest.mark.usefixtures("next_release")
def test_a_downgrade(any_host: Host) -> None:
    run_command(any_host, "upgrade-db")
    code, told = run_command(any_host, "downgrade-db", NEWEST)
    assert code == 1
    assert "There is no terminal to ask on" in told
    with pytest.MonkeyPatch.context() as patch:
        sit_at_a_terminal(patch)
        code, told = run_command(any_host, "downgrade-db", NEWEST)
    assert code == 1
    assert (
        "This deletes newer tables and columns of Flask-AutoTag with their data."
        " Continue? [y/N]"
    ) in told
    assert run_command(any_host, "downgrade-db", NEWEST, "--yes") == (
        0,
        f"{NEXT}  taken back: {REVISIONS[NEXT]}\n"
        f"{COLUMN}  taken back: {REVISIONS[COLUMN]}\n"
        f"The tables of Flask-AutoTag are at revision {NEWEST}.\n",
    )
    code, told = run_command(any_host, "downgrade-db", "base", "--yes")
    assert code == 0
    assert told.endswith(DELETED)
    with any_host.app.app_context():
        assert inspect(any_host.db.engine).get_table_names() == ["photo"]
    code, told = run_command(any_host, "downgrade-db", "base", "--yes")
    assert code == 1
    assert "There are no tables of Flask-AutoTag." in told


def start(url: str, *, removed: bool = False) -> tuple[Flask, SQLAlchemy]:
    """Start an application that creates its tables at import.

    :param removed: whether the lines of Flask-AutoTag are removed from its code.
    """
    db, _ = make_db()
    app = Flask("host")
    app.config.update(SQLALCHEMY_DATABASE_URI=url)
    db.init_app(app)
    if not removed:
        AutoTag(app)
    with app.app_context():
        db.create_all()
    return app, db


def test_the_order_of_a_removal(sqlite_url: str) -> None:
    """The command, then the code; a start in between creates the tables again."""
    for _ in range(2):
        app, db = start(sqlite_url)
        with app.app_context():
            assert inspect(db.engine).has_table("autotag_tag")
        result = app.test_cli_runner().invoke(
            args=["autotag", "downgrade-db", "base", "--yes"]
        )
        assert result.output.endswith(DELETED)
        close(app, db)
    app, db = start(sqlite_url, removed=True)
    with app.app_context():
        assert inspect(db.engine).get_table_names() == ["photo"]
        db.engine.dispose()
