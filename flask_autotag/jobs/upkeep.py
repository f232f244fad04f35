"""What administrators do to jobs that have ended."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from ..database import Database, database_now, lock_writers, rows_changed
from .queue import ENDS, FAILED, QUARANTINED, QUEUED

#: Rows that one transaction deletes: others must not wait for long.
_PURGED = 1000


def retry(
    database: Database,
    states: Collection[str] = (FAILED, QUARANTINED),
    code: str | None = None,
    instance: str | None = None,
) -> int:
    """Queue jobs again that have failed, with all their tries.

    They get no ``dedupe_key``: should the same picture be uploaded meanwhile, it is
    tagged twice, with the same outcome.

    :param states: ``"failed"``, ``"quarantined"`` or both.
    :param code: only those that failed for this reason.
    :param instance: only those of this tenant.
    :return: how many there were.
    """
    table = database.models.job.__table__
    conditions: list[ColumnElement[bool]] = [
        table.c.state.in_(set(states) & {FAILED, QUARANTINED})
    ]
    if code is not None:
        conditions.append(table.c.error_code == code)
    if instance is not None:
        conditions.append(table.c.instance == instance)

    def work(session: Session) -> int:
        now = database_now(session.get_bind().dialect.name)
        return rows_changed(
            session,
            update(table)
            .where(*conditions)
            .values(
                state=QUEUED,
                run_at=now,
                failures=0,
                crashes=0,
                error_code=None,
                error_text=None,
                finished_at=None,
            ),
        )

    return database.transact(work)


def purge(database: Database, seconds: float, states: Collection[str] = ENDS) -> int:
    """Delete jobs that have ended, with the bytes that were kept for another try.

    :param seconds: for which they have ended at least.
    :param states: of which kinds.
    :return: how many there were.
    """
    job, upload = database.models.job.__table__, database.models.upload.__table__

    def work(session: Session) -> int:
        lock_writers(session, job)
        now = database_now(session.get_bind().dialect.name)
        ended = select(job.c.id).where(
            job.c.finished_at <= now - seconds,
            job.c.state.in_(set(states) & set(ENDS)),
        )
        ids = session.scalars(ended.limit(_PURGED)).all()
        session.execute(delete(upload).where(upload.c.job_id.in_(ids)))
        session.execute(delete(job).where(job.c.id.in_(ids)))
        return len(ids)

    purged = 0
    while found := database.transact(work):
        purged += found
    return purged
