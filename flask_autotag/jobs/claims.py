"""Who may work on a job: claims, leases, and what becomes of lost ones."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, select, update
from sqlalchemy.orm import Session

from ..assets import AssetRef
from ..database import Database, database_now, lock_writers, rows_changed
from ..errors import ClassifierCrashed
from .queue import BULK, FRESH, QUARANTINED, QUEUED, RUNNING, Job

#: Crashes of a worker or child after which an image is not tried again.
CRASHES = 3
#: Seconds for which a claimed job is its worker's. The worker renews the lease.
LEASE = 60.0
#: Lost jobs that one transaction takes care of.
_SWEEP = 500
#: Characters of the column.
_OWNER_LENGTH = 100


def claim(
    database: Database, limit: int, owner: str, lease: float = LEASE
) -> list[Job]:
    """Claim jobs that are due: fresh uploads first, of these the oldest.

    A job that was lost with its worker before is claimed alone, so that the next
    loss is surely its own.

    :param limit: how many at most.
    :param owner: a name for the worker, for people to read.
    :param lease: seconds.
    """
    if database.engine.dialect.name == "sqlite" and not _any_due(database):
        return []

    def work(session: Session) -> list[Job]:
        table = database.models.job.__table__
        lock_writers(session, table)
        for priority in (FRESH, BULK):
            due = _due(session, table, priority).order_by(table.c.run_at, table.c.id)
            rows = _one_suspect(_lock(session, due.limit(limit)))
            if rows:
                return _take(session, table, rows, owner, lease)
        return []

    return database.transact(work)


def claim_one(
    database: Database, job_id: int, owner: str, lease: float = LEASE
) -> list[Job]:
    """Claim one job if it is due; of a message that comes twice, one finds it."""

    def work(session: Session) -> list[Job]:
        table = database.models.job.__table__
        now = database_now(session.get_bind().dialect.name)
        lock_writers(session, table)
        wanted = select(table).where(
            table.c.id == job_id, table.c.state == QUEUED, table.c.run_at <= now
        )
        rows = _lock(session, wanted)
        return _take(session, table, rows, owner, lease) if rows else []

    return database.transact(work)


def _any_due(database: Database) -> bool:
    """Look before locking: an idle worker must not keep SQLite's writers waiting.

    On the other databases only rows are locked, and there are none.
    """
    table = database.models.job.__table__

    def work(session: Session) -> bool:
        return any(
            session.execute(
                _due(session, table, priority).with_only_columns(table.c.id).limit(1)
            ).first()
            for priority in (FRESH, BULK)
        )

    return database.transact(work)


def _due(session: Session, table: Table, priority: int) -> Select[Any]:
    now = database_now(session.get_bind().dialect.name)
    return select(table).where(
        table.c.state == QUEUED, table.c.priority == priority, table.c.run_at <= now
    )


def _lock(session: Session, statement: Select[Any]) -> Sequence[Row[Any]]:
    """Read rows that no other transaction holds, and hold them."""
    return session.execute(statement.with_for_update(skip_locked=True)).all()


def _one_suspect(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    suspects = (place for place, row in enumerate(rows) if row.crashes)
    first = next(suspects, len(rows))
    return rows[: max(1, first)]


def _take(
    session: Session, table: Table, rows: Sequence[Row[Any]], owner: str, lease: float
) -> list[Job]:
    token = uuid.uuid4().hex
    session.execute(
        update(table)
        .where(table.c.id.in_([row.id for row in rows]))
        .values(
            state=RUNNING,
            claims=table.c.claims + 1,
            lease_token=token,
            lease_owner=owner[:_OWNER_LENGTH],
            run_at=database_now(session.get_bind().dialect.name) + lease,
        )
    )
    return [
        Job(
            id=row.id,
            asset=AssetRef(row.asset_type, row.asset_id),
            instance=row.instance,
            path=row.path,
            failures=row.failures,
            crashes=row.crashes,
            token=token,
            kind=row.kind,
            done_to=row.done_to,
        )
        for row in rows
    ]


def are_ours(table: Table, jobs: Collection[Job]) -> tuple[ColumnElement[bool], ...]:
    """Make the condition that every statement about claimed *jobs* asks."""
    return (
        table.c.id.in_([job.id for job in jobs]),
        table.c.lease_token.in_({job.token for job in jobs}),
        table.c.state == RUNNING,
    )


def renew(database: Database, jobs: Collection[Job], lease: float) -> list[Job]:
    """Prolong the leases of *jobs*.

    :return: those that are no longer ours: stop working on them.
    """
    table = database.models.job.__table__

    def work(session: Session) -> list[Job]:
        now = database_now(session.get_bind().dialect.name)
        statement = update(table).where(*are_ours(table, jobs))
        kept = rows_changed(session, statement.values(run_at=now + lease))
        if kept == len(jobs):
            return []
        ours = select(table.c.id).where(*are_ours(table, jobs))
        left = set(session.scalars(ours))
        return [job for job in jobs if job.id not in left]

    return database.transact(work, patience=lease / 4) if jobs else []


def hand_back(database: Database, jobs: Collection[Job], seconds: float = 0.0) -> None:
    """Give up *jobs* that were not worked on; no try is counted.

    :param seconds: after which they may be claimed again.
    """
    table = database.models.job.__table__

    def work(session: Session) -> None:
        now = database_now(session.get_bind().dialect.name)
        session.execute(
            update(table)
            .where(*are_ours(table, jobs))
            .values(state=QUEUED, run_at=now + seconds, lease_token=None)
        )

    if jobs:
        database.transact(work)


def sweep(database: Database) -> int:
    """Queue the jobs again whose lease ran out, at their old place.

    Their worker was killed, or stopped for too long. The image is not to blame in
    all likelihood, but it may be: the third time it is put in quarantine.

    :return: how many there were.
    """
    table = database.models.job.__table__
    found = 0
    while _any_expired(database):
        found += database.transact(lambda session: _sweep(session, table))
    return found


def _any_expired(database: Database) -> bool:
    with database.begin() as session:
        expired = _expired(session, database.models.job.__table__)
        return session.execute(expired.limit(1)).first() is not None


def _expired(session: Session, table: Table) -> Select[Any]:
    now = database_now(session.get_bind().dialect.name)
    return select(table.c.id, table.c.crashes).where(
        table.c.state == RUNNING,
        # All there are, so that the index serves the time too.
        table.c.priority.in_((FRESH, BULK)),
        table.c.run_at <= now,
    )


def _sweep(session: Session, table: Table) -> int:
    lock_writers(session, table)
    rows = _lock(session, _expired(session, table).limit(_SWEEP))
    again = [row.id for row in rows if row.crashes + 1 < CRASHES]
    ended = [row.id for row in rows if row.crashes + 1 >= CRASHES]
    lost = {"crashes": table.c.crashes + 1, "lease_token": None}
    session.execute(
        update(table)
        .where(table.c.id.in_(again))
        .values(state=QUEUED, run_at=table.c.created_at, **lost)
    )
    session.execute(
        update(table)
        .where(table.c.id.in_(ended))
        .values(
            state=QUARANTINED,
            error_code=ClassifierCrashed.code,
            error_text="The worker died each time it tried this image.",
            finished_at=database_now(session.get_bind().dialect.name),
            run_at=None,
            dedupe_key=None,
            **lost,
        )
    )
    return len(rows)


def take_overdue(database: Database, late: float, limit: int) -> list[int]:
    """Find jobs that are due for a while and were not claimed, the oldest first.

    They become due anew, so that nobody else finds them soon.

    :param late: seconds.
    :param limit: how many at most.
    :return: their ids.
    """
    table = database.models.job.__table__

    def work(session: Session) -> list[int]:
        now = database_now(session.get_bind().dialect.name)
        lock_writers(session, table)
        overdue = (
            select(table.c.id)
            .where(
                table.c.state == QUEUED,
                table.c.priority.in_((FRESH, BULK)),
                table.c.run_at <= now - late,
            )
            .order_by(table.c.priority, table.c.run_at, table.c.id)
        )
        ids = [row.id for row in _lock(session, overdue.limit(limit))]
        session.execute(update(table).where(table.c.id.in_(ids)).values(run_at=now))
        return ids

    return database.transact(work)
