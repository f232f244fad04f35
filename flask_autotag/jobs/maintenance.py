"""Retrying and deleting jobs that have ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Table, select, update
from sqlalchemy.orm import Session

from ..db.database import Database
from ..db.job_states import ENDED, FAILED, QUARANTINED, QUEUED
from ..db.sql import database_now, lock_free_rows, lock_writers, read_clock
from .queue import delete_jobs

#: Jobs that one transaction changes, so that others do not wait long for its locks.
_BATCH = 1000

#: :func:`retrying` or :func:`purging`.
Change = Callable[..., Iterator[list[int]]]


@dataclass(frozen=True)
class Ended:
    """A filter for jobs that have ended.

    :param states: final states, such as ``"failed"``.
    :param code: error code; by default any.
    :param instance: by default any.
    :param job: id of a single job; by default any.
    """

    states: Collection[str]
    code: str | None = None
    instance: str | None = None
    job: int | None = None

    def where(self, table: Table) -> list[ColumnElement[bool]]:
        """Return the conditions on the table of jobs."""
        filters = (
            (table.c.error_code, self.code),
            (table.c.instance, self.instance),
            (table.c.id, self.job),
        )
        return [
            table.c.state.in_(set(self.states) & set(ENDED)),
            *(column == value for column, value in filters if value is not None),
        ]


def retry(
    database: Database,
    states: Collection[str] = (FAILED, QUARANTINED),
    code: str | None = None,
    instance: str | None = None,
) -> int:
    """Queue failed jobs again; see :func:`retrying`.

    :param states: ``"failed"``, ``"quarantined"`` or both.
    :param code: error code; by default any.
    :param instance: by default any.
    :return: number of jobs.
    """
    return sum(map(len, retrying(database, Ended(states, code, instance))))


def purge(database: Database, seconds: float, states: Collection[str] = ENDED) -> int:
    """Delete jobs that have ended; see :func:`purging`.

    :param seconds: least time since they ended.
    :param states: final states of the jobs to delete.
    :return: number of jobs.
    """
    before = database.transact(read_clock) - seconds
    return sum(map(len, purging(database, Ended(states), before)))


def retrying(
    database: Database, which: Ended, before: float | None = None
) -> Iterator[list[int]]:
    """Queue failed jobs again with all their attempts, batch by batch.

    The jobs get no ``dedupe_key``: if the same image is uploaded meanwhile, it is
    classified twice, with the same result.

    :param before: latest end of the jobs, in seconds since 1970; by default now. Jobs
        that fail again meanwhile are left out.
    :return: the ids of the jobs of each transaction.
    """
    table = database.models.job.__table__
    failed = replace(which, states=set(which.states) & {FAILED, QUARANTINED})

    def queue(session: Session, ids: list[int]) -> None:
        now = database_now(session)
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

    return _change_batches(database, failed, before, queue)


def purging(
    database: Database, which: Ended, before: float | None = None
) -> Iterator[list[int]]:
    """Delete jobs that have ended, with their stored images, batch by batch.

    :param before: latest end of the jobs, in seconds since 1970; by default now.
    :return: the ids of the jobs of each transaction.
    """

    def remove(session: Session, ids: list[int]) -> None:
        delete_jobs(session.connection(), database.models, ids)

    return _change_batches(database, which, before, remove)


def _change_batches(
    database: Database,
    which: Ended,
    before: float | None,
    change: Callable[[Session, list[int]], None],
) -> Iterator[list[int]]:
    """Change jobs that have ended, one transaction for each batch."""
    table = database.models.job.__table__
    if before is None:
        before = database.transact(read_clock)
    ended = (
        select(table.c.id)
        .where(*which.where(table), table.c.finished_at <= before)
        .limit(_BATCH)
    )

    def work(session: Session) -> list[int]:
        lock_writers(session, table)
        ids = [row.id for row in lock_free_rows(session, ended)]
        if ids:
            change(session, ids)
        return ids

    while ids := database.transact(work):
        yield ids
