"""What administrators do to jobs that have ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, delete, select, update
from sqlalchemy.orm import Session

from ..database import Database, database_now, lock_writers, read_clock
from ..models import Models
from .queue import ENDS, FAILED, QUARANTINED, QUEUED

#: Jobs that one transaction changes: others must not wait for long.
_PORTION = 1000

#: :func:`retrying` or :func:`purging`.
Change = Callable[..., Iterator[list[int]]]


@dataclass(frozen=True)
class Ended:
    """Which jobs that have ended are meant.

    :param states: ``"failed"``, ``"quarantined"`` and the like.
    :param code: only those that failed for this reason.
    :param instance: only those of this tenant.
    :param job: only the one of this id.
    """

    states: Collection[str]
    code: str | None = None
    instance: str | None = None
    job: int | None = None

    def where(self, table: Table) -> list[ColumnElement[bool]]:
        """Make conditions on the table of jobs."""
        wanted = (
            (table.c.error_code, self.code),
            (table.c.instance, self.instance),
            (table.c.id, self.job),
        )
        return [
            table.c.state.in_(set(self.states) & set(ENDS)),
            *(column == value for column, value in wanted if value is not None),
        ]


def retry(
    database: Database,
    states: Collection[str] = (FAILED, QUARANTINED),
    code: str | None = None,
    instance: str | None = None,
) -> int:
    """Queue jobs again that have failed; see :func:`retrying`.

    :param states: ``"failed"``, ``"quarantined"`` or both.
    :param code: only those that failed for this reason.
    :param instance: only those of this tenant.
    :return: how many there were.
    """
    return sum(map(len, retrying(database, Ended(states, code, instance))))


def purge(database: Database, seconds: float, states: Collection[str] = ENDS) -> int:
    """Delete jobs that have ended; see :func:`purging`.

    :param seconds: for which they have ended at least.
    :param states: of which kinds.
    :return: how many there were.
    """
    before = database.transact(read_clock) - seconds
    return sum(map(len, purging(database, Ended(states), before)))


def retrying(
    database: Database, which: Ended, before: float | None = None
) -> Iterator[list[int]]:
    """Queue jobs again that have failed, with all their tries, portion by portion.

    They get no ``dedupe_key``: should the same picture be uploaded meanwhile, it is
    tagged twice, with the same outcome.

    :param before: only those that ended until then, in seconds since 1970; by default
        until now. What fails again meanwhile is left.
    :return: the ids of each transaction.
    """
    table = database.models.job.__table__
    failed = Ended(
        set(which.states) & {FAILED, QUARANTINED}, which.code, which.instance, which.job
    )

    def queue(session: Session, ids: list[int]) -> None:
        now = database_now(session.get_bind().dialect.name)
        session.execute(
            update(table)
            .where(table.c.id.in_(ids))
            .values(
                state=QUEUED,
                run_at=now,
                failures=0,
                crashes=0,
                error_code=None,
                error_text=None,
                finished_at=None,
            )
        )

    return _portions(database, failed, before, queue)


def purging(
    database: Database, which: Ended, before: float | None = None
) -> Iterator[list[int]]:
    """Delete jobs that have ended, with the bytes kept for another try, by portions.

    :param before: only those that ended until then, in seconds since 1970; by default
        until now.
    :return: the ids of each transaction.
    """
    models = database.models

    def remove(session: Session, ids: list[int]) -> None:
        _delete(session, models, ids)

    return _portions(database, which, before, remove)


def _delete(session: Session, models: Models, ids: list[int]) -> None:
    job, upload = models.job.__table__, models.upload.__table__
    session.execute(delete(upload).where(upload.c.job_id.in_(ids)))
    session.execute(delete(job).where(job.c.id.in_(ids)))


def _portions(
    database: Database,
    which: Ended,
    before: float | None,
    change: Callable[[Session, list[int]], None],
) -> Iterator[list[int]]:
    """Change jobs that have ended, each portion in its own transaction."""
    table = database.models.job.__table__
    if before is None:
        before = database.transact(read_clock)
    ended = (
        select(table.c.id)
        .where(*which.where(table), table.c.finished_at <= before)
        .limit(_PORTION)
        .with_for_update(skip_locked=True)
    )

    def work(session: Session) -> list[int]:
        lock_writers(session, table)
        ids = list(session.scalars(ended))
        if ids:
            change(session, ids)
        return ids

    while ids := database.transact(work):
        yield ids
