"""How a claimed job ends, or why it is tried again."""

from __future__ import annotations

import random
from collections.abc import Collection

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from ..database import Database, database_now, rows_changed
from ..errors import TaggingError, TryLater
from ..models import Models
from .claims import CRASHES, are_ours
from .queue import CANCELLED, DONE, FAILED, QUARANTINED, QUEUED, Job

#: How often a job is tried whose failure may pass.
TRIES = 6
#: Seconds before the first retry; doubled for each further one …
FIRST_RETRY = 10.0
#: … up to this many.
LONGEST_RETRY = 3600.0

#: Characters of a sentence that are kept.
_ERROR_LENGTH = 2000


def finish(session: Session, models: Models, jobs: Collection[Job]) -> bool:
    """End *jobs* as done, inside the transaction that writes their tags.

    :return: ``False`` if one of them is no longer this worker's: roll back.
    """
    return _end(session, models, jobs, DONE, None)


def cancel(database: Database, job: Job, error: TaggingError) -> bool:
    """End a job that is not wanted any more.

    :return: ``False`` if it is no longer this worker's.
    """
    return database.transact(
        lambda session: _end(session, database.models, [job], CANCELLED, error)
    )


def proceed(
    session: Session, models: Models, job: Job, done_to: int, lease: float
) -> bool:
    """Note how far a long job is, in the transaction that got it there.

    It is not to blame for what went wrong before.

    :param lease: seconds for which it is prolonged.
    :return: ``False`` if it is no longer this worker's: roll back.
    """
    table = models.job.__table__
    now = database_now(session.get_bind().dialect.name)
    ours = update(table).where(*are_ours(table, [job]))
    values = {"done_to": done_to, "run_at": now + lease, "failures": 0, "crashes": 0}
    return rows_changed(session, ours.values(**values)) == 1


def fail(database: Database, job: Job, error: TaggingError) -> str | None:
    """Try the job again later, or end it where that cannot help.

    :return: its new state; ``None`` if the job is no longer this worker's.
    """
    return database.transact(
        lambda session: fail_in(session, database.models, job, error)
    )


def fail_in(
    session: Session, models: Models, job: Job, error: TaggingError
) -> str | None:
    """Do the same in a transaction of the caller's, such as that of other tags.

    Where ``None`` is returned, the caller rolls back.
    """
    state = state_after(job, error)
    if state == QUEUED:
        return _queue_again(session, models, job, error)
    return state if _end(session, models, [job], state, error) else None


def state_after(job: Job, error: TaggingError) -> str:
    """Say what becomes of a job that met an error."""
    if isinstance(error, TryLater):
        return QUEUED
    if error.crash and job.crashes + 1 >= CRASHES:
        return QUARANTINED
    if error.permanent or job.failures + 1 >= TRIES:
        return FAILED
    return QUEUED


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
            finished_at=database_now(session.get_bind().dialect.name),
            crashes=table.c.crashes + int(error is not None and error.crash),
            **_error_values(error),
        ),
    )
    # A failed job keeps its bytes: it may be tried again, until it is purged.
    ids = [job.id for job in jobs if job.path is None]
    if ids and changed and state in (DONE, CANCELLED):
        upload = models.upload.__table__
        session.execute(delete(upload).where(upload.c.job_id.in_(ids)))
    return changed == len(jobs)


def _queue_again(
    session: Session, models: Models, job: Job, error: TaggingError
) -> str | None:
    """Let it wait; one that is merely to come later is charged no try."""
    table = models.job.__table__
    if isinstance(error, TryLater):
        wait, failures, crashes = error.seconds, job.failures, job.crashes
    else:
        wait = retry_delay(job.crashes if error.crash else job.failures)
        failures = job.failures + int(not error.crash)
        crashes = job.crashes + int(error.crash)
    now = database_now(session.get_bind().dialect.name)
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
    """Seconds to wait after one more failure: doubled each time, with jitter.

    :param failures: how often the job failed before.
    """
    longest = min(LONGEST_RETRY, FIRST_RETRY * 2.0**failures)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _error_values(error: TaggingError | None) -> dict[str, str | None]:
    return {
        "error_code": error.code if error else None,
        "error_text": str(error)[:_ERROR_LENGTH] if error else None,
    }
