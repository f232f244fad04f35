"""The states of a job, and the statements that move it between them.

::

    queued ──claim──▶ running ──▶ done | failed | cancelled
      ▲                  │
      └──────retry───────┘   claimed for the third time after crashes: quarantined

Whoever claims a job gets a lease and a token. Every later statement about the job
asks for that token, so a worker that was stopped for longer than its lease cannot
write over the work of the one that took the job up after it.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    case,
    delete,
    select,
    update,
)
from sqlalchemy.orm import Session

from ..assets import AssetRef
from ..database import Database, database_now, insert_or_ignore, rows_changed
from ..errors import ClassifierCrashed, TaggingError
from ..models import UPLOAD_PART_BYTES, Models
from ..sources import Captured

QUEUED, RUNNING = "queued", "running"
DONE, FAILED = "done", "failed"
QUARANTINED, CANCELLED = "quarantined", "cancelled"

#: How often a job is tried whose failure may pass.
TRIES = 6
#: Crashes of a worker or child after which an image is not tried again.
CRASHES = 3
#: Seconds before the first retry; doubled for each further one …
FIRST_RETRY = 10.0
#: … up to this many.
LONGEST_RETRY = 3600.0

#: Characters of a sentence that are kept.
_ERROR_LENGTH = 2000


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


def enqueue(
    connection: Connection,
    models: Models,
    asset: AssetRef,
    instance: str,
    image: Captured,
) -> None:
    """Write a job, unless a live one has the same asset and content.

    On PostgreSQL it is written inside a savepoint: there a statement that fails,
    say because the tables are missing, would cost the host its transaction. (On
    SQLite a savepoint must not be used: before the first write of a transaction,
    releasing it would commit.)
    """
    if connection.dialect.name == "postgresql":
        with connection.begin_nested():
            _insert(connection, models, asset, instance, image)
    else:
        _insert(connection, models, asset, instance, image)


def _insert(
    connection: Connection,
    models: Models,
    asset: AssetRef,
    instance: str,
    image: Captured,
) -> None:
    table = models.job.__table__
    dialect = connection.dialect.name
    now = database_now(dialect)
    key = _dedupe_key(asset, instance, image)
    connection.execute(
        insert_or_ignore(table, dialect, ["dedupe_key"]).values(
            instance=instance,
            asset_type=asset.type,
            asset_id=asset.id,
            path=image.path,
            dedupe_key=key,
            state=QUEUED,
            run_at=now,
            created_at=now,
            claims=0,
            failures=0,
            crashes=0,
        )
    )
    if image.data is not None:
        _insert_data(connection, models, key, image.data)


def _insert_data(connection: Connection, models: Models, key: str, data: bytes) -> None:
    job, upload = models.job.__table__, models.upload.__table__
    job_id = connection.execute(
        select(job.c.id).where(job.c.dedupe_key == key)
    ).scalar_one()
    statement = insert_or_ignore(upload, connection.dialect.name, ["job_id", "part"])
    starts = range(0, max(1, len(data)), UPLOAD_PART_BYTES)
    rows = [
        {"job_id": job_id, "part": part, "data": data[at : at + UPLOAD_PART_BYTES]}
        for part, at in enumerate(starts)
    ]
    connection.execute(statement, rows)


def _dedupe_key(asset: AssetRef, instance: str, image: Captured) -> str:
    content = image.content or uuid.uuid4().hex
    words = "\0".join((instance, asset.type, asset.id, content))
    return hashlib.sha256(words.encode()).hexdigest()


def claim(database: Database, limit: int, owner: str, lease: float) -> list[Job]:
    """Claim the jobs that are due, the oldest first.

    Among them are those whose lease ran out because their worker died.

    :param limit: how many at most.
    :param owner: a name for the worker, for people to read.
    :param lease: seconds after which another worker may claim them.
    """
    token = uuid.uuid4().hex
    table = database.models.job.__table__
    if not _any_due(database, table):
        return []
    with database.begin() as session:
        _quarantine_due(session, table)
        if not _lease_due(session, table, limit, owner, token, lease):
            return []
        rows = session.execute(
            select(table).where(table.c.lease_token == token).order_by(table.c.id)
        )
        return [_job(row) for row in rows]


def _any_due(database: Database, table: Table) -> bool:
    """Look before locking: an idle worker must not keep SQLite's writers waiting."""
    with database.begin() as session:
        now = database_now(session.get_bind().dialect.name)
        due = select(table.c.id).where(table.c.run_at <= now).limit(1)
        return session.execute(due).first() is not None


def _lease_due(
    session: Session, table: Table, limit: int, owner: str, token: str, lease: float
) -> int:
    dialect = session.get_bind().dialect.name
    now = database_now(dialect)
    due = (
        select(table.c.id)
        .where(table.c.run_at <= now)
        .order_by(table.c.run_at, table.c.id)
        .limit(limit)
    )
    if dialect == "sqlite":
        # One statement that begins with the write: it waits for other writers,
        # where a transaction that has read first would be refused.
        chosen = table.c.id.in_(due)
    else:
        ids = session.scalars(due.with_for_update(skip_locked=True)).all()
        chosen = table.c.id.in_(ids)
    # MySQL assigns from left to right: crashes must see the state from before.
    statement = (
        update(table)
        .where(chosen)
        .ordered_values(
            (
                table.c.crashes,
                table.c.crashes + case((table.c.state == RUNNING, 1), else_=0),
            ),
            (table.c.state, RUNNING),
            (table.c.claims, table.c.claims + 1),
            (table.c.lease_token, token),
            (table.c.lease_owner, owner[:100]),
            (table.c.run_at, now + lease),
        )
    )
    return rows_changed(session, statement)


def _quarantine_due(session: Session, table: Table) -> None:
    """End the jobs whose image has killed its worker too often."""
    now = database_now(session.get_bind().dialect.name)
    session.execute(
        update(table)
        .where(
            table.c.run_at <= now,
            table.c.state == RUNNING,
            table.c.crashes >= CRASHES - 1,
        )
        .values(
            crashes=table.c.crashes + 1,
            state=QUARANTINED,
            error_code=ClassifierCrashed.code,
            error_text="The worker died each time it tried this image.",
            finished_at=now,
            run_at=None,
            dedupe_key=None,
            lease_token=None,
        )
    )


def _job(row: Row[tuple[object, ...]]) -> Job:
    return Job(
        id=row.id,
        asset=AssetRef(row.asset_type, row.asset_id),
        instance=row.instance,
        path=row.path,
        failures=row.failures,
        crashes=row.crashes,
        token=row.lease_token,
    )


def finish(
    session: Session,
    models: Models,
    job: Job,
    state: str,
    error: TaggingError | None = None,
) -> bool:
    """Move a claimed job to its end, inside the transaction that writes its tags.

    :param state: one of the ends.
    :return: ``False`` if the job is no longer this worker's: write nothing then.
    """
    now = database_now(session.get_bind().dialect.name)
    table = models.job.__table__
    mine = rows_changed(
        session,
        update(table)
        .where(*_is_mine(table, job))
        .values(
            state=state,
            run_at=None,
            dedupe_key=None,
            lease_token=None,
            finished_at=now,
            **_error_values(error),
        ),
    )
    if mine:
        upload = models.upload.__table__
        session.execute(delete(upload).where(upload.c.job_id == job.id))
    return bool(mine)


def fail(database: Database, job: Job, error: TaggingError) -> str | None:
    """Try the job again later, or end it where that cannot help.

    :return: its new state; ``None`` if the job is no longer this worker's.
    """
    crashed = isinstance(error, ClassifierCrashed)
    with database.begin() as session:
        if crashed and job.crashes + 1 >= CRASHES:
            return _end(session, database.models, job, QUARANTINED, error)
        if error.permanent or job.failures + 1 >= TRIES:
            return _end(session, database.models, job, FAILED, error)
        return _retry(session, database.models, job, error, crashed)


def _end(
    session: Session, models: Models, job: Job, state: str, error: TaggingError
) -> str | None:
    return state if finish(session, models, job, state, error) else None


def _retry(
    session: Session, models: Models, job: Job, error: TaggingError, crashed: bool
) -> str | None:
    now = database_now(session.get_bind().dialect.name)
    table = models.job.__table__
    mine = rows_changed(
        session,
        update(table)
        .where(*_is_mine(table, job))
        .values(
            state=QUEUED,
            run_at=now + retry_delay(job.failures),
            failures=job.failures + (not crashed),
            crashes=job.crashes + crashed,
            lease_token=None,
            **_error_values(error),
        ),
    )
    return QUEUED if mine else None


def retry_delay(failures: int) -> float:
    """Seconds to wait after one more failure: doubled each time, with jitter.

    :param failures: how often the job failed before.
    """
    longest = min(LONGEST_RETRY, FIRST_RETRY * 2.0**failures)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def forget(connection: Connection, models: Models, asset: AssetRef) -> None:
    """Delete the jobs of an asset; a worker that runs one of them writes nothing."""
    job, upload = models.job.__table__, models.upload.__table__
    same = (job.c.asset_type == asset.type, job.c.asset_id == asset.id)
    ids = select(job.c.id).where(*same)
    connection.execute(delete(upload).where(upload.c.job_id.in_(ids)))
    connection.execute(delete(job).where(*same))


def read_data(database: Database, job: Job) -> bytes | None:
    """Read the bytes that travelled with a job, if any did."""
    table = database.models.upload.__table__
    with database.begin() as session:
        parts = session.scalars(
            select(table.c.data).where(table.c.job_id == job.id).order_by(table.c.part)
        ).all()
    return b"".join(parts) if parts else None


def _is_mine(table: Table, job: Job) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.id == job.id,
        table.c.lease_token == job.token,
        table.c.state == RUNNING,
    )


def _error_values(error: TaggingError | None) -> dict[str, str | None]:
    return {
        "error_code": error.code if error else None,
        "error_text": str(error)[:_ERROR_LENGTH] if error else None,
    }
