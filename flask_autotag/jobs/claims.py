"""Claiming jobs, renewing their leases, and requeueing lost jobs."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, select, update
from sqlalchemy.orm import Session

from ..db.database import Database
from ..db.job_states import BULK, FRESH, QUARANTINED, QUEUED, RUNNING
from ..db.sql import (
    database_now,
    lock_free_rows,
    lock_writers,
    read_clock,
    rows_changed,
)
from ..errors import ClassifierCrashed, TaggingError, UnexpectedError
from ..host.assets import AssetRef
from ..runtime.turn import Turn
from .fair import lock_next
from .process_identity import Process, is_dead, this_process
from .queue import Job

#: Crashes of a worker or child after which an image goes into quarantine.
CRASHES = 3
#: Seconds until the next attempt after a second crash. Without them, the image at the
#: head of the queue meets every kill of workers that are killed repeatedly.
SECOND_DELAY = 5.0
#: Seconds that a claimed job belongs to its worker, unless the worker renews the lease.
LEASE = 60.0
#: Lost jobs that one transaction requeues.
_BATCH = 500
#: Length of the column, in characters.
_OWNER_LENGTH = 100


def claim(
    database: Database,
    limit: int,
    owner: str,
    lease: float = LEASE,
    turn: Turn | None = None,
    process: Process | None = None,
) -> list[Job]:
    """Claim due jobs: fresh uploads first, then bulk work.

    Instances with due jobs take turns. The jobs of an instance are claimed oldest
    first.

    A job that was lost with its worker, or whose batch failed unexpectedly, is claimed
    alone: if that happens again, this job is the cause.

    :param limit: maximum number of jobs.
    :param owner: name of the worker, shown to people.
    :param lease: seconds until the jobs may be claimed by others.
    :param turn: the instance that was served last; it is updated.
    :param process: the worker's process, for :func:`requeue_dead`.
    """
    if database.engine.dialect.name == "sqlite" and not _any_due(database):
        return []
    turn = turn or Turn()

    def work(session: Session) -> list[Job]:
        table = database.models.job.__table__
        lock_writers(session, table)
        now = read_clock(session)
        for priority in (FRESH, BULK):
            rows = _up_to_suspect(lock_next(session, table, priority, limit, turn, now))
            if rows:
                turn.last = rows[-1].instance
                return _mark_claimed(session, table, rows, owner, lease, process)
        return []

    return database.transact(work)


def _any_due(database: Database) -> bool:
    """Check for due jobs without a lock: idle workers must not block SQLite's writers.

    The other databases lock rows, so that finding no row blocks nobody.
    """
    table = database.models.job.__table__

    def work(session: Session) -> bool:
        now = database_now(session)
        due = select(table.c.id).where(table.c.state == QUEUED, table.c.run_at <= now)
        return any(
            session.execute(due.where(table.c.priority == priority).limit(1)).first()
            for priority in (FRESH, BULK)
        )

    return database.transact(work)


def _up_to_suspect(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """Return the rows before the first suspect, or that suspect alone."""
    suspects = (place for place, row in enumerate(rows) if _is_suspect(row))
    first = next(suspects, len(rows))
    return rows[: max(1, first)]


def _is_suspect(row: Row[Any]) -> bool:
    return bool(row.crashes or row.error_code == UnexpectedError.code)


def _mark_claimed(
    session: Session,
    table: Table,
    rows: Sequence[Row[Any]],
    owner: str,
    lease: float,
    process: Process | None,
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
            lease_process=str(process) if process else None,
            run_at=database_now(session) + lease,
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
            is_suspect=_is_suspect(row),
        )
        for row in rows
    ]


def are_ours(table: Table, jobs: Collection[Job]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which *jobs* still belong to this worker."""
    return (
        table.c.id.in_([job.id for job in jobs]),
        table.c.lease_token.in_({job.token for job in jobs}),
        table.c.state == RUNNING,
    )


def renew(database: Database, jobs: Collection[Job], lease: float) -> list[Job]:
    """Renew the leases of *jobs*.

    :param lease: seconds from now.
    :return: the jobs that belong to another worker by now; stop working on them.
    """
    table = database.models.job.__table__

    def work(session: Session) -> list[Job]:
        now = database_now(session)
        statement = update(table).where(*are_ours(table, jobs))
        kept = rows_changed(session, statement.values(run_at=now + lease))
        if kept == len(jobs):
            return []
        ours = select(table.c.id).where(*are_ours(table, jobs))
        kept_ids = set(session.scalars(ours))
        return [job for job in jobs if job.id not in kept_ids]

    return database.transact(work, patience=lease / 4) if jobs else []


def hand_back(
    database: Database,
    jobs: Collection[Job],
    seconds: float = 0.0,
    error: TaggingError | None = None,
) -> None:
    """Return *jobs* to the queue without counting an attempt.

    :param seconds: delay until they may be claimed again.
    :param error: the reason, stored with the jobs.
    """
    table = database.models.job.__table__
    reason = {"error_code": error.code, "error_text": str(error)} if error else {}

    def work(session: Session) -> None:
        now = database_now(session)
        session.execute(
            update(table)
            .where(*are_ours(table, jobs))
            .values(state=QUEUED, run_at=now + seconds, lease_token=None, **reason)
        )

    if jobs:
        database.transact(work)


def requeue_expired(database: Database) -> int:
    """Requeue jobs with an expired lease, in their original order.

    Their worker was killed or stopped for too long. The image is probably not the
    cause, but may be: at the third crash the job goes into quarantine.

    :return: number of jobs.
    """
    return _queue_lost(
        database,
        lambda session, table: _running(table).where(
            table.c.run_at <= database_now(session)
        ),
    )


def requeue_dead(database: Database) -> int:
    """Requeue the jobs of dead processes of this machine, before their leases expire.

    Crashes are counted as by :func:`requeue_expired`.

    :return: number of jobs; 0 on systems without ``/proc``.
    """
    process = this_process()
    if process is None:
        return 0
    table = database.models.job.__table__
    with database.begin() as session:
        owners = session.scalars(
            select(table.c.lease_process)
            .where(table.c.state == RUNNING, table.c.lease_process.is_not(None))
            .distinct()
        ).all()
    dead = [owner for owner in owners if is_dead(Process.parse(owner), process)]
    if not dead:
        return 0
    return _queue_lost(
        database,
        lambda _, table: _running(table).where(table.c.lease_process.in_(dead)),
    )


def _running(table: Table) -> Select[Any]:
    return select(table.c.id, table.c.crashes).where(
        table.c.state == RUNNING,
        # All priorities: the index covers run_at only after the priority.
        table.c.priority.in_((FRESH, BULK)),
    )


def _queue_lost(
    database: Database, lost: Callable[[Session, Table], Select[Any]]
) -> int:
    """Requeue lost jobs, some hundred in a transaction."""
    table = database.models.job.__table__

    def any_lost() -> bool:
        with database.begin() as session:
            return session.execute(lost(session, table).limit(1)).first() is not None

    requeued = 0
    while any_lost():
        requeued += database.transact(
            lambda session: _queue_batch(session, table, lost(session, table))
        )
    return requeued


def _queue_batch(session: Session, table: Table, lost: Select[Any]) -> int:
    lock_writers(session, table)
    rows = lock_free_rows(session, lost.limit(_BATCH))
    by_crashes: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        by_crashes[row.crashes].append(row.id)
    for crashes, ids in by_crashes.items():
        session.execute(
            update(table)
            .where(table.c.id.in_(ids))
            .values(
                crashes=crashes + 1,
                lease_token=None,
                **_after_crash(table, crashes, database_now(session)),
            )
        )
    return len(rows)


def _after_crash(
    table: Table, crashes: int, now: ColumnElement[float]
) -> dict[str, Any]:
    """Return the new values of a lost job.

    :param crashes: number of earlier crashes.
    """
    if crashes + 1 < CRASHES:
        due = now + SECOND_DELAY if crashes else table.c.created_at
        return {"state": QUEUED, "run_at": due}
    return {
        "state": QUARANTINED,
        "error_code": ClassifierCrashed.code,
        "error_text": "The worker died at each attempt to classify this image.",
        "finished_at": now,
        "run_at": None,
        "dedupe_key": None,
    }


def take_overdue(database: Database, late: float, limit: int) -> list[int]:
    """Return due jobs that nobody has claimed for some time, oldest first.

    Their due time is set to now, so that other callers do not return them again soon.

    :param late: seconds since they were due.
    :param limit: maximum number of jobs.
    :return: the ids of the jobs.
    """
    table = database.models.job.__table__

    def work(session: Session) -> list[int]:
        lock_writers(session, table)
        now = read_clock(session)
        overdue = (
            select(table.c.id)
            .where(
                table.c.state == QUEUED,
                table.c.priority.in_((FRESH, BULK)),
                table.c.run_at <= now - late,
            )
            .order_by(table.c.priority, table.c.run_at, table.c.id)
        )
        ids = [row.id for row in lock_free_rows(session, overdue.limit(limit))]
        session.execute(update(table).where(table.c.id.in_(ids)).values(run_at=now))
        return ids

    return database.transact(work)
