"""Ending claimed jobs, or queueing them for another attempt."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..db.database import Database
from ..db.job_states import CANCELLED, DONE, FAILED, QUARANTINED, QUEUED, RUNNING
from ..db.models import Models
from ..db.sql import database_now, rows_changed
from ..errors import TaggingError, TryLater, UnreadableImage
from ..host.assets import AssetRef
from ..tags import store
from ..tags.asset_rows import NAME_COLUMNS, is_of
from .claims import CRASHES, are_ours
from .queue import Job
from .reclassify import Key, among

#: Attempts of a job whose failure may be temporary.
TRIES = 6
#: Seconds before the first retry; doubled for each further one.
FIRST_RETRY = 10.0
#: Longest time before a retry, in seconds.
LONGEST_RETRY = 3600.0

#: The states that a later job of the same asset ends.
_FAILURES = (FAILED, QUARANTINED)
#: Characters of an error message that are stored.
_ERROR_LENGTH = 2000


def finish(session: Session, models: Models, jobs: Collection[Job]) -> bool:
    """End *jobs* as done, inside the transaction that writes their tags.

    Earlier failures of the same assets are cancelled: there is nothing to retry.

    :return: ``False`` if a job belongs to another worker by now: roll back.
    """
    if not _end(session, models, jobs, DONE, None):
        return False
    later: dict[Key, float] = {}
    for job in sorted(jobs, key=lambda job: job.id):
        later[job.instance, job.asset] = job.id
    cancel_failures(session, models, later)
    return True


def cancel_failures(
    session: Session, models: Models, later: Mapping[Key, float]
) -> None:
    """End failed and quarantined jobs as cancelled, because a later job was done.

    :param later: the id of the later job, by asset; infinity if the asset was
        classified now, without a job.
    """
    table = models.job.__table__
    columns = [table.c[name] for name in (*NAME_COLUMNS, "id", "state")]
    # Not filtered by state in SQL: the database might use that index, and read all
    # failed jobs.
    rows = session.execute(select(*columns).where(among(table, later.keys())))
    ids = [
        row.id
        for row in rows
        if row.state in _FAILURES
        and row.id
        < later.get((row.instance, AssetRef(row.asset_type, row.asset_id)), 0)
    ]
    if ids:
        _cancel_failed(session, models, ids)


def _cancel_failed(session: Session, models: Models, ids: Collection[int]) -> None:
    table, upload = models.job.__table__, models.upload.__table__
    session.execute(
        update(table)
        .where(table.c.id.in_(ids), table.c.state.in_(_FAILURES))
        .values(state=CANCELLED, **_error_values(None))
    )
    session.execute(delete(upload).where(upload.c.job_id.in_(ids)))


def finish_without_image(database: Database, job: Job) -> bool:
    """End a job as done whose asset has no image; delete what providers said of it.

    :return: ``False`` if the job belongs to another worker by now.
    """
    models = database.models

    def work(session: Session) -> bool:
        if not finish(session, models, [job]):
            session.rollback()
            return False
        store.remove_image(session.connection(), models, job.asset, job.instance)
        return True

    return database.transact(work)


def cancel(database: Database, job: Job, error: TaggingError) -> bool:
    """End a job that has become pointless, as when tagging is turned off.

    :return: ``False`` if the job belongs to another worker by now.
    """

    def work(session: Session) -> bool:
        ours = _end(session, database.models, [job], CANCELLED, error)
        if ours:
            _note_file(session, database.models, job, error)
        return ours

    return database.transact(work)


def save_progress(
    session: Session, models: Models, job: Job, done_to: int, lease: float
) -> bool:
    """Store the progress of a long job, inside the transaction that made it.

    Progress resets the job's counts of failures and crashes.

    :param done_to: key of the last asset that is done.
    :param lease: seconds from now until the lease expires.
    :return: ``False`` if the job belongs to another worker by now: roll back.
    """
    table = models.job.__table__
    now = database_now(session)
    ours = update(table).where(*are_ours(table, [job]))
    values = {"done_to": done_to, "run_at": now + lease, "failures": 0, "crashes": 0}
    return rows_changed(session, ours.values(**values)) == 1


def fail(database: Database, job: Job, error: TaggingError) -> str | None:
    """Queue a job for another attempt, or end it if that cannot succeed.

    It ends as cancelled if a later job of the same asset is done.

    :return: its new state; ``None`` if the job belongs to another worker by now.
    """

    def work(session: Session) -> str | None:
        state = fail_in(session, database.models, job, error)
        if state in _FAILURES:
            _note_file(session, database.models, job, error)
        return state

    return database.transact(work)


def fail_in(
    session: Session, models: Models, job: Job, error: TaggingError
) -> str | None:
    """Do the same as :func:`fail` inside the caller's transaction.

    :return: as for :func:`fail`; the caller rolls back after ``None``.
    """
    state = state_after(job, error)
    if state == QUEUED:
        return _queue_again(session, models, job, error)
    if not _end(session, models, [job], state, error):
        return None
    if not _is_superseded(session, models, job):
        return state
    _cancel_failed(session, models, [job.id])
    return CANCELLED


def _is_superseded(session: Session, models: Models, job: Job) -> bool:
    """Return whether a later job of the same asset is done."""
    table = models.job.__table__
    later = select(table.c.id, table.c.state).where(
        is_of(table, job.asset, job.instance), table.c.id > job.id
    )
    states = {row.id: row.state for row in session.execute(later)}
    running = [key for key, state in states.items() if state == RUNNING]
    if DONE not in states.values() and running:
        # One that ends in this moment does not see this failure. A lock of all later
        # ones would wait, on MariaDB, for uploads that are not committed.
        ending = select(table.c.id, table.c.state).where(table.c.id.in_(running))
        locked = session.execute(ending.with_for_update())
        states |= {row.id: row.state for row in locked}
    return DONE in states.values()


def state_after(job: Job, error: TaggingError) -> str:
    """Return the state of a job after an error."""
    if isinstance(error, TryLater):
        return QUEUED
    if error.crash and job.crashes + 1 >= CRASHES:
        return QUARANTINED
    if error.permanent or job.failures + 1 >= TRIES:
        return FAILED
    return QUEUED


def _note_file(session: Session, models: Models, job: Job, error: TaggingError) -> None:
    """Remember that the file of an ended job is no image, or that this is not known."""
    is_none = isinstance(error, UnreadableImage)
    note = store.note_no_image if is_none else store.forget_no_image
    note(session.connection(), models, job.asset, job.instance)


def _end(
    session: Session,
    models: Models,
    jobs: Collection[Job],
    state: str,
    error: TaggingError | None,
) -> bool:
    table = models.job.__table__
    changed = rows_changed(
        session,
        update(table)
        .where(*are_ours(table, jobs))
        .values(
            state=state,
            run_at=None,
            dedupe_key=None,
            lease_token=None,
            finished_at=database_now(session),
            crashes=table.c.crashes + int(error is not None and error.crash),
            **_error_values(error),
        ),
    )
    # A failed job keeps its image for a retry, until the job is purged.
    ids = [job.id for job in jobs if job.path is None]
    if ids and changed and state in (DONE, CANCELLED):
        upload = models.upload.__table__
        session.execute(delete(upload).where(upload.c.job_id.in_(ids)))
    return changed == len(jobs)


def _queue_again(
    session: Session, models: Models, job: Job, error: TaggingError
) -> str | None:
    """Queue a job for another attempt; ``TryLater`` counts as no attempt."""
    table = models.job.__table__
    if isinstance(error, TryLater):
        wait, failures, crashes = error.seconds, job.failures, job.crashes
    else:
        wait = retry_delay(job.crashes if error.crash else job.failures)
        failures = job.failures + int(not error.crash)
        crashes = job.crashes + int(error.crash)
    now = database_now(session)
    ours = rows_changed(
        session,
        update(table)
        .where(*are_ours(table, [job]))
        .values(
            state=QUEUED,
            run_at=now + wait,
            failures=failures,
            crashes=crashes,
            lease_token=None,
            **_error_values(error),
        ),
    )
    return QUEUED if ours else None


def retry_delay(failures: int) -> float:
    """Return the seconds until the next attempt: doubled each time, with jitter.

    :param failures: number of earlier failures.
    """
    longest = min(LONGEST_RETRY, FIRST_RETRY * 2.0**failures)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _error_values(error: TaggingError | None) -> dict[str, str | None]:
    return {
        "error_code": error.code if error else None,
        "error_text": str(error)[:_ERROR_LENGTH] if error else None,
    }
