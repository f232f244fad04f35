"""The states of a job, and how it enters the queue.

::

    queued ──claim──▶ running ──▶ done | failed | quarantined | cancelled
      ▲                  │
      └── retry, snooze, hand back, or its lease ran out

Whoever claims a job gets a lease and a token (``claims.py``). Every later statement
about the job asks for that token, so a worker that was stopped for longer than its
lease cannot write over the work of the one that took the job up after it. How a job
ends is in ``ends.py``.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Table,
    delete,
    select,
    update,
)
from sqlalchemy.orm import Session

from ..assets import AssetRef
from ..database import Database, database_now, insert_or_ignore, lock_writers
from ..models import UPLOAD_PART_BYTES, Models
from ..sources import Captured

QUEUED, RUNNING = "queued", "running"
DONE: Final = "done"
FAILED: Final = "failed"
QUARANTINED, CANCELLED = "quarantined", "cancelled"
ENDS = (DONE, FAILED, QUARANTINED, CANCELLED)

#: Kinds: to tag one asset, or to apply new settings to all of an instance.
TAG, RULES = "tag", "rules"
#: Names what a job of the kind RULES is about, where others name an asset.
RULES_TYPE = "autotag_rules"

#: Priorities: bulk work is claimed when no fresh upload is due.
FRESH, BULK = 0, 1


@dataclass(frozen=True)
class Job:
    """A job that this worker has claimed."""

    id: int
    asset: AssetRef
    instance: str
    path: str | None
    failures: int
    crashes: int
    token: str
    kind: str = TAG
    done_to: int | None = None


@dataclass(frozen=True)
class Intent:
    """An image that is to be classified, and what its job keeps of it."""

    asset: AssetRef
    instance: str
    image: Captured

    @property
    def dedupe_key(self) -> str:
        """Equal for the same content of the same asset, as far as that can be told."""
        return _dedupe_key(self.asset, self.instance, self.image)


def enqueue(
    connection: Connection,
    models: Models,
    asset: AssetRef,
    instance: str,
    image: Captured,
    priority: int = FRESH,
) -> int:
    """Write a job, unless a live one has the same asset and content.

    On PostgreSQL it is written inside a savepoint: there a statement that fails,
    say because the tables are missing, would cost the host its transaction. (On
    SQLite a savepoint must not be used: before the first write of a transaction,
    releasing it would commit.)

    :return: the id of the job, or of the live one.
    """
    if connection.dialect.name == "postgresql":
        with connection.begin_nested():
            return _write(connection, models, asset, instance, image, priority)
    return _write(connection, models, asset, instance, image, priority)


def enqueue_bulk(
    session: Session, models: Models, intents: Sequence[Intent]
) -> list[int]:
    """Write bulk jobs, as :func:`enqueue` does, in a transaction of our own.

    :return: the ids of the jobs, or of the live ones.
    """
    if not intents:
        return []
    connection = session.connection()
    by_key = {intent.dedupe_key: intent for intent in intents}
    ids = _insert_all(connection, models.job.__table__, by_key)
    for key, job_id in ids.items():
        data = by_key[key].image.data
        if data is not None:
            _insert_data(connection, models, job_id, data)
    return [ids[key] for key in by_key if key in ids]


def _insert_all(
    connection: Connection, table: Table, by_key: Mapping[str, Intent]
) -> dict[str, int]:
    """Write bulk jobs unless they are there; give the id of each by its key."""
    dialect = connection.dialect
    rows = [_row(intent, key, BULK) for key, intent in by_key.items()]
    statement = _insert(table, dialect.name)
    ids: dict[str, int] = {}
    if _returns_rows(dialect):
        returned = statement.returning(table.c.id, table.c.dedupe_key)
        ids = {row.dedupe_key: row.id for row in connection.execute(returned, rows)}
    else:
        connection.execute(statement, rows)
    missing = by_key.keys() - ids.keys()
    if missing:
        present = select(table.c.id, table.c.dedupe_key).where(
            table.c.dedupe_key.in_(missing)
        )
        ids |= {row.dedupe_key: row.id for row in connection.execute(present)}
    return ids


def enqueue_rules(session: Session, models: Models, instance: str) -> int:
    """Write the job that applies an instance's settings to its existing images.

    If there is a live one, it begins again as if it were new: its worker loses it.

    :return: its id.
    """
    table = models.job.__table__
    dialect = session.get_bind().dialect.name
    now = database_now(dialect)
    asset = AssetRef(RULES_TYPE, instance)
    key = _dedupe_key(asset, instance, Captured(content=RULES))
    afresh = {
        "state": QUEUED,
        "lease_token": None,
        "done_to": None,
        "run_at": now,
        "created_at": now,
    }
    lock_writers(session, table)
    session.execute(update(table).where(table.c.dedupe_key == key).values(**afresh))
    session.execute(
        insert_or_ignore(table, dialect, ["dedupe_key"]).values(
            instance=instance,
            asset_type=asset.type,
            asset_id=asset.id,
            kind=RULES,
            dedupe_key=key,
            priority=BULK,
            claims=0,
            failures=0,
            crashes=0,
            **afresh,
        )
    )
    return _live_job(session.connection(), models, key, BULK)


def _write(
    connection: Connection,
    models: Models,
    asset: AssetRef,
    instance: str,
    image: Captured,
    priority: int,
) -> int:
    table = models.job.__table__
    dialect = connection.dialect
    intent = Intent(asset, instance, image)
    key = intent.dedupe_key
    statement = _insert(table, dialect.name).values(_row(intent, key, priority))
    job_id: int | None = None
    if _returns_rows(dialect):
        job_id = connection.execute(statement.returning(table.c.id)).scalar()
    else:
        connection.execute(statement)
    if job_id is None:
        job_id = _live_job(connection, models, key, priority)
    if image.data is not None:
        _insert_data(connection, models, job_id, image.data)
    return job_id


def _insert(table: Table, dialect: str) -> Insert:
    """Make the INSERT of jobs that are due now; a live one of the same key stays."""
    now = database_now(dialect)
    statement = insert_or_ignore(table, dialect, ["dedupe_key"])
    return statement.values(run_at=now, created_at=now)


def _returns_rows(dialect: Dialect) -> bool:
    """Whether the INSERT gives back the rows that it has written, and no others."""
    return dialect.name in ("postgresql", "sqlite") and dialect.insert_returning


def _row(intent: Intent, key: str, priority: int) -> dict[str, Any]:
    return {
        "instance": intent.instance,
        "asset_type": intent.asset.type,
        "asset_id": intent.asset.id,
        "kind": TAG,
        "path": intent.image.path,
        "dedupe_key": key,
        "state": QUEUED,
        "priority": priority,
        "claims": 0,
        "failures": 0,
        "crashes": 0,
    }


def _live_job(connection: Connection, models: Models, key: str, priority: int) -> int:
    """Find the live job of a content; a fresh upload takes it out of the bulk."""
    table = models.job.__table__
    if priority == FRESH:
        connection.execute(
            update(table)
            .where(table.c.dedupe_key == key, table.c.priority == BULK)
            .values(priority=FRESH)
        )
    found: int = connection.execute(
        select(table.c.id).where(table.c.dedupe_key == key)
    ).scalar_one()
    return found


def _insert_data(
    connection: Connection, models: Models, job_id: int, data: bytes
) -> None:
    upload = models.upload.__table__
    statement = insert_or_ignore(upload, connection.dialect.name, ["job_id", "part"])
    starts = range(0, max(1, len(data)), UPLOAD_PART_BYTES)
    rows = [
        {"job_id": job_id, "part": part, "data": data[at : at + UPLOAD_PART_BYTES]}
        for part, at in enumerate(starts)
    ]
    connection.execute(statement, rows)


def _is_of(job: Table, asset: AssetRef) -> tuple[ColumnElement[bool], ...]:
    return (job.c.asset_type == asset.type, job.c.asset_id == asset.id)


def _dedupe_key(asset: AssetRef, instance: str, image: Captured) -> str:
    content = image.content or uuid.uuid4().hex
    words = "\0".join((instance, asset.type, asset.id, content))
    return hashlib.sha256(words.encode()).hexdigest()


def read_data(database: Database, job: Job) -> bytes | None:
    """Read the bytes that travelled with a job, if any did."""
    table = database.models.upload.__table__
    with database.begin() as session:
        parts = session.scalars(
            select(table.c.data).where(table.c.job_id == job.id).order_by(table.c.part)
        ).all()
    return b"".join(parts) if parts else None


def move(connection: Connection, models: Models, asset: AssetRef, to: AssetRef) -> None:
    """Let the jobs of an asset be those of another name.

    A worker that runs one of them writes nothing: it knows only the former name. The
    job is due again.
    """
    job = models.job.__table__
    named = {"asset_type": to.type, "asset_id": to.id}
    again = {
        "state": QUEUED,
        "run_at": database_now(connection.dialect.name),
        "lease_token": None,
        "lease_owner": None,
    }
    same = _is_of(job, asset)
    running = update(job).where(*same, job.c.state == RUNNING)
    connection.execute(running.values(**again))
    # Without its key it keeps no upload out that has the former name from now on.
    connection.execute(update(job).where(*same).values(**named, dedupe_key=None))


def forget(connection: Connection, models: Models, asset: AssetRef) -> None:
    """Delete the jobs of an asset; a worker that runs one of them writes nothing."""
    job, upload = models.job.__table__, models.upload.__table__
    same = _is_of(job, asset)
    ids = select(job.c.id).where(*same)
    connection.execute(delete(upload).where(upload.c.job_id.in_(ids)))
    connection.execute(delete(job).where(*same))
