"""Rows of assets, on each database, with and without ``INSERT … RETURNING``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from flask_autotag.tags.asset_rows import Name, ensure_rows

from ..hosts import Host

NAMES: list[Name] = [
    ("shop", "photo", "1"),
    ("shop", "photo", "2"),
    ("news", "photo", "1"),
    ("news", "video", "é 'x'"),
]


@pytest.fixture(params=["returning", "not returning"])
def made(
    any_host: Host, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Host]:
    """A host in its context; MySQL and older SQLite have no ``RETURNING``."""
    with any_host.app.app_context():
        if request.param == "not returning":
            dialect = any_host.db.engine.dialect
            monkeypatch.setattr(dialect, "insert_executemany_returning", False)
        yield any_host


def rows(host: Host) -> dict[tuple[str, ...], tuple[int, str | None]]:
    table = host.models.asset.__table__
    columns = [table.c[name] for name in ("instance", "asset_type", "asset_id")]
    with host.db.engine.connect() as connection:
        found = connection.execute(select(*columns, table.c.id, table.c.sha256)).all()
    return {tuple(row[:3]): (row.id, row.sha256) for row in found}


def test_new_rows_are_made_and_old_ones_changed(made: Host) -> None:
    table = made.models.asset.__table__
    with made.db.engine.begin() as connection:
        first = ensure_rows(connection, table, {NAMES[1]: {"sha256": "a" * 64}})
    with made.db.engine.begin() as connection:
        found = ensure_rows(
            connection, table, {name: {"sha256": "b" * 64} for name in NAMES}
        )
    assert found[NAMES[1]] == first[NAMES[1]]
    assert list(found) == NAMES
    assert rows(made) == {name: (found[name], "b" * 64) for name in NAMES}


def test_without_columns_nothing_is_changed(made: Host) -> None:
    table = made.models.asset.__table__
    with made.db.engine.begin() as connection:
        before = ensure_rows(connection, table, {NAMES[0]: {"sha256": "a" * 64}})
    with made.db.engine.begin() as connection:
        after = ensure_rows(connection, table, {name: {} for name in NAMES[:2]})
    assert after[NAMES[0]] == before[NAMES[0]]
    assert rows(made) == {
        NAMES[0]: (before[NAMES[0]], "a" * 64),
        NAMES[1]: (after[NAMES[1]], None),
    }
