"""The state of the queue: counts for commands, pages and metrics.

All queries read ranges of indexes, and counts may stop at a limit: the report is quick
for a table of any size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    Table,
    func,
    literal,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from ..db.database import Database
from ..db.job_states import (
    BULK,
    CANCELLED,
    DONE,
    ENDED,
    FAILED,
    FRESH,
    QUARANTINED,
    QUEUED,
    RUNNING,
)
from ..db.models import Models
from ..db.sql import read_clock
from ..host.assets import AssetRef

MINUTE, HOUR = 60.0, 3600.0
#: Seconds that a due job may wait before the queue counts as stuck without workers.
LONG = 300.0

#: States whose reasons administrators are shown.
TROUBLE = (FAILED, QUARANTINED)
#: All states, in the order of their life.
STATES = (QUEUED, RUNNING, *ENDED)
#: States in which jobs may have an error code.
_WITH_REASON = (QUEUED, RUNNING, *TROUBLE, CANCELLED)
#: Error codes that are distinguished; hosts and providers may define their own.
_REASONS = 50

Where = list[ColumnElement[bool]]


@dataclass(frozen=True)
class Example:
    """A failed job.

    :param job: id of the job.
    :param text: the error, as a sentence for administrators.
    :param finished_at: time of the failure, in seconds since 1970.
    """

    job: int
    asset: AssetRef
    instance: str
    text: str
    finished_at: float


@dataclass(frozen=True)
class Reason:
    """The failed jobs with one error code.

    :param state: ``"failed"`` or ``"quarantined"``.
    :param code: see :exc:`~flask_autotag.TaggingError`.
    :param count: number of jobs.
    :param examples: some of the jobs, the latest of each instance.
    """

    state: str
    code: str
    count: int
    examples: tuple[Example, ...]

    @property
    def example(self) -> str:
        """The error of one of the jobs; empty if none is named."""
        return self.examples[0].text if self.examples else ""


@dataclass(frozen=True)
class Report:
    """The queue at one moment.

    :param now: the moment by the database's clock, in seconds since 1970.
    :param states: number of jobs by state, for the requested states.
    :param bulk: number of queued bulk jobs; ``None`` for a single instance.
    :param oldest: waiting time of the oldest due job, in seconds; ``None`` if there is
        none.
    :param workers: names of the workers that run jobs, of any instance.
    :param reasons: failed and quarantined jobs by error code, most frequent first.
    :param last_minute: number of jobs done in the last minute.
    :param last_hour: number of jobs done in the last hour.
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
        """Whether jobs have waited for long and no worker runs any."""
        return (self.oldest or 0.0) > LONG and not self.workers

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the queue is empty, at the rate of the last minute.

        ``None`` if no job is queued, or none was done in the last minute.
        """
        waiting = self.states.get(QUEUED, 0)
        if not waiting or not self.last_minute:
            return None
        return waiting / self.last_minute * MINUTE


#: One example for each reason.
ONE_EACH: Mapping[str, int] = dict.fromkeys(TROUBLE, 1)


def report(database: Database) -> Report:
    """Read the report of the whole queue."""
    with database.begin() as session:
        return read_report(session, database.models)


def read_report(
    session: Session,
    models: Models,
    instance: str | None = None,
    states: Collection[str] = STATES,
    most: int | None = None,
    examples: Mapping[str, int] = ONE_EACH,
) -> Report:
    """Read the report of the queue.

    :param instance: the instance of the jobs; ``None`` for all.
    :param states: states to count.
    :param most: limit of a count; a higher count is reported as *most* + 1. ``None``
        for no limit.
    :param examples: number of jobs that a reason names, by state.
    """
    jobs = Jobs(session, models, instance)
    reasons = jobs.reasons(most, examples)
    others = [state for state in states if state not in TROUBLE]
    bulk, last_minute, last_hour, *counts = jobs.count(
        [] if instance else [jobs.waiting(BULK)],
        jobs.within(DONE, since=jobs.now - MINUTE),
        jobs.within(DONE, since=jobs.now - HOUR),
        *(jobs.within(state) for state in others),
        most=most,
    )
    numbers = dict(zip(others, counts, strict=True))
    for reason in reasons:
        numbers[reason.state] = numbers.get(reason.state, 0) + reason.count
    return Report(
        now=jobs.now,
        states={state: numbers[state] for state in states if numbers.get(state)},
        bulk=None if instance else bulk,
        oldest=jobs.oldest(),
        workers=jobs.workers(),
        reasons=reasons,
        last_minute=last_minute,
        last_hour=last_hour,
    )


class Jobs:
    """Queries for the jobs of one instance or all, as ranges of indexes.

    :param instance: the instance of the jobs; ``None`` for all.
    :ivar now: time by the database's clock, in seconds since 1970.
    """

    def __init__(self, session: Session, models: Models, instance: str | None) -> None:
        self._session = session
        self._table: Table = models.job.__table__
        self._instance = instance
        self._known_codes: Mapping[str, Sequence[str]] | None = None
        self.now = read_clock(session)

    def within(
        self, state: str, since: float | None = None, before: float | None = None
    ) -> list[Where]:
        """Return the ranges that together contain the jobs in a state.

        :param since: earliest end of the jobs, in seconds since 1970.
        :param before: the jobs ended before this time, in seconds since 1970.
        """
        ended = self._table.c.finished_at
        moments = [] if since is None else [ended >= since]
        moments += [] if before is None else [ended < before]
        return [[*where, *moments] for where in self._ranges(state)]

    def waiting(self, priority: int) -> Where:
        """Return the range of the queued jobs of all instances."""
        return [self._table.c.state == QUEUED, self._table.c.priority == priority]

    def count(self, *wanted: Collection[Where], most: int | None = None) -> list[int]:
        """Count the jobs of several groups of ranges, in one statement.

        One statement saves round trips to a remote server.

        :param most: limit of a count; a higher count is returned as *most* + 1.
        """
        parts = [
            (place, where) for place, ranges in enumerate(wanted) for where in ranges
        ]
        totals = [0] * len(wanted)
        if parts:
            counts = [self._counted(where, most) for _, where in parts]
            row = self._session.execute(select(*counts)).one()
            for (place, _), number in zip(parts, row, strict=True):
                totals[place] += number
        return totals if most is None else [min(each, most + 1) for each in totals]

    def moments(self, ranges: Collection[Where], most: int) -> list[float]:
        """Return the times at which jobs of *ranges* ended, of *most* jobs at most."""
        moments: list[float] = []
        for where in ranges:
            ended = select(self._table.c.finished_at).where(*where)
            moments += self._session.scalars(ended.limit(most - len(moments)))
        return moments

    def oldest(self) -> float | None:
        """Return the waiting time of the oldest due job, in seconds."""
        table = self._table
        if self._instance is None:
            ranges = [self.waiting(priority) for priority in (FRESH, BULK)]
        else:
            unfinished = table.c.finished_at.is_(None)
            ranges = [[*where, unfinished] for where in self._ranges(QUEUED)]
        first = [
            select(table.c.run_at)
            .where(*where, table.c.run_at <= self.now)
            .order_by(table.c.run_at)
            .limit(1)
            .scalar_subquery()
            for where in ranges
        ]
        row = self._session.execute(select(*first)).one()
        due = [float(moment) for moment in row if moment is not None]
        return self.now - min(due) if due else None

    def workers(self) -> tuple[str, ...]:
        """Return the names of the workers that run jobs, of any instance."""
        table = self._table
        owners = select(table.c.lease_owner).where(table.c.state == RUNNING).distinct()
        return tuple(sorted(owner for owner in self._session.scalars(owners) if owner))

    def reasons(
        self, most: int | None, examples: Mapping[str, int]
    ) -> tuple[Reason, ...]:
        """Return the reasons of failed jobs, most frequent first."""
        named = [(state, code) for state in TROUBLE for code in self._codes(state)]
        ranges = [self._narrow(state, [code]) for state, code in named]
        counts = self.count(*([where] for where in ranges), most=most)
        numbers = [examples.get(state, 0) for state, _ in named]
        jobs = self._examples(ranges, numbers)
        found = [
            Reason(*name, count, tuple(jobs[place]))
            for place, (name, count) in enumerate(zip(named, counts, strict=True))
            if count
        ]
        return tuple(
            sorted(found, key=lambda each: (-each.count, each.state, each.code))
        )

    def _codes(self, state: str) -> Sequence[str]:
        """Return the error codes of jobs in a state.

        Queued jobs have one too, after a failed attempt.
        """
        if self._known_codes is None:
            self._known_codes = self._jump()
        return self._known_codes[state]

    def _jump(self) -> Mapping[str, Sequence[str]]:
        """Return the error codes by state, skipping from code to code in the index."""
        code = self._table.c.error_code
        found: dict[str, list[str]] = {state: [] for state in _WITH_REASON}
        last = dict.fromkeys(_WITH_REASON, "")
        for _ in range(_REASONS):
            following = [
                select(code)
                .where(self._table.c.state == state, code > after)
                .order_by(code)
                .limit(1)
                .scalar_subquery()
                for state, after in last.items()
            ]
            row = self._session.execute(select(*following)).one()
            last = {
                state: reason
                for state, reason in zip(last, row, strict=True)
                if reason is not None
            }
            if not last:
                break
            for state, reason in last.items():
                found[state].append(reason)
        return found

    def _ranges(self, state: str) -> list[Where]:
        if self._instance is None:
            return [[self._table.c.state == state]]
        ranges = []
        if state not in TROUBLE:
            ranges.append(self._narrow(state, None))
        if state in _WITH_REASON and (codes := self._codes(state)):
            ranges.append(self._narrow(state, codes))
        return ranges

    def _narrow(self, state: str, codes: Sequence[str] | None) -> Where:
        """Return the range of jobs with one of *codes*; ``None`` for no code."""
        table = self._table
        code = table.c.error_code
        where = [
            table.c.state == state,
            code.is_(None) if codes is None else code.in_(codes),
        ]
        if self._instance is not None:
            where.append(table.c.instance == self._instance)
        return where

    def _counted(self, where: Where, most: int | None) -> ScalarSelect[int]:
        if most is None:
            return select(func.count()).where(*where).scalar_subquery()
        # Some databases materialize these rows, so keep them short.
        one: Select[int] = select(literal_column("1", Integer).label("one"))
        rows = one.select_from(self._table).where(*where).limit(most + 1).subquery()
        return select(func.count()).select_from(rows).scalar_subquery()

    def _examples(
        self, ranges: Sequence[Where], numbers: Sequence[int]
    ) -> list[list[Example]]:
        """Read some jobs of each range, the latest of each instance."""
        found: list[list[Example]] = [[] for _ in ranges]
        table = self._table
        parts = [
            select(
                literal(place).label("place"),
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
            .subquery()
            for place, (where, number) in enumerate(zip(ranges, numbers, strict=True))
            if number
        ]
        if not parts:
            return found
        rows = self._session.execute(union_all(*(select(part) for part in parts)))
        for row in rows:
            asset = AssetRef(row.asset_type, row.asset_id)
            ended = float(row.finished_at or 0)
            found[row.place].append(
                Example(row.id, asset, row.instance, row.error_text or "", ended)
            )
        for examples in found:
            examples.sort(key=lambda each: each.finished_at, reverse=True)
        return found
