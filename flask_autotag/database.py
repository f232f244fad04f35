"""The database that holds the tables: the host's, or a file of our own."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

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
    false,
    literal_column,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.expression import ColumnClause, TableClause

from .models import Models

T = TypeVar("T")

#: Seconds that a transaction is tried again: longer than a database takes to
#: restart, shorter than a lease.
PATIENCE = 30.0
#: Seconds before it is tried again, at first and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0

#: Of SQLite: BUSY and LOCKED.
_SQLITE_PASSING = {5, 6}
#: Of MySQL and MariaDB: too many connections, server shutting down, lock wait
#: timeout, deadlock; and by their drivers: no connection, or a lost one.
_MYSQL_PASSING = {0, 1040, 1053, 1205, 1213, 1927, 2002, 2003, 2006, 2013, 2055}
#: Of PostgreSQL, classes of SQLSTATE: connection, rollback, resources, operator.
_POSTGRESQL_PASSING = ("08", "40", "53", "57P")

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

    def check(self) -> None:
        """Raise what speaks against using it."""

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

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give the host's session, so that a request needs no second connection."""
        session = self.host_session()
        if session is not None:
            yield session
        else:
            with self.begin() as own:
                yield own

    def transact(
        self, work: Callable[[Session], T], patience: float | None = None
    ) -> T:
        """Run *work* in a short transaction of its own and give what it returns.

        It is run again from the start if a deadlock, another writer or a restart of
        the database ended the transaction. If the connection is lost while it
        commits, nobody knows whether it did: *work* has to ask for the lease first.

        :param patience: seconds after which the error is raised; by default
            :data:`PATIENCE`.
        """
        end = time.monotonic() + (PATIENCE if patience is None else patience)
        pause = _FIRST_PAUSE
        while True:
            try:
                with self.begin() as session:
                    return work(session)
            except (DBAPIError, PoolTimeout) as error:
                if not may_pass(error) or time.monotonic() + pause > end:
                    raise
            # Not together with those that it waits for.
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(_LONGEST_PAUSE, pause * 2)

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
    :param refuse: called before it is used; raises what speaks against that.
    """

    def __init__(
        self, path: str, models: Models, refuse: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(models)
        self._path = path
        self._refuse = refuse
        self._lock = threading.Lock()
        self._engines: dict[int, Engine] = {}

    @property
    def engine(self) -> Engine:
        """One engine for each process: a SQLite connection must not cross a fork."""
        self.check()
        with self._lock:
            engine = self._engines.get(os.getpid())
            if engine is None:
                engine = self._engines[os.getpid()] = self._open()
            return engine

    def check(self) -> None:
        """Raise what speaks against a file of our own."""
        self._refuse()

    def _open(self) -> Engine:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        engine = create_engine(f"sqlite:///{self._path}")
        event.listen(engine, "connect", _set_write_ahead_log)
        self.models.metadata.create_all(engine, tables=self.models.tables)
        return engine


def may_pass(error: DBAPIError | PoolTimeout) -> bool:
    """Whether the same transaction may succeed when it is run again."""
    if isinstance(error, PoolTimeout) or error.connection_invalidated:
        return True
    cause = cast(Any, error.orig)
    if hasattr(cause, "sqlite_errorcode"):
        # The upper bits refine it.
        return cause.sqlite_errorcode & 0xFF in _SQLITE_PASSING
    # Before the state, which says less there, and which not all versions tell.
    if cause.args and cause.args[0] in _MYSQL_PASSING:
        return True
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if isinstance(state, str):
        return state.startswith(_POSTGRESQL_PASSING)
    if type(cause).__module__.startswith("psycopg"):
        # Without a state the error is the driver's own: it has no connection.
        return type(cause).__name__ in ("OperationalError", "ConnectionTimeout")
    return False


def dialect_of(session: Session | Connection) -> str:
    """Give SQLAlchemy's name of the database that is talked to."""
    if isinstance(session, Connection):
        return session.dialect.name
    return session.get_bind().dialect.name


def lock_writers(session: Session | Connection, table: Table) -> None:
    """On SQLite, wait for other writers before the transaction reads.

    A transaction that reads first and writes then is refused at once, whatever the
    timeout, if somebody else has written in between. The other databases lock the
    rows that are read.
    """
    if dialect_of(session) == "sqlite":
        column = table.primary_key.columns[0]
        session.execute(update(table).where(false()).values({column: column}))


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


def read_clock(session: Session) -> float:
    """Read the clock of the database, in seconds since 1970.

    For ranges of an index: none serves a comparison with a clock that moves on.
    """
    return float(
        session.execute(select(database_now(dialect_of(session)))).scalar_one()
    )


def insert_or_ignore(table: Table, dialect: str, key: Sequence[str]) -> Insert:
    """Make an INSERT that leaves a row with the same unique *key* as it is.

    Never an ``IntegrityError``, which would end a transaction of the host.

    :param key: the columns of the primary key or of a unique constraint.
    """
    if dialect in ("mysql", "mariadb"):
        same = {key[0]: table.c[key[0]]}
        return cast(Insert, _insert(table, dialect).on_duplicate_key_update(same))
    insert = _insert(table, dialect)
    return cast(Insert, insert.on_conflict_do_nothing(index_elements=key))


def insert_or_update(
    table: Table, dialect: str, key: Sequence[str], columns: Sequence[str]
) -> Insert:
    """Make an INSERT that changes *columns* of a row with the same unique *key*.

    Either way the row is locked until the transaction ends.
    """
    insert = _insert(table, dialect)
    if dialect in ("mysql", "mariadb"):
        new = {column: insert.inserted[column] for column in columns}
        return cast(Insert, insert.on_duplicate_key_update(new))
    new = {column: _excluded(column) for column in columns}
    return cast(Insert, insert.on_conflict_do_update(index_elements=key, set_=new))


def insert_or_add(
    table: Table, dialect: str, key: Sequence[str], column: str
) -> Insert:
    """Make an INSERT that adds to *column* of a row with the same unique *key*."""
    insert = _insert(table, dialect)
    if dialect in ("mysql", "mariadb"):
        added = {column: table.c[column] + insert.inserted[column]}
        return cast(Insert, insert.on_duplicate_key_update(added))
    added = {column: table.c[column] + _excluded(column)}
    return cast(Insert, insert.on_conflict_do_update(index_elements=key, set_=added))


def _excluded(column: str) -> ColumnElement[Any]:
    """Name a column of the row that was to be inserted.

    ``insert.excluded`` is the same, and copies the whole table each time.
    """
    return TableClause("excluded", ColumnClause(column)).c[column]


def _insert(table: Table, dialect: str) -> Any:
    # Each dialect takes some 30 ms to import; the host's engine has done that for one.
    if dialect in ("mysql", "mariadb"):
        from sqlalchemy.dialects import mysql

        return mysql.insert(table)
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def rows_changed(session: Session, statement: Any) -> int:
    """Execute an UPDATE or DELETE and count the rows that it matched."""
    result = cast("CursorResult[Any]", session.execute(statement))
    return result.rowcount
