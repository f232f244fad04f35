"""Databases with rows in every table, and what is in them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    Column,
    Engine,
    MetaData,
    Table,
    create_engine,
    func,
    insert,
    inspect,
    select,
    text,
)

from flask_autotag import Models, create_models
from flask_autotag.db.database import Database
from flask_autotag.db.migrations import running
from flask_autotag.db.migrations.upgrade import Upgrade

NOON = datetime.datetime(2026, 11, 25, 12, 0, 0, 123456)
SEEN = 1_795_608_000.25

#: Rows for the tables of the first release and of all later releases.
ROWS: dict[str, list[dict[str, Any]]] = {
    "asset": [
        {
            "id": number,
            "instance": "default" if number % 2 else "shop",
            "asset_type": "photo",
            "asset_id": str(number),
            "sha256": f"{number:064x}",
            "tagged_at": NOON if number % 3 else None,
            "no_image": False,
        }
        for number in range(1, 41)
    ],
    "tag": [
        {"id": 1, "instance": "default", "key": "dog", "name": "Dog", "concept": "n1"},
        {"id": 2, "instance": "shop", "key": "ΐ σκύλος", "name": "ΐ Σκύλος"},
        {"id": 2**40, "instance": "shop", "key": "😀", "name": "😀"},
    ],
    "word": [
        {
            "instance": "",
            "key": "wolf",
            "name": "Wolf",
            "becomes": "Dog",
            "becomes_key": "dog",
            "blocked": False,
            "threshold": 0.75,
            "changed_by": "ada",
            "changed_at": NOON,
        },
    ],
    "assignment": [
        {
            "asset_id": number,
            "tag_id": tag,
            "state": ("applied", "suggested", "rejected")[number % 3],
            "source": "person" if number % 5 == 0 else "provider",
            "provider": "tensorflow",
            "providers": "tensorflow,google",
            "model": "model 1",
            "confidence": number / 41,
            "decided_by": "ada" if number % 5 == 0 else None,
            "created_at": NOON,
        }
        for number in range(1, 41)
        for tag in (1, 2**40)
    ],
    "counter": [{"tag_id": 1, "instance": "default", "assets": 13}],
    "prediction": [
        {
            "asset_id": number,
            "provider": "tensorflow",
            "model": "model 1",
            "labels": [["n1", "dog", 0.9], ["n2", "wölf", 0.1]],
            "shared": False,
            "created_at": NOON,
        }
        for number in range(1, 41)
    ],
    "job": [
        {
            "id": number,
            "instance": "shop",
            "asset_type": "photo",
            "asset_id": str(number),
            "kind": "tag",
            "path": "/photos/ü.jpg",
            "dedupe_key": f"{number:064x}" if state == "queued" else None,
            "state": state,
            "priority": 0,
            "run_at": SEEN if state == "queued" else None,
            "claims": 1,
            "failures": 0,
            "crashes": 0,
            "error_code": "image_missing" if state == "failed" else None,
            "created_at": SEEN,
            "finished_at": None if state == "queued" else SEEN + 1,
        }
        for number, state in enumerate(("queued", "done", "failed"), 1)
    ],
    "upload": [
        {"job_id": 1, "part": 0, "data": b"\x00\xff" * 2000},
        {"job_id": 1, "part": 1, "data": b"end"},
    ],
    "setting": [
        {"instance": "", "section": "google", "name": "api_key", "value": "gAAAA"},
        {"instance": "shop", "section": "", "name": "max_tags", "value": "5"},
    ],
    "setting_change": [
        {
            "id": 7,
            "instance": "shop",
            "section": "",
            "name": "max_tags",
            "new": "5",
            "changed_by": "ada",
            "changed_at": NOON,
        },
    ],
    "provider_state": [
        {
            "instance": "shop",
            "provider": "google",
            "paused": "The key is wrong.",
            "paused_at": NOON,
            "failures": 3,
            "open_until": SEEN,
        },
    ],
    "usage": [
        {
            "instance": "shop",
            "provider": "google",
            "month": "2026-11",
            "calls": 2**40,
        },
    ],
    "inquiry": [
        {
            "instance": "",
            "provider": "google",
            "sha256": "f" * 64,
            "model": "v1",
            "labels": [["/m/1", "dog", 0.5]],
            "until": SEEN,
        },
    ],
    "bulk_action": [
        {
            "id": 2**40,
            "instance": "shop",
            "state": "applied",
            "expected": "suggested",
            "tag_key": "😀",
            "tag_name": "😀",
            "phase": "done",
            "images": 20,
            "changed": 19,
            "restored": 0,
            "decided_by": "ada",
            "request_key": "a key",
            "request_digest": "f" * 64,
            "created_at": NOON,
        },
    ],
    "bulk_item": [
        {
            "action_id": 2**40,
            "asset_id": number,
            "outcome": "changed",
            "old_state": "suggested",
            "old_source": "provider",
            "old_created_at": NOON,
            "decided_at": NOON,
        }
        for number in range(2, 41, 2)
    ],
}

Content = dict[str, list[dict[str, Any]]]


@contextmanager
def open_database(
    url: str, models: Models | None = None, patience: float = 30.0
) -> Iterator[Upgrade]:
    """Yield the :class:`Upgrade` of the database at *url*."""
    engine = create_engine(url)
    try:
        yield Upgrade(_Plain(models or create_models(MetaData()), engine), patience)
    finally:
        engine.dispose()


class _Plain(Database):
    def __init__(self, models: Models, engine: Engine) -> None:
        super().__init__(models)
        self._engine = engine

    @property
    def engine(self) -> Engine:
        return self._engine


def run_revisions(upgrade: Upgrade) -> None:
    """Run all revisions on an empty database, without ``create_all``."""
    with upgrade.database.engine.connect() as connection:
        running.upgrade(connection, upgrade.database.models, running.ignore)
        connection.commit()


def fill_tables(upgrade: Upgrade) -> None:
    """Write rows to all tables, as far as they have the columns."""
    with upgrade.database.engine.begin() as connection:
        for model, rows in ROWS.items():
            table = _reflect(upgrade, model)
            names = {name for row in rows for name in row} & {*table.columns.keys()}
            values = [{name: row.get(name) for name in names} for row in rows]
            connection.execute(insert(table), values)


def read_tables(upgrade: Upgrade) -> Content:
    """Return the rows of all tables except the one that stores the revision."""
    content = {}
    with upgrade.database.engine.connect() as connection:
        for model in ROWS:
            table = _reflect(upgrade, model)
            rows = connection.execute(select(table)).mappings()
            content[model] = sorted((dict(row) for row in rows), key=repr)
    return content


def common(content: Content, other: Content) -> Content:
    """Return *content* with the columns that *other* has too."""
    kept = {}
    for model, rows in content.items():
        names = {name for row in other[model] for name in row}
        kept[model] = sorted(
            ({name: row[name] for name in row if name in names} for row in rows),
            key=repr,
        )
    return kept


def count_rows(upgrade: Upgrade) -> int:
    """Return the number of rows in all tables."""
    with upgrade.database.engine.connect() as connection:
        return sum(
            connection.scalar(select(func.count()).select_from(_reflect(upgrade, each)))
            or 0
            for each in ROWS
        )


def differences(upgrade: Upgrade) -> list[Any]:
    """Compare the database with the models, as Alembic's autogenerate does."""
    with upgrade.database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_server_default": True, "include_schemas": False}
        )
        return list(compare_metadata(context, upgrade.database.models.metadata))


def table_names(upgrade: Upgrade) -> set[str]:
    return {*inspect(upgrade.database.engine).get_table_names()}


def _reflect(upgrade: Upgrade, model: str) -> Table:
    """Return a table with its present columns, and the types of the models."""
    engine, today = upgrade.database.engine, getattr(upgrade.database.models, model)
    table = today.__table__
    there = inspect(engine).get_columns(table.name, schema=table.schema)
    columns = {column["name"]: column["type"] for column in there}
    return Table(
        table.name,
        MetaData(),
        *(
            Column(name, table.c[name].type if name in table.c else kind)
            for name, kind in columns.items()
        ),
        schema=table.schema,
    )


def execute(upgrade: Upgrade, *statements: str) -> None:
    with upgrade.database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def stored_revision(upgrade: Upgrade) -> str | None:
    standing = upgrade.standing()
    return standing.revision if standing.stored else None
