"""Transactions that have written or only read; transient errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError

from flask_autotag.db.errors import is_transient

from ..hosts import Host, make_host
from ..services import temporary_database


def is_writing(host: Host) -> bool:
    database = host.autotag.state_of(host.app).database
    return database.writing_connection(host.db.session()) is not None


def test_a_fresh_session_is_not_writing(any_host: Host) -> None:
    with any_host.app.app_context():
        assert not is_writing(any_host)


def test_reading_is_not_writing(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.db.session.scalars(select(any_host.Photo)).all()
        any_host.db.session.execute(text("SELECT 1"))
        assert not is_writing(any_host)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE photo SET path = 'b'",
        "  delete from photo",
        "INSERT INTO photo (path, tenant) VALUES ('c', 'default')",
    ],
)
def test_writing_by_text(any_host: Host, statement: str) -> None:
    with any_host.app.app_context():
        any_host.db.session.execute(text(statement))
        assert is_writing(any_host)
        any_host.db.session.commit()
        assert not is_writing(any_host)


def test_writing_by_expression_and_by_driver(any_host: Host) -> None:
    with any_host.app.app_context():
        session = any_host.db.session
        session.execute(update(any_host.Photo).values(path="b"))
        assert is_writing(any_host)
        session.rollback()
        assert not is_writing(any_host)
        session.connection().exec_driver_sql("UPDATE photo SET path = 'c'")
        assert is_writing(any_host)


def test_unflushed_changes_count_as_writes(any_host: Host) -> None:
    with any_host.app.app_context():
        session = any_host.db.session
        photo = any_host.Photo(path="a")
        session.add(photo)
        assert is_writing(any_host)
        session.commit()

        photo.path = photo.path
        assert not is_writing(any_host)
        photo.path = "b"
        assert is_writing(any_host)
        session.commit()

        session.delete(photo)
        assert is_writing(any_host)


def test_the_mark_does_not_stay_on_a_pooled_connection(any_host: Host) -> None:
    with any_host.app.app_context():
        connection = any_host.db.engine.connect()
        connection.execute(text("DELETE FROM photo"))
        connection.close()
        any_host.db.session.scalars(select(any_host.Photo)).all()
        assert not is_writing(any_host)


def test_a_lock_timeout_is_transient(tmp_path: Path) -> None:
    with temporary_database("mariadb", tmp_path) as url, make_host(url) as host:
        with host.app.app_context(), host.db.engine.connect() as one:
            one.execute(
                text("INSERT INTO photo (id, path, tenant) VALUES (1, 'a', 'b')")
            )
            with host.db.engine.connect() as other:
                other.execute(text("SET SESSION innodb_lock_wait_timeout = 1"))
                with pytest.raises(OperationalError) as caught:
                    other.execute(text("INSERT INTO photo VALUES (1, 'a', 'b')"))
                other.invalidate()
        assert is_transient(caught.value)
