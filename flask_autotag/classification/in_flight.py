"""Images that are being sent to remote providers, and the latest answers.

A worker reserves an image before it sends it, so that only one worker sends the same
bytes. The answer is stored here at once, so that it is not paid for again if the worker
is killed before it stores the tags.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, null, or_, select, update
from sqlalchemy.orm import Session

from ..db.database import Database
from ..db.models import Models
from ..db.sql import database_now, lock_writers
from ..providers.base import Label
from ..providers.http import TOTAL
from .provider_rows import ensure_rows, is_row_of

#: Seconds for which an image is reserved: twice the longest request.
RESERVED_FOR = 2 * TOTAL
#: Seconds after which to look again for the answer to another worker.
RETRY_SOON = 5.0
#: Seconds for which an answer is kept at least, long after its tags are stored.
KEPT_FOR = 3600.0
#: One in this number of requests deletes expired rows.
_CLEANUP_INTERVAL = 16
#: Rows that are deleted at a time, more than are added in between.
_CLEANUP_BATCH = 500


@dataclass(frozen=True)
class Inquiry:
    """Reservations and answers of one worker for one model of a provider.

    Images are identified by the SHA-256 of their files.

    :param scope: the instance for which the answers are valid; ``""`` for all.
    :param provider: the provider's name.
    :param model: the model's name with its version and language.
    :param token: identifies the reservations of this worker.
    """

    models: Models
    scope: str
    provider: str
    model: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def answers(
        self, session: Session, contents: Collection[str]
    ) -> dict[str, tuple[Label, ...]]:
        """Return the answers for *contents* that are still kept, by digest."""
        table = self._table
        rows = session.execute(
            select(table.c.sha256, table.c.labels).where(
                *self._rows_of(contents),
                table.c.token.is_(None),
                table.c.model == self.model,
            )
        )
        return {
            row.sha256: tuple(Label(*label) for label in row.labels) for row in rows
        }

    def reserve(self, session: Session, contents: Collection[str]) -> set[str]:
        """Reserve the images that no other worker has reserved.

        Expired reservations and answers of another model are replaced.

        :return: the digests of the images to send. Another worker has reserved the
            rest, and will have their answers soon.
        """
        table = self._table
        now = database_now(session)
        # Sort the keys: a fixed order cannot deadlock.
        keys = [
            {"instance": self.scope, "provider": self.provider, "sha256": content}
            for content in sorted(contents)
        ]
        reservation: dict[str, Any] = {
            "model": self.model,
            "labels": null(),
            "token": self.token,
            "until": now + RESERVED_FOR,
        }
        ensure_rows(session, table, keys, **reservation)
        session.execute(
            update(table)
            .where(*self._rows_of(contents), self._is_replaceable(now))
            .values(**reservation)
        )
        reserved = select(table.c.sha256).where(*self._reserved_rows_of(contents))
        return set(session.scalars(reserved))

    def store(self, session: Session, answers: Mapping[str, Sequence[Label]]) -> None:
        """Store the answers for reserved images, by digest."""
        now = database_now(session)
        for content, labels in answers.items():
            session.execute(
                update(self._table)
                .where(*self._reserved_rows_of([content]))
                .values(
                    labels=[list(astuple(label)) for label in labels],
                    token=None,
                    until=now + KEPT_FOR,
                )
            )

    def release(self, session: Session, contents: Collection[str]) -> None:
        """Delete reservations, so that other workers can send the images."""
        if contents:
            rows = self._reserved_rows_of(contents)
            session.execute(delete(self._table).where(*rows))

    @property
    def _table(self) -> Table:
        return self.models.inquiry.__table__

    def _rows_of(self, contents: Collection[str]) -> tuple[ColumnElement[bool], ...]:
        table = self._table
        return (
            *is_row_of(table, self.scope, self.provider),
            table.c.sha256.in_(contents),
        )

    def _reserved_rows_of(
        self, contents: Collection[str]
    ) -> tuple[ColumnElement[bool], ...]:
        return (*self._rows_of(contents), self._table.c.token == self.token)

    def _is_replaceable(self, now: ColumnElement[float]) -> ColumnElement[bool]:
        """Select expired reservations, and answers of another model."""
        table = self._table
        return or_(
            and_(table.c.token.is_not(None), table.c.until <= now),
            and_(table.c.token.is_(None), table.c.model != self.model),
        )


def delete_expired(database: Database) -> None:
    """Delete expired rows, in one of :data:`_CLEANUP_INTERVAL` calls on average."""
    if random.randrange(_CLEANUP_INTERVAL):  # noqa: S311 - no secret
        return
    table = database.models.inquiry.__table__

    def work(session: Session) -> None:
        lock_writers(session, table)
        now = database_now(session)
        expired = select(table.c.until).where(table.c.until <= now)
        # Bound the deletion by time: not all databases have DELETE with LIMIT.
        newest: Any = session.scalar(
            expired.order_by(table.c.until).offset(_CLEANUP_BATCH).limit(1)
        )
        before = now if newest is None else newest
        session.execute(delete(table).where(table.c.until <= before))

    database.transact(work)
