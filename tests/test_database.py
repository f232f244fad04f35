"""Telling a transaction that has written from one that has only read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text, update
from sqlalchemy.exc import OperationalError

from flask_autotag.database import (
    database_now,
    insert_or_ignore,
    may_pass,
    writing_connection,
)

from .hosts import Host, make_host
from .services import temporary_database


def is_writing(host: Host) -> bool:
    table = host.models.job.__table__
    return writing_connection(host.db.session(), table) is not None


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


def test_what_is_not_flushed_counts_as_written(any_host: Host) -> None:
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


def test_the_databases_clock_runs_like_ours(any_host: Host) -> None:
    with any_host.app.app_context(), any_host.db.engine.connect() as connection:
        now = select(database_now(connection.dialect.name))
        first = connection.scalar(now)
        time.sleep(0.02)
        second = connection.scalar(now)
    assert first is not None
    assert second is not None
    assert abs(float(first) - time.time()) < 60
    assert float(second) > float(first)


def test_insert_or_ignore_leaves_a_row_as_it_is(any_host: Host) -> None:
    with any_host.app.app_context():
        table = any_host.models.tag.__table__

    def insert(connection: Connection, name: str) -> None:
        statement = insert_or_ignore(
            table, connection.dialect.name, ["instance", "key"]
        )
        connection.execute(statement.values(instance="x", key="dog", name=name))

    with any_host.app.app_context(), any_host.db.engine.begin() as connection:
        insert(connection, "dog")
        insert(connection, "DOG")
        names = connection.scalars(select(table.c.name)).all()
    assert names == ["dog"]


def test_a_lock_that_was_not_to_be_had_in_time_may_pass(tmp_path: Path) -> None:
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
        assert may_pass(caught.value)
