"""The database that holds the tables: the host's, or a file of our own."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Double,
    Engine,
    Insert,
    Table,
    create_engine,
    event,
    literal_column,
)
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.pool import StaticPool

from .models import Models

_WRITTEN = "flask_autotag.written"
_WRITING = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE|MERGE)\b", re.IGNORECASE)


class Database:
    """Where the tables are, and the host's session of the moment.

    :param models: the mapped classes.
    """

    def __init__(self, models: Models) -> None:
        self.models = models

    @property
    def engine(self) -> Engine:
        """The engine; the host's is there only inside an application context."""
        raise NotImplementedError

    def host_session(self) -> Session | None:
        """Give the session that the host works with now, if it has one."""
        return None

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open a short transaction of our own, committed at the end of the block.

        On MariaDB and MySQL it reads committed rows, as the other databases do:
        under ``REPEATABLE READ`` the queue's range scans lock the gaps between
        jobs, and a tag that another worker just made stays invisible.
        """
        engine = self.engine
        if engine.dialect.name in ("mysql", "mariadb"):
            engine = engine.execution_options(isolation_level="READ COMMITTED")
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def create_tables(self) -> None:
        """Create those of our tables that do not exist, and nothing else."""
        self.models.metadata.create_all(self.engine, tables=self.models.tables)


class HostDatabase(Database):
    """The database of Flask-SQLAlchemy or Flask-SQLAlchemy-Lite.

    :param db: the host's extension object.
    """

    def __init__(self, db: Any, models: Models) -> None:
        super().__init__(models)
        self._db = db
        self._bind_key = models.metadata.info.get("bind_key")

    @property
    def engine(self) -> Engine:
        """The engine that the metadata's bind key names, or the default one."""
        if self._bind_key is None:
            return cast(Engine, self._db.engine)
        return cast(Engine, self._db.engines[self._bind_key])

    def host_session(self) -> Session | None:
        """``db.session``: a registry in Flask-SQLAlchemy, the session in -Lite."""
        session = self._db.session
        return cast(
            Session, session() if isinstance(session, scoped_session) else session
        )


class OwnDatabase(Database):
    """A SQLite file of our own, made with its tables when it is first needed.

    :param path: the file; its folder is made too.
    """

    def __init__(self, path: str, models: Models) -> None:
        super().__init__(models)
        self._path = path
        self._lock = threading.Lock()
        self._engines: dict[int, Engine] = {}

    @property
    def engine(self) -> Engine:
        """One engine for each process: a SQLite connection must not cross a fork."""
        with self._lock:
            engine = self._engines.get(os.getpid())
            if engine is None:
                engine = self._engines[os.getpid()] = self._open()
            return engine

    def _open(self) -> Engine:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        engine = create_engine(f"sqlite:///{self._path}")
        event.listen(engine, "connect", _set_write_ahead_log)
        self.models.metadata.create_all(engine, tables=self.models.tables)
        return engine


def _set_write_ahead_log(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL").close()


def track_writes(engine: Engine) -> None:
    """Note on each connection of *engine* whether its transaction has written.

    Neither SQLAlchemy nor the databases tell, and an upload's job must join a
    transaction that will be committed, but not one that has only read and will be
    thrown away. Calling it again for the same engine changes nothing.
    """
    if not event.contains(engine, "begin", _note_begin):
        event.listen(engine, "begin", _note_begin)
        event.listen(engine, "after_cursor_execute", _note_statement)


def _note_begin(connection: Connection) -> None:
    connection.info[_WRITTEN] = False


def _note_statement(
    connection: Connection,
    cursor: Any,
    statement: str,
    parameters: Any,
    context: Any,
    executemany: bool,
) -> None:
    if (
        context.isinsert
        or context.isupdate
        or context.isdelete
        or _WRITING.match(statement)
    ):
        connection.info[_WRITTEN] = True


def writing_connection(session: Session | None, table: Table) -> Connection | None:
    """Give the connection of *session* if it has writes that are not committed.

    Changed objects that are not flushed count as writes.

    :param table: decides the engine, where a session has several.
    :return: ``None`` if the session has nothing to commit, or cannot execute
        anything now, as inside its ``after_commit`` event.
    """
    if session is None or not session.is_active:
        return None
    unflushed = _has_unflushed(session)
    if not (unflushed or session.in_transaction()):
        return None
    try:
        connection = session.connection(bind_arguments={"clause": table})
    except InvalidRequestError:
        return None
    return connection if unflushed or connection.info.get(_WRITTEN) else None


def _has_unflushed(session: Session) -> bool:
    if session.new or session.deleted:
        return True
    return any(session.is_modified(instance) for instance in session.dirty)


def is_shared_memory(engine: Engine) -> bool:
    """Whether all threads share one connection, as with ``sqlite:///:memory:``."""
    return isinstance(engine.pool, StaticPool)


#: Clocks that run within a transaction and a statement, too.
_NOW = {
    "postgresql": "extract(epoch from clock_timestamp())",
    "mysql": "unix_timestamp(sysdate(6))",
    "mariadb": "unix_timestamp(sysdate(6))",
    # 2440587.5 is the Julian day of 1970-01-01 00:00 UTC.
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}


def database_now(dialect: str) -> ColumnElement[float]:
    """Seconds since 1970 by the clock of the database.

    Leases compare times that several machines wrote, so no host's clock will do.

    :param dialect: SQLAlchemy's name of the database.
    """
    return literal_column(_NOW.get(dialect, _NOW["sqlite"]), Double())


def insert_or_ignore(table: Table, dialect: str, key: Sequence[str]) -> Insert:
    """Make an INSERT that leaves a row with the same unique *key* as it is.

    Never an ``IntegrityError``, which would end a transaction of the host.

    :param key: the columns of the primary key or of a unique constraint.
    """
    # Each dialect takes some 30 ms to import; the host's engine has done that for one.
    if dialect in ("mysql", "mariadb"):
        from sqlalchemy.dialects import mysql

        same = {key[0]: table.c[key[0]]}
        return mysql.insert(table).on_duplicate_key_update(same)
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing(index_elements=key)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table).on_conflict_do_nothing(index_elements=key)


def rows_changed(session: Session, statement: Any) -> int:
    """Execute an UPDATE or DELETE and count the rows that it matched."""
    result = cast("CursorResult[Any]", session.execute(statement))
    return result.rowcount
