"""Upgrades of a release to come: tables found as hosts have them, killed, at once."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, String, create_engine, event, inspect, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_autotag import AssetMixin, TagMixin, UpgradeError, create_models
from flask_autotag.migrations import lock, newest_revision
from flask_autotag.migrations.running import BASE
from flask_autotag.migrations.upgrade import Upgrade

from ..services import temporary_database
from .tables import (
    LATER,
    ROWS,
    common,
    fill_tables,
    go_to,
    open_database,
    read_tables,
    table_names,
)

NEWEST = newest_revision()
FIRST = "9001"
LAST = "9002"


@pytest.fixture
def filled(database_url: str) -> Iterator[Upgrade]:
    """Tables of today with rows in all of them, and an upgrade to a later release."""
    with open_database(database_url, None, LATER) as upgrade:
        go_to(upgrade, NEWEST)
        fill_tables(upgrade)
        yield upgrade


def execute(upgrade: Upgrade, *statements: str) -> None:
    with upgrade.database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def noted(upgrade: Upgrade) -> str | None:
    standing = upgrade.standing()
    return standing.revision if standing.noted else None


def check_upgraded(upgrade: Upgrade, before: dict[str, list[dict[str, Any]]]) -> None:
    """All rows are as they were, and those of assignments have got their instance."""
    after = read_tables(upgrade)
    assert common(after, before) == common(before, after)
    instances = {asset["id"]: asset["instance"] for asset in after["asset"]}
    assert [row["instance"] for row in after["assignment"]] == [
        instances[row["asset_id"]] for row in after["assignment"]
    ]
    assert "ix_autotag_assignment_instance" in {
        index["name"]
        for index in inspect(upgrade.database.engine).get_indexes("autotag_assignment")
    }
    assert noted(upgrade) == LAST


def test_an_upgrade(filled: Upgrade) -> None:
    before = read_tables(filled)
    told: list[str] = []
    filled.upgrade(tell=lambda revision: told.append(revision.message))
    check_upgraded(filled, before)
    assert told == [
        "Assignments know their instance.",
        "Types of assets and names of providers are longer.",
    ]
    told.clear()
    filled.upgrade(tell=lambda revision: told.append(revision.message))
    assert told == []


def test_down_and_up_again(filled: Upgrade) -> None:
    before = read_tables(filled)
    filled.upgrade()
    filled.downgrade(NEWEST)
    assert read_tables(filled) == before
    assert noted(filled) == NEWEST
    filled.upgrade()
    check_upgraded(filled, before)


def test_portions(filled: Upgrade, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some are of one asset; on SQLite all is one transaction anyway."""
    monkeypatch.setattr("flask_autotag.migrations.steps.PORTION", 3)
    updates: list[str] = []

    def note(*arguments: Any) -> None:
        if arguments[2].startswith("UPDATE autotag_assignment"):
            updates.append(arguments[2])

    engine = filled.database.engine
    event.listen(engine, "before_cursor_execute", note)
    before = read_tables(filled)
    filled.upgrade()
    check_upgraded(filled, before)
    one = engine.dialect.name == "sqlite"
    assert len(updates) == (1 if one else len(ROWS["assignment"]) // 4 + 1)


def test_tables_without_a_revision_are_recognised(filled: Upgrade) -> None:
    before = read_tables(filled)
    execute(filled, "DROP TABLE autotag_revision")
    standing = filled.standing()
    assert (standing.revision, standing.noted) == (NEWEST, False)
    assert [each.id for each in standing.pending] == [FIRST, LAST]
    assert "autotag_revision" not in table_names(filled)
    filled.upgrade()
    check_upgraded(filled, before)


def test_tables_of_a_later_revision_are_recognised(filled: Upgrade) -> None:
    filled.upgrade()
    before = read_tables(filled)
    execute(filled, "DELETE FROM autotag_revision")
    # The last one leaves no other names behind, so it is run again.
    assert filled.standing().revision == FIRST
    filled.upgrade()
    check_upgraded(filled, before)


def test_what_a_host_added_does_not_count(filled: Upgrade) -> None:
    execute(
        filled,
        "DROP TABLE autotag_revision",
        "ALTER TABLE autotag_asset ADD COLUMN colour VARCHAR(20)",
        "CREATE INDEX ix_colour ON autotag_asset (colour)",
        "UPDATE autotag_asset SET colour = 'red'",
    )
    before = read_tables(filled)
    filled.upgrade()
    check_upgraded(filled, before)
    assert {row["colour"] for row in read_tables(filled)["asset"]} == {"red"}


def test_tables_of_other_names(database_url: str) -> None:
    class Base(DeclarativeBase):
        pass

    class Word(TagMixin, Base):
        __tablename__ = "word"
        colour: Mapped[str | None] = mapped_column(String(20))

    class Picture(AssetMixin, Base):
        __tablename__ = "picture"

    models = create_models(Base.metadata, tag=Word, asset=Picture)
    with open_database(database_url, models, LATER) as upgrade:
        upgrade.upgrade()
        assert {"word", "picture"} < table_names(upgrade)
        assert "autotag_tag" not in table_names(upgrade)
        upgrade.downgrade(NEWEST)
        fill_tables(upgrade)
        before = read_tables(upgrade)
        upgrade.upgrade()
        check_upgraded(upgrade, before)
        upgrade.downgrade(BASE)
        assert table_names(upgrade) == set()


def test_tables_in_a_schema(tmp_path: Path) -> None:
    with temporary_database("postgresql", tmp_path) as url:
        models = create_models(MetaData(), schema="media")
        with open_database(url, models, LATER) as upgrade:
            execute(upgrade, "CREATE SCHEMA media")
            go_to(upgrade, NEWEST)
            fill_tables(upgrade)
            before = read_tables(upgrade)
            execute(upgrade, "DROP TABLE media.autotag_revision")
            upgrade.upgrade()
            after = read_tables(upgrade)
            assert common(after, before) == common(before, after)
            assert {row["instance"] for row in after["assignment"]} == {
                "default",
                "shop",
            }
            assert table_names(upgrade) == set()
            assert noted(upgrade) == LAST


def test_an_empty_database_gets_the_tables_of_today(database_url: str) -> None:
    with open_database(database_url) as upgrade:
        standing = upgrade.standing()
        assert (standing.revision, standing.noted) == (None, False)
        upgrade.upgrade()
        assert noted(upgrade) == NEWEST


def test_create_all_notes_the_revision(database_url: str) -> None:
    """But not where tables were there before, of which it knows nothing."""
    with open_database(database_url) as upgrade:
        metadata, engine = upgrade.database.models.metadata, upgrade.database.engine
        metadata.create_all(engine)
        assert noted(upgrade) == NEWEST
        execute(upgrade, "DROP TABLE autotag_usage", "DROP TABLE autotag_revision")
        metadata.create_all(engine)
        assert noted(upgrade) is None
        assert upgrade.standing().revision == NEWEST


def test_tables_that_fit_no_revision(filled: Upgrade) -> None:
    execute(
        filled,
        "DROP TABLE autotag_revision",
        "DROP TABLE autotag_inquiry",
        "ALTER TABLE autotag_word DROP COLUMN threshold",
        "ALTER TABLE autotag_assignment ADD COLUMN instance VARCHAR(64)",
    )
    before = read_tables_but(filled, "inquiry")
    with pytest.raises(UpgradeError) as caught:
        filled.upgrade()
    assert str(caught.value) == (
        f"The tables are of no revision that is known. Compared with {NEWEST}, the"
        " closest, missing are autotag_inquiry, autotag_word.threshold; too much are"
        " autotag_assignment.instance. Mend that by hand, or tell with '--from' which"
        " revision they are of; nothing was changed."
    )
    assert read_tables_but(filled, "inquiry") == before


def read_tables_but(upgrade: Upgrade, model: str) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(ROWS, model)
        return read_tables(upgrade)


def test_tables_of_a_newer_release(database_url: str) -> None:
    with open_database(database_url, None, LATER) as newer:
        newer.upgrade()
    with open_database(database_url) as upgrade:
        for attempt in (upgrade.standing, upgrade.upgrade):
            with pytest.raises(UpgradeError) as caught:
                attempt()
            assert str(caught.value) == (
                f"The tables are at the revision {LAST}, and this release knows none"
                f" after {NEWEST}: a newer one has upgraded them. Install that one"
                " again; only it can take them back."
            )


def test_unknown_revisions(filled: Upgrade) -> None:
    for attempt in (filled.upgrade, filled.downgrade):
        with pytest.raises(
            UpgradeError, match=r"There is no revision '7'; there are base, 0001, "
        ):
            attempt("7")


def test_a_downgrade_upwards(filled: Upgrade) -> None:
    with pytest.raises(UpgradeError, match=f"nothing to take back: .* {NEWEST}, which"):
        filled.downgrade(LAST)
    with (
        open_database("sqlite://") as empty,
        pytest.raises(UpgradeError, match="There are no tables of Flask-AutoTag"),
    ):
        empty.downgrade(NEWEST)


def test_columns_that_were_taken_away_since(filled: Upgrade) -> None:
    filled.upgrade()
    execute(filled, "ALTER TABLE autotag_word DROP COLUMN threshold")
    before = read_tables(filled)
    with pytest.raises(
        UpgradeError, match=rf"are at {LAST}, but lack autotag_word\.threshold\. '--fr"
    ):
        filled.upgrade()
    assert read_tables(filled) == before


def test_an_index_that_was_taken_away_is_made_again(filled: Upgrade) -> None:
    on = " ON autotag_job" if "mariadb" in str(filled.database.engine.url) else ""
    execute(filled, f"DROP INDEX ix_autotag_job_due{on}")
    with pytest.raises(UpgradeError, match=r"lack autotag_job\.ix_autotag_job_due"):
        filled.upgrade()
    before = read_tables(filled)
    filled.upgrade(BASE)
    check_upgraded(filled, before)


@pytest.mark.parametrize("last", ["asset", "counter", "inquiry"])
def test_killed_while_the_tables_were_made(database_url: str, last: str) -> None:
    """Also between a table and its indexes."""
    with open_database(database_url, None, LATER) as upgrade:
        models, engine = upgrade.database.models, upgrade.database.engine
        for model in ("tag", "word", "asset", "counter", "job", "upload", "inquiry"):
            table = getattr(models, model).__table__
            table.create(engine)
            if model == last:
                break
        index = next(iter(table.indexes))
        index.drop(engine)
        standing = upgrade.standing()
        assert (standing.revision, standing.noted) == (BASE, False)
        upgrade.upgrade()
        assert noted(upgrade) == LAST
        fill_tables(upgrade)


PROGRAM = """
import sys
from pathlib import Path
from flask_autotag.migrations import steps
from tests.migrations.tables import open_database

steps.PORTION = 5
with open_database(sys.argv[1], None, Path(sys.argv[2])) as upgrade:
    upgrade.upgrade()
"""


def start(upgrade: Upgrade, **environment: str) -> subprocess.Popen[str]:
    """Begin an upgrade in a process of its own."""
    url = upgrade.database.engine.url.render_as_string(hide_password=False)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, url, str(LATER)],
        cwd=Path(__file__).parent.parent.parent,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("place", ["column", "fill", "index"])
def test_killed_in_the_middle_and_run_again(filled: Upgrade, place: str) -> None:
    one = filled.database.engine.dialect.name == "sqlite"
    before = read_tables(filled)
    process = start(filled, AUTOTAG_TEST_DIE=place)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert noted(filled) == NEWEST
    between = read_tables(filled)
    assert common(between, before) == common(before, between)
    if one:
        assert between == before
    filled.upgrade()
    check_upgraded(filled, before)


def test_several_at_once(filled: Upgrade) -> None:
    before = read_tables(filled)
    processes = [start(filled) for _ in range(3)]
    for process in processes:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told
    check_upgraded(filled, before)


def test_several_at_once_on_an_empty_database(database_url: str) -> None:
    with open_database(database_url, None, LATER) as upgrade:
        processes = [start(upgrade) for _ in range(3)]
        for process in processes:
            _, told = process.communicate(timeout=120)
            assert process.returncode == 0, told
        assert noted(upgrade) == LAST


def test_who_finds_another_at_work_waits_and_gives_up(database_url: str) -> None:
    waits: list[str] = []
    with (
        open_database(database_url) as one,
        open_database(database_url + timeout(database_url), patience=1) as made,
    ):
        other = Upgrade(made.database, made.history, 1, lambda: waits.append("wait"))
        go_to(one, NEWEST)
        table = one.database.models.revision.__table__

        def work(_connection: object) -> None:
            with pytest.raises(UpgradeError) as caught:
                other.upgrade()
            assert str(caught.value) == (
                "For 1 seconds others have kept the tables: an upgrade in another"
                " process, or a transaction that does not end. Look for it, and run the"
                " command again."
            )

        lock.exclusively(one.database.engine, table, work)
        assert waits == ["wait"]
        other.upgrade()


def timeout(url: str) -> str:
    # Of the driver: it waits five seconds by default.
    return "?timeout=0.1" if url.startswith("sqlite") else ""


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_reader_who_takes_long(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upgrade lets others pass while it waits for a table."""
    monkeypatch.setattr("flask_autotag.migrations.lock.LOCK_TIMEOUT", 1)
    with (
        temporary_database(kind, tmp_path) as url,
        open_database(url, None, LATER) as upgrade,
    ):
        go_to(upgrade, NEWEST)
        fill_tables(upgrade)
        before = read_tables(upgrade)
        waits = threading.Event()
        waiting = Upgrade(upgrade.database, upgrade.history, 60, waits.set)
        thread = threading.Thread(target=waiting.upgrade)
        with upgrade.database.engine.connect() as reader:
            reader.execute(text("SELECT count(*) FROM autotag_assignment"))
            thread.start()
            assert waits.wait(30)
            began = time.monotonic()
            execute(upgrade, "UPDATE autotag_assignment SET confidence = confidence")
            assert time.monotonic() - began < 10
        thread.join(60)
        check_upgraded(upgrade, before)


def test_an_index_whose_making_was_killed(tmp_path: Path) -> None:
    """PostgreSQL leaves it there, and does not use it."""
    with (
        temporary_database("postgresql", tmp_path) as url,
        open_database(url, None, LATER) as upgrade,
    ):
        upgrade.upgrade()
        name = "ix_autotag_assignment_instance"
        execute(
            upgrade,
            "UPDATE pg_index SET indisvalid = false"
            f" WHERE indexrelid = '{name}'::regclass",
        )
        upgrade.upgrade(NEWEST)
        with upgrade.database.engine.connect() as connection:
            valid = "SELECT indisvalid FROM pg_index WHERE indexrelid ="
            assert connection.scalar(text(f"{valid} '{name}'::regclass"))


@pytest.mark.parametrize("begin", [False, True], ids=["driver begins", "host begins"])
def test_sqlite_with_foreign_keys(sqlite_url: str, begin: bool) -> None:
    """A table that is copied and dropped does not take along what refers to it."""
    with open_database(sqlite_url, None, LATER) as upgrade:
        go_to(upgrade, NEWEST)
        fill_tables(upgrade)
        before = read_tables(upgrade)
        engine = upgrade.database.engine

        def connect(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA foreign_keys = 1")
            if begin:
                connection.isolation_level = None

        event.listen(engine, "connect", connect)
        if begin:
            event.listen(engine, "begin", lambda each: each.exec_driver_sql("BEGIN"))
        engine.dispose()
        upgrade.upgrade()
        check_upgraded(upgrade, before)
        with engine.connect() as connection:
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
            created = "SELECT sql FROM sqlite_master WHERE name = 'autotag_assignment'"
            assert "WITHOUT ROWID" in str(connection.scalar(text(created)))


def test_an_upgrade_that_fails_on_sqlite_changes_nothing(
    sqlite_url: str, tmp_path: Path
) -> None:
    (tmp_path / "9003_broken.py").write_text(
        '"""Broken."""\n'
        "from alembic import op\n"
        "from sqlalchemy import Column, Integer\n"
        "from flask_autotag.migrations.steps import add_column\n"
        'revision, down_revision = "9003", "9002"\n'
        "branch_labels = depends_on = None\n"
        "def upgrade():\n"
        '    add_column("usage", Column("extra", Integer))\n'
        '    op.execute("INSERT INTO nowhere VALUES (1)")\n'
        "def downgrade():\n"
        "    pass\n"
    )
    with open_database(sqlite_url) as upgrade:
        go_to(upgrade, NEWEST)
        fill_tables(upgrade)
        before = read_tables(upgrade)
    with open_database(sqlite_url, None, LATER, tmp_path) as upgrade:
        with pytest.raises(Exception, match="nowhere"):
            upgrade.upgrade()
        assert read_tables(upgrade) == before


def test_the_statements_can_be_run_by_hand(sqlite_url: str, tmp_path: Path) -> None:
    with open_database(sqlite_url) as upgrade:
        go_to(upgrade, NEWEST)
        fill_tables(upgrade)
        before = read_tables(upgrade)
    (tmp_path / "folder").mkdir()
    first = tmp_path / "folder" / "9001_instance.py"
    first.write_text((LATER / "9001_instance_of_assignments.py").read_text())
    with open_database(sqlite_url, None, tmp_path / "folder") as upgrade:
        file = io.StringIO()
        upgrade.write_sql(file)
        assert read_tables(upgrade) == before
        connection = sqlite3.connect(create_engine(sqlite_url).url.database or "")
        connection.executescript(file.getvalue())
        connection.close()
        assert noted(upgrade) == FIRST
        assert {row["instance"] for row in read_tables(upgrade)["assignment"]} == {
            "default",
            "shop",
        }


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_the_statements_for_a_server(kind: str, tmp_path: Path) -> None:
    with (
        temporary_database(kind, tmp_path) as url,
        open_database(url, None, LATER) as upgrade,
    ):
        from_nothing = io.StringIO()
        upgrade.write_sql(from_nothing)
        assert "CREATE TABLE autotag_asset (" in from_nothing.getvalue()

        go_to(upgrade, NEWEST)
        fill_tables(upgrade)
        before = read_tables(upgrade)
        file = io.StringIO()
        upgrade.write_sql(file)
        assert read_tables(upgrade) == before
        engine = upgrade.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in file.getvalue().split(";\n\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement)
        check_upgraded(upgrade, before)
