"""Upgrades that are killed, blocked, or started several times at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from flask_autotag.db.migrations.lock import locked
from flask_autotag.db.migrations.upgrade import Upgrade
from flask_autotag.db.revisions import VERSIONS
from flask_autotag.errors import UpgradeError

from ...services import temporary_database
from .next_release import (
    COLUMN,
    PREVIOUS,
    check_upgraded,
    install_next_release,
)
from .tables import (
    common,
    fill_tables,
    open_database,
    read_tables,
    stored_revision,
)

PROGRAM = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from flask_autotag.db.migrations import running
from tests.db.migrations.tables import open_database

url, versions, fatal = sys.argv[1:]
running.VERSIONS = Path(versions)

def die(connection, cursor, statement, *others):
    if fatal and statement.startswith(fatal):
        os.kill(os.getpid(), signal.SIGKILL)

with open_database(url) as upgrade:
    event.listen(upgrade.database.engine, "after_cursor_execute", die)
    upgrade.upgrade()
"""


def start(upgrade: Upgrade, versions: Path, fatal: str = "") -> subprocess.Popen[str]:
    """Upgrade in another process, which is killed after the *fatal* statement."""
    url = upgrade.database.engine.url.render_as_string(hide_password=False)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, url, str(versions), fatal],
        cwd=Path(__file__).parents[3],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("fatal", ["ALTER TABLE", "UPDATE autotag_assignment"])
def test_killed_and_run_again(tables: Upgrade, next_release: Path, fatal: str) -> None:
    before = read_tables(tables)
    process = start(tables, next_release, fatal)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    one_transaction = tables.database.engine.dialect.name == "sqlite"
    killed_in_first = one_transaction or fatal == "ALTER TABLE"
    assert stored_revision(tables) == (PREVIOUS if killed_in_first else COLUMN)
    between = read_tables(tables)
    assert common(between, before) == common(before, between)
    tables.upgrade()
    check_upgraded(tables, before)


def test_several_at_once(tables: Upgrade, next_release: Path) -> None:
    before = read_tables(tables)
    finish([start(tables, next_release) for _ in range(3)])
    check_upgraded(tables, before)


def test_several_at_once_on_an_empty_database(database_url: str) -> None:
    with open_database(database_url) as upgrade:
        finish([start(upgrade, VERSIONS) for _ in range(3)])
        assert stored_revision(upgrade) == PREVIOUS
        assert upgrade.standing().missing == []


def finish(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_another_process_keeps_the_lock(database_url: str) -> None:
    waits: list[str] = []
    # SQLite's driver waits for five seconds by default.
    options = "?timeout=0.1" if database_url.startswith("sqlite") else ""
    with (
        open_database(database_url) as one,
        open_database(database_url + options) as it,
    ):
        one.upgrade()
        other = Upgrade(it.database, 1, lambda: waits.append("wait"))
        with locked(one.database.engine, one.database.models.revision.__table__):
            with pytest.raises(UpgradeError) as caught:
                other.upgrade()
            assert str(caught.value) == (
                "Another process kept the tables locked for 1 seconds: an upgrade, or a"
                " transaction that does not end. End it, and run the command again."
            )
        assert waits == ["wait"]
        other.upgrade()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_long_transaction(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upgrade gives up soon: the host's statements wait behind it."""
    monkeypatch.setattr("flask_autotag.db.migrations.lock.LOCK_TIMEOUT", 1)
    with temporary_database(kind, tmp_path) as url, open_database(url) as upgrade:
        upgrade.upgrade()
        fill_tables(upgrade)
        before = read_tables(upgrade)
        install_next_release(tmp_path / "next", monkeypatch)
        errors: list[DBAPIError] = []

        def attempt() -> None:
            with pytest.raises(DBAPIError) as caught:
                upgrade.upgrade()
            errors.append(caught.value)

        thread = threading.Thread(target=attempt)
        with upgrade.database.engine.connect() as reader:
            reader.execute(text("SELECT count(*) FROM autotag_assignment"))
            began = time.monotonic()
            thread.start()
            thread.join(30)
            assert time.monotonic() - began < 20
        assert "timeout" in str(errors[0].orig)
        upgrade.upgrade()
        check_upgraded(upgrade, before)
