"""Brings tables to another revision: what the commands call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from sqlalchemy import Connection, delete, insert

from ..database import Database
from ..errors import UpgradeError
from ..models import Models, noted_revision
from .installed import Installed, installed
from .lock import PATIENCE, exclusively
from .running import BASE, History, Revision, Tell
from .shapes import differences, names, read_shape, recognise, shapes_of


@dataclass(frozen=True)
class Standing:
    """Where the tables of a database are.

    :param revision: the last one that they have seen; ``None`` if there are no tables.
    :param noted: whether the database says so, or the tables were looked at.
    :param pending: the revisions to come, oldest first.
    """

    revision: str | None
    noted: bool
    pending: list[Revision]


@dataclass(frozen=True)
class Upgrade:
    """The tables of a database, and the revisions that change them.

    :param database: in whose engine's application context this is used.
    :param history: the revisions.
    :param patience: seconds to wait for others who change the tables.
    :param on_wait: called before such a wait.
    """

    database: Database
    history: History = field(default_factory=History)
    patience: float = PATIENCE
    on_wait: Callable[[], None] = lambda: None

    def standing(self) -> Standing:
        """Look where the tables are; change nothing.

        :raises UpgradeError: as :meth:`upgrade` does.
        """
        with self.database.engine.connect() as connection:
            return self._standing(connection)

    def upgrade(self, start: str | None = None, tell: Tell | None = None) -> None:
        """Run the revisions that are to come; make the tables if there are none.

        On SQLite all is done or nothing; elsewhere what was done when it failed stays,
        and running it again does the rest.

        :param start: the revision that the tables are of, or ``"base"``: repeats all
            after it. By default what the database or its tables say.
        :param tell: called after each revision.
        :raises UpgradeError: if the tables are of a newer release or of none, if
            *start* is unknown, or if others keep the tables.
        """
        if start is not None:
            self._check(start)

        def work(connection: Connection) -> None:
            begin = start or self._standing(connection).revision
            if begin is None:
                # Its event notes the newest revision.
                self._models.metadata.create_all(connection, self._models.tables)
            else:
                _note(connection, self._models, begin)
            _commit(connection)
            self.history.upgrade(connection, self._tables, tell=tell)
            self._check_result(connection)

        self._exclusively(work)

    def downgrade(self, to: str, tell: Tell | None = None) -> None:
        """Take back the revisions after *to*, with the data that only they have.

        :param to: a revision, or ``"base"``, which drops all tables.
        :raises UpgradeError: as :meth:`upgrade` does, and if the tables are older.
        """
        self._check(to)

        def work(connection: Connection) -> None:
            begin = self._standing(connection).revision
            order = [BASE, *(each.id for each in self.history.revisions())]
            if begin is None:
                raise UpgradeError("There are no tables of Flask-AutoTag.")
            if order.index(begin) < order.index(to):
                raise UpgradeError(
                    f"There is nothing to take back: the tables are at {begin}, which"
                    f" is before {to}."
                )
            _note(connection, self._models, begin)
            _commit(connection)
            self.history.downgrade(connection, self._tables, to, tell)
            if to == BASE:
                self._models.revision.__table__.drop(connection)
            _commit(connection)

        self._exclusively(work)

    def write_sql(self, file: TextIO) -> None:
        """Write the statements of :meth:`upgrade`, and change nothing.

        :raises UpgradeError: as :meth:`upgrade` does.
        """
        with self.database.engine.connect() as connection:
            start = self._standing(connection).revision or BASE
            self.history.write_sql(connection, self._tables, start, file)

    @property
    def _models(self) -> Models:
        return self.database.models

    @property
    def _tables(self) -> Installed:
        return installed(self._models)

    def _exclusively(self, work: Callable[[Connection], None]) -> None:
        exclusively(
            self.database.engine,
            self._models.revision.__table__,
            work,
            patience=self.patience,
            on_wait=self.on_wait,
        )

    def _check(self, revision: str) -> None:
        known = [BASE, *(each.id for each in self.history.revisions())]
        if revision not in known:
            raise UpgradeError(
                f"There is no revision {revision!r}; there are {', '.join(known)}."
            )

    def _standing(self, connection: Connection) -> Standing:
        revisions = self.history.revisions()
        order = [BASE, *(each.id for each in revisions)]
        noted = noted_revision(connection, self._models)
        if noted is not None and noted not in order:
            raise UpgradeError(
                f"The tables are at the revision {noted}, and this release knows none"
                f" after {order[-1]}: a newer one has upgraded them. Install that one"
                " again; only it can take them back."
            )
        revision = noted or self._look(connection)
        begin = order.index(revision or BASE)
        return Standing(revision, noted is not None, revisions[begin:])

    def _look(self, connection: Connection) -> str | None:
        """Find the revision of tables for which none was noted."""
        there = read_shape(connection, self._tables)
        if not there:
            return None
        shapes = shapes_of(self.history)
        found = recognise(there, shapes)
        if found is None:
            nearest, what = differences(there, shapes, self._tables)
            raise UpgradeError(
                f"The tables are of no revision that is known. Compared with {nearest},"
                f" the closest, {what}. Mend that by hand, or tell with '--from' which"
                " revision they are of; nothing was changed."
            )
        return found

    def _check_result(self, connection: Connection) -> None:
        """See that all is there that the revisions make."""
        shapes = shapes_of(self.history)
        *_, newest = shapes
        missing = shapes[newest] - read_shape(connection, self._tables)
        if missing:
            raise UpgradeError(
                f"The tables say that they are at {newest}, but lack"
                f" {names(missing, self._tables)}. '--from base' repeats all revisions;"
                " what is still missing then was taken from a table by hand, and has to"
                " be put back so, or with a back-up."
            )


def _note(connection: Connection, models: Models, revision: str) -> None:
    table = models.revision.__table__
    connection.execute(delete(table))
    if revision != BASE:
        connection.execute(insert(table).values(version_num=revision))


def _commit(connection: Connection) -> None:
    # SQLite's transaction is the lock.
    if connection.dialect.name != "sqlite":
        connection.commit()
