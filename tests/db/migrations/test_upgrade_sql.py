"""The statements of pending revisions, for an administrator to run."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from flask_autotag.db.migrations.upgrade import Upgrade
from flask_autotag.errors import UpgradeError

from ...services import temporary_database
from .next_release import (
    COPYING,
    PREVIOUS,
    check_upgraded,
    install_next_release,
)
from .tables import (
    execute,
    fill_tables,
    open_database,
    read_tables,
    stored_revision,
)


def test_the_statements_on_sqlite(sqlite_url: str, next_release: Path) -> None:
    with open_database(sqlite_url) as upgrade:
        upgrade.database.create_tables()
        fill_tables(upgrade)
        before = read_tables(upgrade)
        sql = upgrade.sql()
        assert read_tables(upgrade) == before
        connection = sqlite3.connect(create_engine(sqlite_url).url.database or "")
        connection.executescript(sql)
        connection.close()
        check_upgraded(upgrade, before)


def test_statements_that_cannot_be_written(sqlite_url: str, next_release: Path) -> None:
    (next_release / "9004_copying.py").write_text(COPYING)
    with open_database(sqlite_url) as upgrade:
        upgrade.database.create_tables()
        with pytest.raises(UpgradeError) as caught:
            upgrade.sql()
        assert str(caught.value).startswith(
            "The pending revisions cannot be written as SQL: This operation cannot"
            " proceed in --sql mode; batch mode with dialect sqlite requires a live"
        )
        execute(upgrade, "DELETE FROM autotag_revision")
        with pytest.raises(UpgradeError) as caught:
            upgrade.sql()
        assert str(caught.value) == (
            "The database stores no revision of the tables, so there are no statements"
            " to write. Run 'flask autotag upgrade-db' once without '--sql': it stores"
            " the revision, and creates missing tables and indexes."
        )


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_the_statements_for_a_server(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with temporary_database(kind, tmp_path) as url, open_database(url) as upgrade:
        execute_script(upgrade, upgrade.sql())
        assert stored_revision(upgrade) == PREVIOUS
        assert upgrade.standing().missing == []
        fill_tables(upgrade)
        before = read_tables(upgrade)
        install_next_release(tmp_path / "next", monkeypatch)
        sql = upgrade.sql()
        assert read_tables(upgrade) == before
        execute_script(upgrade, sql)
        check_upgraded(upgrade, before)


def execute_script(upgrade: Upgrade, sql: str) -> None:
    engine = upgrade.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in sql.split(";\n\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
