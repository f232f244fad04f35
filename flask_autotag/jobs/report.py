"""What the queue looks like: counts for the commands, the pages and who else asks.

Everything is read by ranges of indexes, and a count may stop at a number, so that a
table of any size is looked at while somebody waits.
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

from ..assets import AssetRef
from ..database import Database, read_clock
from ..models import Models
from .queue import (
    BULK,
    CANCELLED,
    DONE,
    ENDS,
    FAILED,
    FRESH,
    QUARANTINED,
    QUEUED,
    RUNNING,
)

MINUTE, HOUR = 60.0, 3600.0
#: Seconds for which a due job may wait before somebody should look after workers.
LONG = 300.0

#: The states of which administrators are told why.
TROUBLE = (FAILED, QUARANTINED)
#: All states, in the order of their life.
STATES = (QUEUED, RUNNING, *ENDS)
#: States in which jobs have a reason.
_WITH_REASON = (QUEUED, RUNNING, *TROUBLE, CANCELLED)
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


#: A reason names one job.
ONE_EACH: Mapping[str, int] = dict.fromkeys(TROUBLE, 1)


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
    examples: Mapping[str, int] = ONE_EACH,
) -> Report:
    """Count what is in the queue.

    :param instance: the jobs of one tenant; ``None`` for all.
    :param states: those to be counted.
    :param most: where a count stops; it is one more than this then. ``None`` for no
        limit.
    :param examples: how many jobs a reason names, by the state of these.
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
    """The jobs of all instances or of one, by the ranges of indexes that they are.

    :param instance: ``None`` for all.
    :ivar now: seconds since 1970, by the clock of the database.
    """

    def __init__(self, session: Session, models: Models, instance: str | None) -> None:
        self._session = session
        self._table: Table = models.job.__table__
        self._instance = instance
        self._found: Mapping[str, Sequence[str]] | None = None
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

    def count(self, *wanted: Collection[Where], most: int | None = None) -> list[int]:
        """Count the jobs of ranges, each up to a number, in one statement.

        A statement costs more than it counts: the server may be elsewhere.
        """
        parts = [(place, one) for place, ranges in enumerate(wanted) for one in ranges]
        totals = [0] * len(wanted)
        if parts:
            counts = [self._counted(where, most) for _, where in parts]
            row = self._session.execute(select(*counts)).one()
            for (place, _), number in zip(parts, row, strict=True):
                totals[place] += number
        return totals if most is None else [min(each, most + 1) for each in totals]

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
        """Name who works on jobs, of whatever instance."""
        table = self._table
        owners = select(table.c.lease_owner).where(table.c.state == RUNNING).distinct()
        return tuple(sorted(owner for owner in self._session.scalars(owners) if owner))

    def reasons(
        self, most: int | None, examples: Mapping[str, int]
    ) -> tuple[Reason, ...]:
        """Tell why jobs failed, the most frequent reason first."""
        named = [(state, code) for state in TROUBLE for code in self._codes(state)]
        ranges = [self._narrow(state, [code]) for state, code in named]
        counts = self.count(*([where] for where in ranges), most=most)
        numbers = [examples.get(state, 0) for state, _ in named]
        some = self._examples(ranges, numbers)
        found = [
            Reason(*name, count, tuple(some[place]))
            for place, (name, count) in enumerate(zip(named, counts, strict=True))
            if count
        ]
        return tuple(sorted(found, key=lambda one: (-one.count, one.state, one.code)))

    def _codes(self, state: str) -> Sequence[str]:
        """Give the reasons that jobs in a state have.

        Jobs that wait have one too, if they were tried before.
        """
        if self._found is None:
            self._found = self._jump()
        return self._found[state]

    def _jump(self) -> Mapping[str, Sequence[str]]:
        """Go from one reason to the next, and over all the jobs between them."""
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

    def _counted(self, where: Where, most: int | None) -> ScalarSelect[int]:
        if most is None:
            return select(func.count()).where(*where).scalar_subquery()
        # Some databases write these rows down: let them be short.
        one: Select[int] = select(literal_column("1", Integer).label("one"))
        rows = one.select_from(self._table).where(*where).limit(most + 1).subquery()
        return select(func.count()).select_from(rows).scalar_subquery()

    def _examples(
        self, ranges: Sequence[Where], numbers: Sequence[int]
    ) -> list[list[Example]]:
        """Name some jobs of each range; of each instance the latest."""
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
            examples.sort(key=lambda one: one.finished_at, reverse=True)
        return found
