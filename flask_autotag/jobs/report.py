"""What the queue looks like: counts for the commands, the pages and who else asks.

Everything is read by ranges of indexes, and a count may stop at a number, so that a
table of any size is looked at while somebody waits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, func, select
from sqlalchemy.orm import Session

from ..assets import AssetRef
from ..database import Database, read_clock
from ..models import Models
from .queue import BULK, DONE, ENDS, FAILED, FRESH, QUARANTINED, QUEUED, RUNNING

MINUTE, HOUR = 60.0, 3600.0
#: Seconds for which a due job may wait before somebody should look after workers.
LONG = 300.0

#: The states of which administrators are told why.
TROUBLE = (FAILED, QUARANTINED)
#: All states, in the order of their life.
STATES = (QUEUED, RUNNING, *ENDS)
#: Reasons that are told apart; hosts and providers may have some of their own.
_REASONS = 50

Where = list[ColumnElement[bool]]


@dataclass(frozen=True)
class Example:
    """One job that failed.

    :param job: its id.
    :param text: why, as a sentence for administrators.
    :param finished_at: when, in seconds since 1970.
    """

    job: int
    asset: AssetRef
    instance: str
    text: str
    finished_at: float


@dataclass(frozen=True)
class Reason:
    """Why jobs failed.

    :param state: ``"failed"`` or ``"quarantined"``.
    :param code: see :exc:`~flask_autotag.TaggingError`.
    :param count: how many ended with it.
    :param examples: some of them; of each instance the latest.
    """

    state: str
    code: str
    count: int
    examples: tuple[Example, ...]

    @property
    def example(self) -> str:
        """The sentence of one of them."""
        return self.examples[0].text if self.examples else ""


@dataclass(frozen=True)
class Report:
    """The queue at one moment, by the clock of the database.

    :param now: the moment, in seconds since 1970.
    :param states: how many jobs are in each state that was asked for.
    :param bulk: how many of those that wait are bulk work; ``None`` of an instance.
    :param oldest: seconds for which the oldest due job waits; ``None`` without one.
    :param workers: who works on jobs now, of whatever instance.
    :param reasons: of the failed and quarantined jobs, the most frequent first.
    :param last_minute: jobs that were done in it.
    :param last_hour: jobs that were done in it.
    """

    now: float
    states: Mapping[str, int]
    bulk: int | None
    oldest: float | None
    workers: tuple[str, ...]
    reasons: tuple[Reason, ...]
    last_minute: int
    last_hour: int

    @property
    def is_stuck(self) -> bool:
        """Whether jobs wait for long, and nobody works on any."""
        return (self.oldest or 0.0) > LONG and not self.workers

    @property
    def seconds_left(self) -> float | None:
        """How long those that wait take, if it goes on as in the last minute.

        ``None`` where nothing waits, or nothing was done in it.
        """
        waiting = self.states.get(QUEUED, 0)
        if not waiting or not self.last_minute:
            return None
        return waiting / self.last_minute * MINUTE


def report(database: Database) -> Report:
    """Count what is in the queue, all of it."""
    with database.begin() as session:
        return read_report(session, database.models)


def read_report(
    session: Session,
    models: Models,
    instance: str | None = None,
    states: Collection[str] = STATES,
    most: int | None = None,
    examples: int = 1,
) -> Report:
    """Count what is in the queue.

    :param instance: the jobs of one tenant; ``None`` for all.
    :param states: those to be counted.
    :param most: where a count stops; it is one more than this then. ``None`` for no
        limit.
    :param examples: how many jobs a reason names.
    """
    jobs = Jobs(session, models, instance)
    reasons = jobs.reasons(most, examples)
    numbers = {
        state: sum(reason.count for reason in reasons if reason.state == state)
        if state in TROUBLE
        else jobs.count(jobs.within(state), most)
        for state in states
    }
    return Report(
        now=jobs.now,
        states={state: number for state, number in numbers.items() if number},
        bulk=None if instance else jobs.count([jobs.waiting(BULK)], most),
        oldest=jobs.oldest(),
        workers=jobs.workers(),
        reasons=reasons,
        last_minute=jobs.count(jobs.within(DONE, since=jobs.now - MINUTE)),
        last_hour=jobs.count(jobs.within(DONE, since=jobs.now - HOUR)),
    )


class Jobs:
    """The jobs of all instances or of one, by the ranges of indexes that they are.

    :param instance: ``None`` for all.
    :ivar now: seconds since 1970, by the clock of the database.
    """

    def __init__(self, session: Session, models: Models, instance: str | None) -> None:
        self._session = session
        self._table: Table = models.job.__table__
        self._instance = instance
        self._codes: dict[str, list[str]] = {}
        self.now = read_clock(session)

    def within(
        self, state: str, since: float | None = None, before: float | None = None
    ) -> list[Where]:
        """Give the ranges which together are the jobs in a state.

        :param since: only those that ended at this moment or later.
        :param before: and before this one.
        """
        ended = self._table.c.finished_at
        moments = [] if since is None else [ended >= since]
        moments += [] if before is None else [ended < before]
        return [[*where, *moments] for where in self._ranges(state)]

    def waiting(self, priority: int) -> Where:
        """Give the range of the jobs of all instances that wait."""
        return [self._table.c.state == QUEUED, self._table.c.priority == priority]

    def count(self, ranges: Collection[Where], most: int | None = None) -> int:
        """Count the jobs of some ranges, up to a number."""
        total = 0
        for where in ranges:
            if most is None:
                counted = select(func.count()).where(*where)
            else:
                rows = select(self._table.c.state).where(*where)
                rows = rows.limit(most + 1 - total)
                counted = select(func.count()).select_from(rows.subquery())
            total += self._session.execute(counted).scalar_one()
            if most is not None and total > most:
                break
        return total

    def moments(self, ranges: Collection[Where], most: int) -> list[float]:
        """Read when the jobs of some ranges ended, up to a number of them."""
        found: list[float] = []
        for where in ranges:
            ended = select(self._table.c.finished_at).where(*where)
            found += self._session.scalars(ended.limit(most - len(found)))
        return found

    def oldest(self) -> float | None:
        """Give the seconds for which the oldest due job waits."""
        table = self._table
        if self._instance is None:
            ranges = [self.waiting(priority) for priority in (FRESH, BULK)]
        else:
            unfinished = table.c.finished_at.is_(None)
            ranges = [[*where, unfinished] for where in self._ranges(QUEUED)]
        first = (
            self._session.execute(
                select(table.c.run_at)
                .where(*where, table.c.run_at <= self.now)
                .order_by(table.c.run_at)
                .limit(1)
            ).scalar()
            for where in ranges
        )
        due = [float(moment) for moment in first if moment is not None]
        return self.now - min(due) if due else None

    def workers(self) -> tuple[str, ...]:
        """Name who works on jobs, of whatever instance."""
        table = self._table
        owners = select(table.c.lease_owner).where(table.c.state == RUNNING).distinct()
        return tuple(sorted(owner for owner in self._session.scalars(owners) if owner))

    def reasons(self, most: int | None, examples: int) -> tuple[Reason, ...]:
        """Tell why jobs failed, the most frequent reason first."""
        found = []
        for state in TROUBLE:
            for code in self._codes_of(state):
                where = self._narrow(state, [code])
                count = self.count([where], most)
                if count:
                    some = tuple(self._examples(where, examples)) if examples else ()
                    found.append(Reason(state, code, count, some))
        return tuple(sorted(found, key=lambda one: (-one.count, one.state, one.code)))

    def _codes_of(self, state: str) -> Sequence[str]:
        """Find the reasons that jobs in a state have.

        Jobs that wait have one too, if they were tried before.
        """
        if state not in self._codes:
            self._codes[state] = list(self._jump(state))
        return self._codes[state]

    def _jump(self, state: str) -> Iterator[str]:
        """Go from one reason to the next, and over all the jobs between them."""
        code = self._table.c.error_code
        codes = select(code).where(self._table.c.state == state).order_by(code).limit(1)
        last = ""
        for _ in range(_REASONS):
            found = self._session.execute(codes.where(code > last)).scalar()
            if found is None:
                return
            yield (last := found)

    def _ranges(self, state: str) -> list[Where]:
        if self._instance is None:
            return [[self._table.c.state == state]]
        ranges = []
        if state not in TROUBLE:
            ranges.append(self._narrow(state, None))
        if state != DONE and (codes := self._codes_of(state)):
            ranges.append(self._narrow(state, codes))
        return ranges

    def _narrow(self, state: str, codes: Sequence[str] | None) -> Where:
        """Give the range of those that have one of some reasons, or none."""
        table = self._table
        code = table.c.error_code
        where = [
            table.c.state == state,
            code.is_(None) if codes is None else code.in_(codes),
        ]
        if self._instance is not None:
            where.append(table.c.instance == self._instance)
        return where

    def _examples(self, where: Where, number: int) -> Iterator[Example]:
        table = self._table
        rows = self._session.execute(
            select(
                table.c.id,
                table.c.asset_type,
                table.c.asset_id,
                table.c.instance,
                table.c.error_text,
                table.c.finished_at,
            )
            .where(*where)
            .order_by(table.c.instance.desc(), table.c.finished_at.desc())
            .limit(number)
        )
        for row in rows:
            yield Example(
                row.id,
                AssetRef(row.asset_type, row.asset_id),
                row.instance,
                row.error_text or "",
                float(row.finished_at or 0),
            )
