"""Upgrades on SQLite, where Alembic copies tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from .next_release import (
    COPYING,
    PREVIOUS,
)
from .tables import (
    common,
    fill_tables,
    open_database,
    read_tables,
    stored_revision,
)


@pytest.mark.parametrize("begin", [False, True], ids=["driver begins", "host begins"])
def test_sqlite_with_foreign_keys(
    sqlite_url: str, next_release: Path, begin: bool
) -> None:
    """Copying and dropping a table keeps the rows that refer to it."""
    with open_database(sqlite_url) as upgrade:
        upgrade.database.create_tables()
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
        (next_release / "9004_copying.py").write_text(COPYING)
        upgrade.upgrade()
        after = read_tables(upgrade)
        assert common(after, before) == common(before, after)
        with engine.connect() as connection:
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
            created = "SELECT sql FROM sqlite_master WHERE name = 'autotag_assignment'"
            statement = str(connection.scalar(text(created)))
        assert "provider VARCHAR(80)" in statement
        assert "WITHOUT ROWID" in statement


def test_a_failure_on_sqlite_changes_nothing(
    sqlite_url: str, next_release: Path
) -> None:
    broken = COPYING.replace('alter_table("assignment")', 'alter_table("nothing")')
    (next_release / "9004_broken.py").write_text(broken)
    with open_database(sqlite_url) as upgrade:
        upgrade.database.create_tables()
        fill_tables(upgrade)
        before = read_tables(upgrade)
        with pytest.raises(AttributeError, match="nothing"):
            upgrade.upgrade()
        assert read_tables(upgrade) == before
        assert stored_revision(upgrade) == PREVIOUS
