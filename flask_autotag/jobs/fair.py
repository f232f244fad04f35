"""Fair claims: instances take turns, so that none waits for all jobs of another."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, func, select, tuple_
from sqlalchemy.orm import Session

from ..db.job_states import QUEUED
from ..db.sql import dialect_of, lock_free_rows
from ..runtime.turn import Turn

#: Instances that share a claim; more do if these have too few jobs to fill it. Each
#: costs one statement.
INSTANCES = 8
#: The index in which the jobs of an instance are adjacent.
_INDEX = "ix_autotag_job_turn"
_MYSQL = ("mysql", "mariadb")


def lock_next(
    session: Session, table: Table, priority: int, limit: int, turn: Turn, now: float
) -> list[Row[Any]]:
    """Lock the oldest due jobs of the instances whose turn it is.

    Each instance gets an equal share of *limit*. Unused shares go to the others, in
    their order.

    :param limit: maximum number of jobs.
    :param now: seconds since 1970 by the database's clock.
    :return: the rows of the jobs, instance by instance.
    """
    return _Queue(session, table, priority, now).lock_next(limit, turn)


@dataclass(frozen=True)
class _Queue:
    """The due jobs of one priority."""

    session: Session
    table: Table
    priority: int
    now: float

    def lock_next(self, limit: int, turn: Turn) -> list[Row[Any]]:
        names = self._next_instances(limit, turn)
        share = max(1, limit // max(1, min(len(names), INSTANCES)))
        found: dict[str, list[Row[Any]]] = {}
        free = limit
        for name in names:
            if free:
                due = self._due(name).limit(min(share, free))
                found[name] = lock_free_rows(self.session, due)
                free -= len(found[name])
        for name, rows in found.items():
            if free and len(rows) == share < limit:
                others = self.table.c.id.not_in([row.id for row in rows])
                due = self._due(name).where(others).limit(free)
                more = lock_free_rows(self.session, due)
                rows += more
                free -= len(more)
        return [row for rows in found.values() for row in rows]

    def _due(self, instance: str | ColumnElement[str]) -> Select[Any]:
        """Select the due jobs of one instance, oldest first."""
        table = self.table
        if dialect_of(self.session) == "postgresql":
            # Without statistics, PostgreSQL prefers to read the whole index of due
            # times. That index does not have this order.
            place = tuple_(table.c.instance, table.c.run_at)
            return (
                self._queued()
                .where(table.c.instance >= instance)
                .where(place <= tuple_(instance, self.now))
                .order_by(table.c.instance, table.c.run_at, table.c.id)
            )
        return (
            self._queued()
            .where(table.c.instance == instance, table.c.run_at <= self.now)
            .order_by(table.c.run_at, table.c.id)
        )

    def _queued(self) -> Select[Any]:
        table = self.table
        queued = select(table).where(
            table.c.state == QUEUED, table.c.priority == self.priority
        )
        for dialect in _MYSQL:
            queued = queued.with_hint(table, f"FORCE INDEX ({_INDEX})", dialect)
        return queued

    def _next_instances(self, most: int, turn: Turn) -> list[str]:
        """List instances with due jobs, beginning after the last one served."""
        if turn.last is None:
            # Short-lived workers must not all begin with the same instance.
            names = self._instances()
            start = random.randrange(len(names)) if names else 0  # noqa: S311 - no secret
            return [*names[start:], *names[:start]][:most]
        names = self._instances(most, after=turn.last)
        if len(names) < most:
            names += self._instances(most - len(names), to=turn.last)
        return names

    def _instances(
        self, most: int | None = None, after: str = "", to: str | None = None
    ) -> list[str]:
        """List instances with due jobs, without reading all their jobs.

        :param most: maximum number of instances.
        :param after: only instances whose names sort after this one.
        :param to: only instances whose names do not sort after this one.
        """
        queued = self._queued()
        if to is not None:
            queued = queued.where(self.table.c.instance <= to)
        in_groups = dialect_of(self.session) in _MYSQL
        found = (self._grouped if in_groups else self._jumping)(queued, after)
        return list(self.session.scalars(found.limit(most)))

    def _grouped(self, queued: Select[Any], after: str) -> Select[Any]:
        """Skip from instance to instance in the index, on MySQL and MariaDB."""
        table = self.table
        # They skip only if all leading columns of the index are grouped.
        groups = (table.c.state, table.c.priority, table.c.instance)
        first = func.min(table.c.run_at).label("first")
        return (
            queued.with_only_columns(table.c.instance, first)
            .where(table.c.instance > after)
            .group_by(*groups)
            .having(first <= self.now)
            .order_by(*groups)
        )

    def _jumping(self, queued: Select[Any], after: str) -> Select[Any]:
        """Skip from instance to instance in the index, by a recursive query."""
        instance = self.table.c.instance
        ordered = queued.with_only_columns(instance).order_by(instance).limit(1)
        first = ordered.where(instance > after).subquery()
        found = select(first.c.instance).cte("found", recursive=True)
        # No second lower bound: SQLite might search the index by that one.
        following = ordered.where(instance > found.c.instance).scalar_subquery()
        found = found.union_all(select(following).where(found.c.instance.is_not(None)))
        # Not EXISTS, for which PostgreSQL might join all due jobs.
        due = self._due(found.c.instance).with_only_columns(self.table.c.id).limit(1)
        # A recursive query returns its rows in the order in which it finds them.
        return select(found.c.instance).where(
            found.c.instance.is_not(None), due.scalar_subquery().is_not(None)
        )
