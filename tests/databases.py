"""Databases with the tables of a host, made once and emptied after each test."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Row, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from .hosts import make_host
from .services import temporary_database


class HostDatabases:
    """The databases of one test process."""

    def __init__(self) -> None:
        self._idle: dict[str, list[_HostDatabase]] = {}

    @contextmanager
    def lend(self, kind: str, folder: Path) -> Iterator[str]:
        """Yield the URL of a database that no other test uses.

        ``make_host`` finds its tables made and empty. On SQLite it copies a file.
        """
        if kind == "sqlite":
            with temporary_database(kind, folder) as url:
                yield url
            return
        idle = self._idle.setdefault(kind, [])
        database = idle.pop() if idle else _KINDS[kind](kind, folder)
        emptied = False
        try:
            yield database.url
            emptied = database.empty()
        finally:
            if emptied:
                idle.append(database)
            else:
                database.drop()

    def close(self) -> None:
        """Drop the databases."""
        for databases in self._idle.values():
            for database in databases:
                database.drop()
        self._idle.clear()


class _HostDatabase(ABC):
    """A database on a server, with the tables of ``make_host``."""

    def __init__(self, kind: str, folder: Path) -> None:
        with ExitStack() as stack:
            self.url = stack.enter_context(temporary_database(kind, folder))
            with make_host(self.url) as host, host.app.app_context():
                metadata = host.db.metadata
                revision = host.models.revision.__table__.name
            #: Each table before the tables that it refers to.
            self._tables = [
                table.name
                for table in reversed(metadata.sorted_tables)
                if table.name != revision
            ]
            self._revisions = f"SELECT version_num FROM {revision}"
            engine = create_engine(
                self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT"
            )
            stack.callback(engine.dispose)
            self._connection = stack.enter_context(engine.connect())
            self._shape = self._read_shape()
            self._stack = stack.pop_all()

    def drop(self) -> None:
        self._stack.close()

    def empty(self) -> bool:
        """Remove what a test left.

        :returns: whether the database is as it was made; it is not if the test changed
            the tables.
        """
        self._disconnect_others()
        try:
            return self._read_shape() == self._shape and self._delete_rows()
        except DBAPIError:
            # Such as for the table of revisions, which the test dropped.
            return False

    def _execute(self, statement: str) -> list[Row[Any]]:
        result = self._connection.execute(text(statement))
        return list(result) if result.returns_rows else []

    @abstractmethod
    def _disconnect_others(self) -> None: ...

    @abstractmethod
    def _read_shape(self) -> object:
        """Read the columns, keys and indexes of all tables, and the noted revision."""

    @abstractmethod
    def _delete_rows(self) -> bool:
        """Delete all rows and reset the sequences; return whether that was done."""


class _PostgreSQLDatabase(_HostDatabase):
    #: Deleted rows slow a table down. A database that had more of them is dropped.
    _MOST_ROWS = 1000

    def _disconnect_others(self) -> None:
        self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def _read_shape(self) -> object:
        # pg_depend has a row for each object of a schema. A row's xmin changes with it.
        # 16384 is FirstNormalObjectId of PostgreSQL's access/transam.h.
        return self._execute(
            "SELECT concat_ws(' ', attrelid, attname, xmin) AS line"
            " FROM pg_attribute WHERE attrelid >= 16384 UNION ALL"
            " SELECT concat_ws(' ', classid, objid, objsubid, refobjid, xmin)"
            " FROM pg_depend WHERE objid >= 16384 ORDER BY line"
        ), self._execute(self._revisions)

    def _delete_rows(self) -> bool:
        deleted = sum(
            self._connection.execute(text(f"DELETE FROM {table}")).rowcount
            for table in self._tables
        )
        self._execute(
            "SELECT setval(format('%I.%I', schemaname, sequencename), start_value,"
            " false) FROM pg_sequences WHERE last_value IS NOT NULL"
        )
        return deleted <= self._MOST_ROWS


class _MariaDBDatabase(_HostDatabase):
    def _disconnect_others(self) -> None:
        for (connection,) in self._execute(
            "SELECT id FROM information_schema.processlist"
            " WHERE db = database() AND id <> connection_id()"
        ):
            with suppress(DBAPIError):  # The connection has ended by itself.
                self._execute(f"KILL {connection}")

    def _read_shape(self) -> object:
        tables = [name for (name,) in self._execute("SHOW TABLES")]
        made = [
            re.sub(r" AUTO_INCREMENT=\d+", "", created)
            for table in tables
            for _, created in self._execute(f"SHOW CREATE TABLE `{table}`")
        ]
        return made, self._execute("SHOW TRIGGERS"), self._execute(self._revisions)

    def _delete_rows(self) -> bool:
        used = self._execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = database() AND auto_increment > 1 UNION "
            + " UNION ".join(
                f"(SELECT '{table}' FROM {table} LIMIT 1)" for table in self._tables
            )
        )
        # Rows that DELETE has marked would go on to take part in InnoDB's locking.
        self._execute("SET foreign_key_checks = 0")
        for (table,) in used:
            self._execute(f"TRUNCATE TABLE `{table}`")
        return True


_KINDS: dict[str, type[_HostDatabase]] = {
    "postgresql": _PostgreSQLDatabase,
    "mariadb": _MariaDBDatabase,
}
