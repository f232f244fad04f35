"""``flask autotag init-db``, ``upgrade-db`` and ``downgrade-db``."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import Migrate
from sqlalchemy import MetaData, inspect, text

from flask_autotag import AssetRef, AutoTag, create_models
from flask_autotag.migrations import VERSIONS, newest_revision

from .hosts import Host, close, make_db
from .migrations.tables import LATER
from .terminals import sit_at_a_terminal
from .test_cli import run

NEWEST = newest_revision()


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release with two more revisions."""
    folder = tmp_path / "versions"
    shutil.copytree(VERSIONS, folder)
    shutil.copytree(LATER, folder, dirs_exist_ok=True)
    monkeypatch.setattr("flask_autotag.migrations.running.VERSIONS", folder)


def execute(host: Host, *statements: str) -> None:
    with host.app.app_context(), host.db.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.mark.usefixtures("later")
def test_an_upgrade(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.autotag.add_tag(AssetRef("photo", "1"), "dog", instance="shop")
    assert run(any_host, "upgrade-db", "--dry-run") == (
        0,
        f"The tables are at revision {NEWEST}.\n"
        "To come: 9001  Assignments know their instance.\n"
        "To come: 9002  Types of assets and names of providers are longer.\n",
    )
    assert run(any_host, "upgrade-db") == (
        0,
        "9001  Assignments know their instance.\n"
        "9002  Types of assets and names of providers are longer.\n"
        "The tables of Flask-AutoTag are at revision 9002.\n",
    )
    with any_host.app.app_context(), any_host.db.engine.connect() as connection:
        query = text("SELECT instance FROM autotag_assignment")
        assert connection.scalars(query).all() == ["shop"]
        assert inspect(connection).has_table("photo")
    assert run(any_host, "upgrade-db", "--dry-run") == (
        0,
        "The tables are at revision 9002.\nNothing is to come.\n",
    )
    assert run(any_host, "upgrade-db") == (
        0,
        "The tables of Flask-AutoTag are at revision 9002.\n",
    )


def test_it_makes_the_tables(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.models.metadata.drop_all(any_host.db.engine)
    assert run(any_host, "upgrade-db", "--dry-run") == (
        0,
        "There are no tables; they would be made.\n",
    )
    assert run(any_host, "upgrade-db") == (
        0,
        f"The tables of Flask-AutoTag are at revision {NEWEST}.\n",
    )
    assert run(any_host, "doctor")[1].startswith("ok       tables: All are there.")


def test_init_db_notes_the_revision(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.models.metadata.drop_all(any_host.db.engine)
    run(any_host, "init-db")
    assert run(any_host, "upgrade-db", "--dry-run") == (
        0,
        f"The tables are at revision {NEWEST}.\nNothing is to come.\n",
    )


@pytest.mark.usefixtures("later")
def test_tables_that_nobody_noted_a_revision_of(host: Host) -> None:
    execute(host, "DROP TABLE autotag_revision")
    code, told = run(host, "upgrade-db", "--dry-run")
    assert code == 0
    assert told.startswith(f"The tables are at revision {NEWEST}, by their columns.\n")
    assert run(host, "upgrade-db")[0] == 0


def test_tables_that_fit_no_revision(host: Host) -> None:
    execute(
        host,
        "DROP TABLE autotag_revision",
        "ALTER TABLE autotag_word DROP COLUMN threshold",
    )
    code, told = run(host, "upgrade-db")
    assert code == 1
    assert told.startswith("Error: The tables are of no revision that is known.")
    assert "missing are autotag_word.threshold. Mend that by hand, or" in told


@pytest.mark.usefixtures("later")
def test_the_statements(any_host: Host) -> None:
    code, told = run(any_host, "upgrade-db", "--sql")
    if any_host.app.config["SQLALCHEMY_DATABASE_URI"].startswith("sqlite"):
        assert (code, told) == (
            1,
            "Error: These revisions cannot be written as SQL: one of them copies a"
            " table, as SQLite makes it do, and has to see it.\n",
        )
    else:
        assert code == 0
        assert "ALTER TABLE autotag_assignment ADD COLUMN instance VARCHAR(64)" in told
    assert run(any_host, "upgrade-db", "--dry-run")[1].startswith(
        f"The tables are at revision {NEWEST}.\nTo come: 9001"
    )


def test_options_that_exclude_each_other(host: Host) -> None:
    for option in ("--dry-run", "--sql"):
        code, told = run(host, "upgrade-db", "--from", "0001", option)
        assert code == 2
        assert "--from goes with neither --dry-run nor --sql." in told
    code, told = run(host, "upgrade-db", "--sql", "--dry-run")
    assert code == 2
    assert "Either --dry-run or --sql." in told


def test_an_unknown_revision(host: Host) -> None:
    for command in (["upgrade-db", "--from"], ["downgrade-db", "--yes"]):
        code, told = run(host, *command, "7")
        assert code == 1
        assert "There is no revision '7'; there are base, 0001" in told


@pytest.mark.usefixtures("later")
def test_beside_flask_migrate(host: Host) -> None:
    """It changes nothing until somebody says that it shall."""
    Migrate(host.app, host.db)
    execute(host, "DELETE FROM autotag_revision")
    for options in ([], ["--dry-run"], ["--sql"]):
        code, told = run(host, "upgrade-db", *options)
        assert (code, told) == (
            1,
            "Error: This application has Flask-Migrate, which makes and changes the"
            " tables of Flask-AutoTag with those of the host: nothing was changed. To"
            " have this command look after them from now on, tell with '--from' which"
            " revision they are of; see 'Upgrading' in the documentation.\n",
        )
    # The host's migration has brought the column, and nothing into it.
    with host.app.app_context():
        host.autotag.add_tag(AssetRef("photo", "1"), "dog", instance="shop")
    execute(host, "ALTER TABLE autotag_assignment ADD COLUMN instance VARCHAR(64)")
    assert run(host, "upgrade-db", "--from", NEWEST)[0] == 0
    with host.app.app_context(), host.db.engine.connect() as connection:
        query = text("SELECT instance FROM autotag_assignment")
        assert connection.scalars(query).all() == ["shop"]
    assert run(host, "upgrade-db") == (
        0,
        "The tables of Flask-AutoTag are at revision 9002.\n",
    )


def test_a_downgrade_beside_flask_migrate(host: Host) -> None:
    """The host's migrations would make the tables again, or drop what is not there."""
    Migrate(host.app, host.db)
    execute(host, "DELETE FROM autotag_revision")
    for revision in ("base", NEWEST):
        assert run(host, "downgrade-db", revision, "--yes") == (
            1,
            "Error: This application has Flask-Migrate, which makes and changes the"
            " tables of Flask-AutoTag with those of the host: nothing was changed. Let"
            " a migration of the host take them back, as soon as its code has no"
            " Flask-AutoTag any more, or the older release: with Flask-Migrate 'flask"
            " db migrate' and 'flask db upgrade'; see 'Upgrading' in the"
            " documentation.\n",
        )
    with host.app.app_context():
        assert inspect(host.db.engine).has_table("autotag_tag")
    assert run(host, "upgrade-db", "--from", NEWEST)[0] == 0
    assert run(host, "downgrade-db", "base", "--yes")[0] == 0


def test_beside_flask_migrate_for_other_tables(tmp_path: Path) -> None:
    """A file of our own is no affair of the host's migrations."""
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


def test_a_user_who_may_not_change_tables(host: Host, later: None) -> None:
    path = host.app.config["SQLALCHEMY_DATABASE_URI"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE VIEW broken AS SELECT assignment.no_such FROM autotag_assignment"
        )
    code, told = run(host, "upgrade-db")
    assert code == 1
    assert told.startswith("9001  Assignments know")
    assert "Error: The database refuses it: error in view broken" in told
    assert "What was done before stays, but on SQLite, where nothing was" in told
    assert f"at revision {NEWEST}." in run(host, "upgrade-db", "--dry-run")[1]


@pytest.mark.usefixtures("later")
def test_a_downgrade(any_host: Host) -> None:
    run(any_host, "upgrade-db")
    code, told = run(any_host, "downgrade-db", NEWEST)
    assert code == 1
    assert "There is no terminal to ask on" in told
    with pytest.MonkeyPatch.context() as patch:
        sit_at_a_terminal(patch)
        code, told = run(any_host, "downgrade-db", NEWEST)
    assert code == 1
    assert "Newer columns go, with what is in them. Go on? [y/N]" in told
    assert run(any_host, "downgrade-db", NEWEST, "--yes") == (
        0,
        "9002  taken back: Types of assets and names of providers are longer.\n"
        "9001  taken back: Assignments know their instance.\n"
        f"The tables of Flask-AutoTag are at revision {NEWEST}.\n",
    )
    code, told = run(any_host, "downgrade-db", "base", "--yes")
    assert code == 0
    assert told.endswith("The tables of Flask-AutoTag are gone.\n")
    with any_host.app.app_context():
        assert inspect(any_host.db.engine).get_table_names() == ["photo"]
    code, told = run(any_host, "downgrade-db", "base", "--yes")
    assert code == 1
    assert "There are no tables of Flask-AutoTag." in told
