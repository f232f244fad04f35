"""The states of a job, and how it enters the queue.

::

    queued ──claim──▶ running ──▶ done | failed | quarantined | cancelled
      ▲                  │
      └── retry, snooze, hand back, or expired lease

A claim gives the worker a lease and a token (``claims.py``). Each later statement about
the job checks the token, so that a worker that was stopped for longer than its lease
cannot overwrite the work of the next worker. ``outcomes.py`` ends jobs.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Table,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from ..db.columns import UPLOAD_PART_BYTES
from ..db.database import Database
from ..db.job_states import BULK, FRESH, QUEUED, RULES, RULES_TYPE, RUNNING, TAG
from ..db.models import Models
from ..db.sql import (
    database_now,
    dialect_of,
    in_batches,
    insert_or_ignore,
    lock_writers,
    rows_changed,
)
from ..host.assets import AssetRef
from ..host.image_source import Captured
from ..tags.asset_rows import is_of


@dataclass(frozen=True)
class Job:
    """A claimed job.

    :param path: file of the image; ``None`` if it is stored or loaded by the host.
    :param token: token of the claim, see the module's docstring.
    :param done_to: key of the last asset that a long job has done.
    :param is_suspect: whether it was lost with its worker before or failed
        unexpectedly, so that it was claimed alone.
    """

    id: int
    asset: AssetRef
    instance: str
    path: str | None
    failures: int
    crashes: int
    token: str
    kind: str = TAG
    done_to: int | None = None
    is_suspect: bool = False


@dataclass(frozen=True)
class Intent:
    """A request to classify an image, before its job is written."""

    asset: AssetRef
    instance: str
    image: Captured

    @property
    def dedupe_key(self) -> str:
        """A key that is equal for equal content of the same asset, if that is known.

        If the content is not known, each call returns another key.
        """
        content = self.image.content or uuid.uuid4().hex
        parts = "\0".join((self.instance, self.asset.type, self.asset.id, content))
        return hashlib.sha256(parts.encode()).hexdigest()


def enqueue(
    connection: Connection,
    models: Models,
    intent: Intent,
    priority: int = FRESH,
    kind: str = TAG,
) -> int:
    """Write a job, unless a live job has the same asset and content.

    :return: the id of the new or live job.
    """
    table = models.job.__table__
    row = _row(intent, intent.dedupe_key, priority, kind)
    if dialect_of(connection) in ("mysql", "mariadb"):
        job_id = _insert_or_find(connection, table, row)
    else:
        ids: dict[str, int] = {}
        while not ids:
            # A live job may end before its id is read: the next attempt inserts.
            ids = _insert_all(connection, table, [row])
        [job_id] = ids.values()
    _insert_data(connection, models, {job_id: intent.image.data})
    return job_id


def enqueue_bulk(
    session: Session, models: Models, intents: Sequence[Intent]
) -> list[int]:
    """Write bulk jobs, unless live jobs have the same asset and content.

    :return: the ids of the new or live jobs.
    """
    if not intents:
        return []
    connection = session.connection()
    by_key = {intent.dedupe_key: intent for intent in intents}
    rows = [_row(intent, key, BULK) for key, intent in by_key.items()]
    ids = _insert_all(connection, models.job.__table__, rows)
    images = {job_id: by_key[key].image.data for key, job_id in ids.items()}
    _insert_data(connection, models, images)
    return [ids[key] for key in by_key if key in ids]


def enqueue_reapply(
    session: Session, models: Models, instances: Iterable[str]
) -> list[int]:
    """Write the jobs that apply the settings of instances to their existing images.

    A live job restarts from the first image, and its worker loses it. The number of
    statements grows only with each 500 instances.

    :return: the ids of the jobs.
    """
    table = models.job.__table__
    intents = (
        Intent(AssetRef(RULES_TYPE, each), each, Captured(content=RULES))
        for each in sorted(instances)
    )
    restart = {
        "state": QUEUED,
        "lease_token": None,
        "done_to": None,
        "run_at": database_now(session),
        "created_at": database_now(session),
    }
    ids: list[int] = []
    lock_writers(session, table)
    for batch in in_batches(intents):
        rows = [_row(intent, intent.dedupe_key, BULK, RULES) for intent in batch]
        keys = [row["dedupe_key"] for row in rows]
        live = table.c.dedupe_key.in_(keys)
        session.execute(update(table).where(live).values(**restart))
        found = _insert_all(session.connection(), table, rows)
        ids += [found[key] for key in keys if key in found]
    return ids


def _row(intent: Intent, key: str, priority: int, kind: str = TAG) -> dict[str, Any]:
    return {
        "instance": intent.instance,
        "asset_type": intent.asset.type,
        "asset_id": intent.asset.id,
        "kind": kind,
        "path": intent.image.path,
        "dedupe_key": key,
        "state": QUEUED,
        "priority": priority,
        "claims": 0,
        "failures": 0,
        "crashes": 0,
    }


def _insert_all(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> dict[str, int]:
    """Insert jobs that are due now, except for those whose key a live job has.

    A fresh upload raises the priority of a live bulk job.

    :param rows: jobs of the same priority.
    :return: the ids of the new or live jobs, by ``dedupe_key``.
    """
    now, dialect = database_now(connection), connection.dialect
    insert = insert_or_ignore(table, dialect.name, ["dedupe_key"])
    insert = insert.values(run_at=now, created_at=now)
    columns = (table.c.id, table.c.dedupe_key)
    ids: dict[str, int] = {}
    if dialect.name in ("postgresql", "sqlite") and dialect.insert_returning:
        # The other databases would also return rows that they have not written.
        written = connection.execute(insert.returning(*columns), rows)
        ids = {row.dedupe_key: row.id for row in written}
    else:
        connection.execute(insert, rows)
    missing = {row["dedupe_key"] for row in rows} - ids.keys()
    if missing:
        live = table.c.dedupe_key.in_(missing)
        if rows[0]["priority"] == FRESH:
            is_bulk = table.c.priority == BULK
            raised = update(table).where(live, is_bulk).values(priority=FRESH)
            connection.execute(raised)
        found = connection.execute(select(*columns).where(live))
        ids |= {row.dedupe_key: row.id for row in found}
    return ids


def _insert_or_find(connection: Connection, table: Table, row: dict[str, Any]) -> int:
    """Insert a job or find the live one, in one statement on MariaDB and MySQL.

    Not all their versions return rows from an INSERT, but all return the last id.
    """
    from sqlalchemy.dialects import mysql

    now = database_now(connection)
    insert = mysql.insert(table).values(run_at=now, created_at=now, **row)
    result = connection.execute(
        insert.on_duplicate_key_update(
            id=func.last_insert_id(table.c.id),
            priority=func.least(table.c.priority, insert.inserted.priority),
        )
    )
    [job_id] = result.inserted_primary_key or [0]
    return int(job_id)


def _insert_data(
    connection: Connection, models: Models, images: Mapping[int, bytes | None]
) -> None:
    """Write the bytes that travel with jobs, in parts that fit into a packet.

    :param images: the bytes by job; ``None`` for a job without any.
    """
    upload = models.upload.__table__
    rows = [
        {"job_id": job_id, "part": part, "data": data[at : at + UPLOAD_PART_BYTES]}
        for job_id, data in images.items()
        if data is not None
        for part, at in enumerate(range(0, max(1, len(data)), UPLOAD_PART_BYTES))
    ]
    if rows:
        statement = insert_or_ignore(upload, dialect_of(connection), ["job_id", "part"])
        connection.execute(statement, rows)


def is_known(
    connection: Connection, models: Models, asset: AssetRef, instance: str
) -> bool:
    """Return whether an asset has a job, was classified, or was found to be no image.

    People's tags do not count.
    """
    job, table = models.job.__table__, models.asset.__table__
    queued = exists().where(is_of(job, asset, instance))
    met = exists().where(
        is_of(table, asset, instance),
        or_(table.c.tagged_at.is_not(None), table.c.no_image),
    )
    return bool(connection.scalar(select(or_(queued, met))))


def jobs_with_data(database: Database, jobs: Iterable[Job]) -> set[int]:
    """Return the ids of the jobs with which image bytes are stored."""
    table = database.models.upload.__table__
    ids = [job.id for job in jobs if job.path is None]
    if not ids:
        return set()
    with database.begin() as session:
        first = select(table.c.job_id).where(table.c.job_id.in_(ids), table.c.part == 0)
        return set(session.scalars(first))


def read_data(database: Database, job: Job) -> bytes | None:
    """Return the image bytes that are stored with a job, if any are."""
    table = database.models.upload.__table__
    with database.begin() as session:
        parts = session.scalars(
            select(table.c.data).where(table.c.job_id == job.id).order_by(table.c.part)
        ).all()
    return b"".join(parts) if parts else None


def move(
    connection: Connection,
    models: Models,
    asset: AssetRef,
    to: AssetRef,
    instance: str,
) -> bool:
    """Rename the asset of its jobs in an instance.

    Running jobs are queued again: their workers know only the former name, and write
    nothing.

    :return: whether there are any.
    """
    job = models.job.__table__
    name = {"asset_type": to.type, "asset_id": to.id}
    requeued = {
        "state": QUEUED,
        "run_at": database_now(connection),
        "lease_token": None,
        "lease_owner": None,
    }
    same = is_of(job, asset, instance)
    running = update(job).where(same, job.c.state == RUNNING)
    connection.execute(running.values(**requeued))
    # The key contains the former name: kept, it would block uploads of a new asset
    # with that name.
    renamed = update(job).where(same).values(**name, dedupe_key=None)
    return bool(rows_changed(connection, renamed))


def forget(
    connection: Connection, models: Models, asset: AssetRef, instance: str
) -> None:
    """Delete the jobs of an asset in an instance; their workers write nothing."""
    job, same = models.job.__table__, is_of(models.job.__table__, asset, instance)
    _delete_uploads(connection, models, select(job.c.id).where(same))
    connection.execute(delete(job).where(same))


def delete_jobs(connection: Connection, models: Models, ids: Collection[int]) -> None:
    """Delete jobs with their stored images."""
    job = models.job.__table__
    _delete_uploads(connection, models, ids)
    connection.execute(delete(job).where(job.c.id.in_(ids)))


def _delete_uploads(
    connection: Connection, models: Models, ids: Collection[int] | Select[Any]
) -> None:
    upload = models.upload.__table__
    connection.execute(delete(upload).where(upload.c.job_id.in_(ids)))
