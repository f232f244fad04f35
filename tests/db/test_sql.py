"""Portable SQL: batches for ``IN``, the database's clock, INSERT with a conflict."""

from __future__ import annotations

import time

from sqlalchemy import Connection, select

from flask_autotag.db.sql import database_now, in_batches, insert_or_ignore

from ..hosts import Host


def test_batches_hold_every_value_once() -> None:
    batches = [*in_batches(iter(range(1_100)))]
    assert [len(batch) for batch in batches] == [500, 500, 100]
    assert [value for batch in batches for value in batch] == [*range(1_100)]
    assert [*in_batches([])] == []


def test_the_databases_clock_runs_like_ours(any_host: Host) -> None:
    with any_host.app.app_context(), any_host.db.engine.connect() as connection:
        now = select(database_now(connection))
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
