"""Which bytes a provider elsewhere is asked about now, and what it has just answered.

Whoever wants to send an image reserves its bytes first, so that of all workers one
sends them. The answer is written here as soon as it is there: a worker that is killed
before it stores the tags has not paid in vain.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, null, or_, select, update
from sqlalchemy.orm import Session

from .database import Database, database_now, insert_or_ignore, lock_writers
from .models import Models
from .providers.base import Label
from .providers.http import TOTAL

#: Seconds for which bytes are reserved: a request is over in half of them.
RESERVED = 2 * TOTAL
#: Seconds after which to look again what another worker was answered.
SOON = 5.0
#: Seconds for which an answer is kept at least. Its tags are stored long before.
KEPT = 3600.0
#: Of so many requests one deletes what is not needed any more …
_SELDOM = 16
#: … as many rows as others add meanwhile, and then some.
_PORTION = 500

_KEY = ("instance", "provider", "sha256")


@dataclass(frozen=True)
class Inquiry:
    """Asks one model of a provider about images, known by their digests (SHA-256).

    :param scope: the instance for which the answers hold, or ``""`` for all.
    :param provider: its name.
    :param model: with its version and language.
    :param token: whose reservations are whose.
    """

    models: Models
    scope: str
    provider: str
    model: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def answers(
        self, session: Session, contents: Collection[str]
    ) -> dict[str, tuple[Label, ...]]:
        """Find what was answered of *contents* within the last hour."""
        table = self._table
        rows = session.execute(
            select(table.c.sha256, table.c.labels).where(
                *self._about(contents),
                table.c.token.is_(None),
                table.c.model == self.model,
            )
        )
        return {
            row.sha256: tuple(Label(*label) for label in row.labels) for row in rows
        }

    def reserve(self, session: Session, contents: Collection[str]) -> set[str]:
        """Reserve *contents*, as far as nobody has; an old reservation is taken over.

        :return: what may be sent. Of the rest another worker has the answer soon.
        """
        table, dialect = self._table, session.get_bind().dialect.name
        now = database_now(dialect)
        # In one order, lest two workers wait for each other.
        keys = [
            {"instance": self.scope, "provider": self.provider, "sha256": content}
            for content in sorted(contents)
        ]
        mine = {
            "model": self.model,
            "labels": null(),
            "token": self.token,
            "until": now + RESERVED,
        }
        lock_writers(session, table)
        session.execute(insert_or_ignore(table, dialect, _KEY).values(**mine), keys)
        session.execute(
            update(table)
            .where(*self._about(contents), self._may_be_taken(now))
            .values(**mine)
        )
        return set(session.scalars(select(table.c.sha256).where(*self._ours(contents))))

    def answer(self, session: Session, said: Mapping[str, Sequence[Label]]) -> None:
        """Write down what the provider said of what is reserved."""
        now = database_now(session.get_bind().dialect.name)
        for content, labels in said.items():
            session.execute(
                update(self._table)
                .where(*self._ours([content]))
                .values(
                    labels=[list(astuple(label)) for label in labels],
                    token=None,
                    until=now + KEPT,
                )
            )

    def release(self, session: Session, contents: Collection[str]) -> None:
        """Give up reservations, so that others may ask."""
        if contents:
            session.execute(delete(self._table).where(*self._ours(contents)))

    @property
    def _table(self) -> Table:
        return self.models.inquiry.__table__

    def _about(self, contents: Collection[str]) -> tuple[ColumnElement[bool], ...]:
        table = self._table
        return (
            table.c.instance == self.scope,
            table.c.provider == self.provider,
            table.c.sha256.in_(contents),
        )

    def _ours(self, contents: Collection[str]) -> tuple[ColumnElement[bool], ...]:
        return (*self._about(contents), self._table.c.token == self.token)

    def _may_be_taken(self, now: ColumnElement[float]) -> ColumnElement[bool]:
        """Whether nobody waits for an answer, and the one that is there is no use."""
        table = self._table
        return or_(
            and_(table.c.token.is_not(None), table.c.until <= now),
            and_(table.c.token.is_(None), table.c.model != self.model),
        )


def tidy(database: Database) -> None:
    """Delete, now and then, some of what is not needed any more."""
    if random.randrange(_SELDOM):  # noqa: S311 - no secret
        return
    table = database.models.inquiry.__table__

    def work(session: Session) -> None:
        lock_writers(session, table)
        now = database_now(session.get_bind().dialect.name)
        old = select(table.c.until).where(table.c.until <= now)
        # By time, which has an index: a DELETE has no LIMIT that all databases know.
        newest: Any = session.scalar(
            old.order_by(table.c.until).offset(_PORTION).limit(1)
        )
        before = now if newest is None else newest
        session.execute(delete(table).where(table.c.until <= before))

    database.transact(work)
