"""Uploads outside a transaction wait only briefly, and a lost one is reported."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import OperationalError

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.runtime import late_writes
from flask_autotag.runtime.late_writes import LateWrites

from ..hosts import Host, jpeg, make_host
from ..services import temporary_database
from ..waiting import wait_for

PHOTO = AssetRef("photo", "1")
#: The half second, and the time that a slow machine may add.
BOUND = late_writes.WAIT + 0.5

pytestmark = pytest.mark.usefixtures("product_wait")


def writes(host: Host) -> LateWrites:
    return host.autotag.state_of(host.app).late_writes


def upload(host: Host, asset: AssetRef = PHOTO) -> float:
    """Send an upload and return the seconds that it took."""
    start = time.monotonic()
    with host.app.app_context():
        image_uploaded.send(host.app, asset=asset, image=jpeg())
    return time.monotonic() - start


def end_all(host: Host) -> None:
    for future in writes(host)._late.copy():
        future.exception(20)
    wait_for(lambda: not writes(host)._late)


@contextmanager
def locked(host: Host) -> Iterator[None]:
    """Hold a lock that the INSERT of a job needs."""
    with host.app.app_context():
        engine = create_engine(host.db.engine.url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif engine.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE autotag_job"))
        else:
            connection.execute(text("SELECT * FROM autotag_job FOR UPDATE")).all()
        try:
            yield
        finally:
            connection.rollback()
    engine.dispose()


def test_a_lock_keeps_an_upload_half_a_second_and_costs_no_job(
    any_host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_autotag")
    with locked(any_host):
        assert upload(any_host) < BOUND
        assert len(writes(any_host)._late) == 1
    end_all(any_host)
    assert [job.asset_id for job in any_host.jobs()] == ["1"]
    assert any_host.failures == []
    assert "photo 1 waits for the database" in caplog.text


def test_what_is_tried_in_vain_is_logged_and_sent_as_lost(
    any_host: Host,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(late_writes, "PATIENCE", 1.0)
    monkeypatch.setattr(late_writes, "LOCK_WAIT", 1)
    impatient(any_host)
    with locked(any_host):
        assert upload(any_host) < BOUND
        assert any_host.failures == []
        end_all(any_host)
    assert any_host.jobs() == []
    # Callbacks run after the write has ended.
    wait_for(lambda: any_host.failures)
    [failure] = any_host.failures
    assert (failure["asset"], failure["code"]) == (PHOTO, "not_queued")
    assert "The job could not be written" in failure["message"]
    assert "photo 1 will not be tagged" in caplog.text


def impatient(host: Host) -> None:
    """Shorten the time that SQLite waits for a lock."""

    def connected(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA busy_timeout = 100").close()

    with host.app.app_context():
        if host.db.engine.dialect.name == "sqlite":
            host.db.engine.dispose()
            event.listen(host.db.engine, "connect", connected)


def test_an_empty_pool_keeps_an_upload_half_a_second(sqlite_url: str) -> None:
    options = {"pool_size": 1, "max_overflow": 0}
    with make_host(sqlite_url, SQLALCHEMY_ENGINE_OPTIONS=options) as host:
        with host.app.app_context(), host.db.engine.connect():
            assert upload(host) < BOUND
        end_all(host)
        assert len(host.jobs()) == 1


def test_the_runner_hears_of_a_late_job(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_host(sqlite_url, AUTOTAG_RUNNER="inline") as host:
        with locked(host):
            upload(host)
        end_all(host)
        wait_for(lambda: host.tagged, 60)
        assert [job.state for job in host.jobs()] == ["done"]


def test_a_deadlock_of_our_own_transaction_is_tried_again(tmp_path: Path) -> None:
    options = {"connect_args": {"options": "-c deadlock_timeout=20ms"}}
    errors: list[Any] = []
    with (
        temporary_database("postgresql", tmp_path) as url,
        make_host(url, SQLALCHEMY_ENGINE_OPTIONS=options) as host,
    ):
        other = create_engine(url)
        threads: list[threading.Thread] = []

        def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if "INSERT INTO autotag_upload" in statement and not threads:
                connection = other.connect()
                connection.execute(text("LOCK TABLE autotag_upload"))
                threads.append(threading.Thread(target=wait_for_us, args=[connection]))
                threads[0].start()
                wait_for(somebody_waits)

        def wait_for_us(connection: Any) -> None:
            connection.execute(text("LOCK TABLE autotag_job"))
            connection.close()

        def somebody_waits() -> bool:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            with other.connect() as watching:
                return bool(watching.scalar(waiting))

        with host.app.app_context():
            engine = host.db.engine
        event.listen(engine, "before_cursor_execute", before)
        event.listen(
            engine, "handle_error", lambda seen: errors.append(seen.original_exception)
        )
        upload(host)
        end_all(host)
        threads[0].join(10)
        assert [type(error).__name__ for error in errors] == ["DeadlockDetected"]
        assert len(host.jobs()) == 1
        assert host.failures == []
        other.dispose()


def test_settings_of_a_connection_are_as_they_were(tmp_path: Path) -> None:
    for kind, show, before in (
        ("postgresql", "SHOW lock_timeout", "7s"),
        ("mariadb", "SELECT @@SESSION.innodb_lock_wait_timeout", 7),
    ):
        with (
            temporary_database(kind, tmp_path) as url,
            make_host(url, SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1}) as host,
        ):
            set_to = {
                "postgresql": "SET lock_timeout = '7s'",
                "mariadb": "SET SESSION innodb_lock_wait_timeout = 7",
            }[kind]
            with host.app.app_context():
                engine = host.db.engine
                engine.dispose()
                event.listen(
                    engine,
                    "connect",
                    lambda connection, _, set_to=set_to: execute(connection, set_to),
                )
                upload(host)
                with engine.connect() as connection:
                    assert connection.scalar(text(show)) == before
                assert engine.pool.checkedin() == 1  # type: ignore[attr-defined]
            assert len(host.jobs()) == 1


def execute(connection: Any, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.commit()


def test_too_much_that_waits_is_refused_at_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_writes, "MOST_LATE", 1)
    with locked(host):
        upload(host)
        assert upload(host, AssetRef("photo", "2")) < late_writes.WAIT
        [failure] = host.failures
        assert "too many uploads wait for it already" in failure["message"]
    end_all(host)
    assert [job.asset_id for job in host.jobs()] == ["1"]


def test_images_that_wait_hold_little_memory(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_writes, "MOST_LATE_BYTES", 10)
    with locked(host):
        upload(host)
        upload(host, AssetRef("photo", "2"))
        assert len(host.failures) == 1
    end_all(host)


def test_what_a_fork_copied_is_not_its_own(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_writes, "MOST_LATE", 1)
    parents: Future[int] = Future()
    writes(host)._late[parents] = (1, os.getpid() + 1)
    upload(host)
    writes(host).flush()
    assert len(host.jobs()) == 1
    assert not parents.done()


#: A host that ends while another connection holds the lock.
ENDING = """
import logging, sqlite3, sys, threading
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_autotag import AssetRef, AutoTag, image_uploaded, tagging_failed
from flask_autotag.runtime import late_writes

logging.basicConfig(format="%(message)s")
late_writes.GRACE = 0.5
app = Flask("host")
app.config.update(SQLALCHEMY_DATABASE_URI=sys.argv[1], AUTOTAG_RUNNER="none")
db = SQLAlchemy(app)
autotag = AutoTag(app)
said = lambda _, **told: print(told["code"], told["message"], flush=True)
tagging_failed.connect(said, app)
with app.app_context():
    path = db.engine.url.database
lock = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
lock.execute("BEGIN IMMEDIATE")
if sys.argv[2] == "let go":
    threading.Timer(0.8, lock.execute, ["ROLLBACK"]).start()
with app.app_context():
    image_uploaded.send(app, asset=AssetRef("photo", "1"), image=b"image")
print("sent", flush=True)
"""


@pytest.mark.parametrize("kept", ["let go", "kept"])
def test_a_process_that_ends_tells_what_is_lost(
    host: Host, sqlite_url: str, kept: str
) -> None:
    program = textwrap.dedent(ENDING)
    ended = subprocess.run(
        [sys.executable, "-c", program, sqlite_url, kept],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    if kept == "kept":
        assert "The process ended before the database took the job." in ended.stdout
        assert "photo 1 will not be tagged" in ended.stderr
        assert host.jobs() == []
    else:
        assert ended.stdout == "sent\n"
        assert len(host.jobs()) == 1


def test_retag_raises_what_keeps_it_from_queueing(any_host: Host) -> None:
    any_host.autotag.image_loader(lambda _: jpeg())
    with any_host.app.app_context():
        any_host.autotag.retag(PHOTO)
        assert [job.asset_id for job in any_host.jobs()] == ["1"]
        any_host.models.metadata.drop_all(
            any_host.db.engine, tables=any_host.models.tables
        )
        with pytest.raises(Exception, match="autotag_job") as caught:
            any_host.autotag.retag(PHOTO)
        assert not isinstance(caught.value, AssertionError)


def test_retag_in_a_transaction_that_is_rolled_back(any_host: Host) -> None:
    any_host.autotag.image_loader(lambda _: jpeg())
    with any_host.app.app_context():
        any_host.db.session.add(any_host.Photo(path="a"))
        any_host.autotag.retag(PHOTO)
        any_host.db.session.rollback()
        assert any_host.jobs() == []


def test_the_hosts_own_time_out_holds_in_its_transaction(host: Host) -> None:
    impatient(host)
    with host.app.app_context(), locked(host):
        host.db.session.add(host.Photo(path="a"))
        upload_in_transaction = time.monotonic()
        image_uploaded.send(host.app, asset=PHOTO, image=jpeg())
        assert time.monotonic() - upload_in_transaction < late_writes.WAIT
        with pytest.raises(OperationalError, match="locked"):
            host.db.session.commit()
        host.db.session.rollback()
