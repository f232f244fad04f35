"""Upgrade and downgrade the tables of one database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from alembic.script import Script
from sqlalchemy import Connection, Index, Table

from ...errors import UpgradeError
from ..database import Database
from ..models import Models, stored_revision
from . import running
from .inspection import Part, can_be_created, has_tables, missing_parts, part_names
from .lock import PATIENCE, locked
from .running import BASE, HEAD, OnRevision, ignore, read_revisions


@dataclass(frozen=True)
class Standing:
    """The state of the tables in a database.

    :param revision: the revision of the tables; ``None`` if there are none.
    :param stored: whether the database stores the revision. Tables without a stored
        revision are at the newest one if they match this release.
    :param pending: the revisions to apply, oldest first.
    :param missing: tables and indexes to create when no revision is pending.
    """

    revision: str | None
    stored: bool
    pending: list[Script]
    missing: list[Part]


@dataclass(frozen=True)
class Upgrade:
    """Changes the tables of one database.

    Use it in the application context of the host's engine.

    :param patience: seconds to wait for another process that changes the tables.
    :param on_wait: called once, before such a wait.
    """

    database: Database
    patience: float = PATIENCE
    on_wait: Callable[[], None] = lambda: None

    def standing(self) -> Standing:
        """Return the state of the tables; change nothing.

        :raises UpgradeError: if a newer release has upgraded the tables, or if they
            lack columns or unique constraints that no pending revision adds.
        """
        with self.database.engine.connect() as connection:
            return self._standing(connection)

    def upgrade(
        self, start: str | None = None, on_revision: OnRevision = ignore
    ) -> None:
        """Apply the pending revisions, and create missing tables and indexes.

        A failure leaves a SQLite database unchanged. On other databases the changes
        made before it stay, and the next call makes the rest.

        :param start: apply all revisions after this one, or after ``"base"``, whatever
            revision the database stores.
        :raises UpgradeError: as :meth:`standing` does, if *start* is unknown, or if
            another process keeps the lock.
        """
        if start is not None:
            _check_known(start)
        with self._locked() as connection:
            if start is not None or not self._standing(connection).stored:
                running.stamp(connection, self._models, start or HEAD)
            running.upgrade(connection, self._models, on_revision)
            self._create_missing(connection)
            self._standing(connection)

    def downgrade(self, to: str, on_revision: OnRevision = ignore) -> None:
        """Take back the revisions after *to*, with the data that only they store.

        :param to: a revision, or ``"base"``, which drops all tables.
        :raises UpgradeError: if *to* is unknown or newer than the tables, if there are
            no tables, if a newer release has upgraded them, or if another process keeps
            the lock.
        """
        _check_known(to)
        with self.database.engine.connect() as connection:
            if not has_tables(connection, self._models):
                raise UpgradeError("There are no tables of Flask-AutoTag.")
        with self._locked() as connection:
            stored = self._stored_revision(connection)
            if stored is not None:
                _check_order(stored, to)
                running.downgrade(connection, self._models, to, on_revision)
            elif to != BASE:
                raise UpgradeError(
                    "The database stores no revision of the tables. Run 'flask autotag"
                    " upgrade-db' first."
                )
            if to == BASE:
                self._models.metadata.drop_all(connection, self._models.tables)

    def sql(self) -> str:
        """Return the statements of the pending revisions; change nothing.

        :raises UpgradeError: as :meth:`standing` does, if the database stores no
            revision of its tables, or if a revision cannot be written as SQL.
        """
        with self.database.engine.connect() as connection:
            standing = self._standing(connection)
            if standing.revision is not None and not standing.stored:
                raise UpgradeError(
                    "The database stores no revision of the tables, so there are no"
                    " statements to write. Run 'flask autotag upgrade-db' once without"
                    " '--sql': it stores the revision, and creates missing tables and"
                    " indexes."
                )
            start = standing.revision or BASE
            return running.upgrade_sql(connection, self._models, start)

    @property
    def _models(self) -> Models:
        return self.database.models

    def _locked(self) -> AbstractContextManager[Connection]:
        return locked(
            self.database.engine,
            self._models.revision.__table__,
            patience=self.patience,
            on_wait=self.on_wait,
        )

    def _standing(self, connection: Connection) -> Standing:
        if not has_tables(connection, self._models):
            return Standing(None, False, [], [])
        stored, revisions = self._stored_revision(connection), read_revisions()
        revision = stored or revisions[-1].revision
        pending = revisions[_known_revisions().index(revision) :]
        missing = missing_parts(connection, self._models)
        if not pending:
            _check_columns(missing)
        return Standing(revision, stored is not None, pending, missing)

    def _stored_revision(self, connection: Connection) -> str | None:
        stored, known = stored_revision(connection, self._models), _known_revisions()
        if stored is not None and stored not in known:
            raise UpgradeError(
                f"The tables are at revision {stored}, but the newest revision of this"
                f" release is {known[-1]}: a newer release has upgraded them. Install"
                " that release again; only it can downgrade the tables."
            )
        return stored

    def _create_missing(self, connection: Connection) -> None:
        missing = missing_parts(connection, self._models)
        tables = [part for part in missing if isinstance(part, Table)]
        if tables:
            self._models.metadata.create_all(connection, tables)
        for part in missing:
            if isinstance(part, Index):
                part.create(connection)


def _known_revisions() -> list[str]:
    return [BASE, *(script.revision for script in read_revisions())]


def _check_known(revision: str) -> None:
    known = _known_revisions()
    if revision not in known:
        raise UpgradeError(
            f"There is no revision {revision!r}; there are {', '.join(known)}."
        )


def _check_order(stored: str, to: str) -> None:
    known = _known_revisions()
    if known.index(stored) < known.index(to):
        raise UpgradeError(
            f"There is nothing to take back: the tables are at revision {stored}, which"
            f" is older than {to}."
        )


def _check_columns(missing: list[Part]) -> None:
    lost = [part for part in missing if not can_be_created(part)]
    if lost:
        raise UpgradeError(
            f"The tables lack {part_names(lost)}, which no pending revision adds. If an"
            " older release made the tables, name its revision with '--from'; otherwise"
            " add by hand what is missing, or restore a backup."
        )
