"""The database that holds the tables: the host's, or our own SQLite file."""

from __future__ import annotations

import os
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from flask import has_request_context
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from .errors import is_transient
from .host_writes import beside_savepoints, outer_connection, writing_connection
from .models import Models
from .savepoint import Undone, savepoint

T = TypeVar("T")

#: Seconds for which a transaction is retried: longer than a database takes to restart,
#: shorter than a lease.
PATIENCE = 30.0
#: The same during a request, whose client waits for the response.
REQUEST_PATIENCE = 5.0
#: Seconds before the first retry, and the most before any later one.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


class Database(ABC):
    """The database that holds the tables.

    :param models: the mapped classes.
    """

    def __init__(self, models: Models) -> None:
        self.models = models

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """The engine. The host's engine needs an application context."""

    def check(self) -> None:  # noqa: B027 - not every database can be refused
        """Raise an error if the database must not be used."""

    def is_at(self, connection: Connection) -> bool:
        """Return whether a connection is one to this database."""
        return is_same_database(self.engine, connection.engine)

    def host_session(self) -> Session | None:
        """Return the host's current session, or ``None`` without one."""
        return None

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open a transaction of our own, and commit it at the end of the block.

        On MariaDB and MySQL its isolation level is ``READ COMMITTED``. Under their
        default, ``REPEATABLE READ``, the queue's range scans would lock the gaps
        between jobs, and a tag that another worker has just created would be invisible.

        In a test whose host's session begins savepoints in an outer transaction, it is
        another savepoint there: see :meth:`outer_connection`.
        """
        outer = self.outer_connection()
        if outer is not None:
            with (
                beside_savepoints(outer),
                Session(
                    outer,
                    expire_on_commit=False,
                    join_transaction_mode="create_savepoint",
                ) as session,
                session.begin(),
            ):
                yield session
            return
        engine = self.engine
        if engine.dialect.name in ("mysql", "mariadb"):
            engine = engine.execution_options(isolation_level="READ COMMITTED")
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield the host's session, so that a request needs no second connection.

        Without a session of the host, yield one of our own, as :meth:`begin` does.
        """
        session = self.host_session()
        if session is not None:
            yield session
        else:
            with self.begin() as own:
                yield own

    def transact(
        self, work: Callable[[Session], T], patience: float | None = None
    ) -> T:
        """Run *work* in a transaction of our own and return its result.

        It runs again from the start if a deadlock, another writer or a restart of the
        database ended the transaction. If the connection is lost during the commit, the
        transaction may have been committed: *work* must check for that, by its lease
        for example.

        :param patience: seconds after which the error is raised; by default
            :data:`PATIENCE`, and :data:`REQUEST_PATIENCE` inside a request.
        """
        if patience is None:
            patience = REQUEST_PATIENCE if has_request_context() else PATIENCE
        end = time.monotonic() + patience
        pause = _FIRST_PAUSE
        while True:
            try:
                with self.begin() as session:
                    return work(session)
            except (DBAPIError, PoolTimeout) as error:
                if not is_transient(error) or time.monotonic() + pause > end:
                    raise
            # A random pause separates transactions that blocked each other.
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(_LONGEST_PAUSE, pause * 2)

    def write(
        self, session: Session | None, work: Callable[[Connection], T]
    ) -> tuple[T, bool]:
        """Run *work* in the host's transaction if it has writes, or in one of ours.

        If *work* fails in the host's transaction, its statements alone are undone.

        :param session: the host's session.
        :return: the result of *work*, and whether the host's commit is needed for it.
        :raises Exception: the error of *work*. See :func:`.savepoint` for the case in
            which the host's transaction has ended.
        """
        connection = self.writing_connection(session)
        if connection is None or not self.is_at(connection):
            return self.transact(lambda own: work(own.connection())), False
        try:
            with savepoint(connection):
                return work(connection), True
        except Undone as undone:
            raise undone.error from None

    def writing_connection(self, session: Session | None) -> Connection | None:
        """Return the connection of the host's session if it has uncommitted writes."""
        return writing_connection(session, self.models.job.__table__)

    def outer_connection(self) -> Connection | None:
        """Return the connection with the outer transaction of a host's test.

        All our transactions are part of it: what the host "commits" there is visible on
        no other connection.
        """
        return outer_connection(self.host_session(), self.models.job.__table__)

    def is_bound_to_thread(self) -> bool:
        """Return whether another thread must not use the database at the same time."""
        return self.outer_connection() is not None or is_bound_to_thread(self.engine)

    def create_tables(self) -> None:
        """Create the missing tables, and no table of the host."""
        bind = self.outer_connection() or self.engine
        self.models.metadata.create_all(bind, tables=self.models.tables)


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
        key = self._bind_key
        bind = self._db.engine if key is None else self._db.engines[key]
        # A test may put a connection in its place.
        return cast(Engine, bind.engine)

    def host_session(self) -> Session | None:
        """Return ``db.session``, which is a registry in Flask-SQLAlchemy."""
        session = self._db.session
        return cast(
            Session, session() if isinstance(session, scoped_session) else session
        )


class OwnDatabase(Database):
    """A SQLite file of our own, created with its tables at the first use.

    :param path: the file; its folder is created too.
    :param refuse: called before each use; raises an error if the file must not be used.
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
        """Raise an error if a file of our own must not be used."""
        self._refuse()

    def _open(self) -> Engine:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        engine = create_engine(f"sqlite:///{self._path}")
        event.listen(engine, "connect", _set_write_ahead_log)
        self.models.metadata.create_all(engine, tables=self.models.tables)
        return engine


def is_same_database(one: Engine, other: Engine) -> bool:
    """Return whether two engines lead to one database."""
    if one.pool is other.pool:
        return True
    return _location(one.url) == _location(other.url) and not _is_in_memory(one.url)


def _location(url: URL) -> tuple[str, str | None, int | None, str | None]:
    """Return the database that *url* names, without the driver and the user."""
    path = url.database
    if url.get_backend_name() == "sqlite" and path:
        path = os.path.realpath(path)
    return url.get_backend_name(), url.host, url.port, path


def _is_in_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def _set_write_ahead_log(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL").close()


def is_shared_memory(engine: Engine) -> bool:
    """Return whether all threads share one connection to an in-memory database."""
    return isinstance(engine.pool, StaticPool)


def is_bound_to_thread(engine: Engine) -> bool:
    """Return whether another thread would get the same connection, or no data."""
    return isinstance(engine.pool, StaticPool | SingletonThreadPool)
