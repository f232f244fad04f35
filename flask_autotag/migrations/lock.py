"""One process at a time changes the tables, on a connection that nobody else gets."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from ..database import lock_writers, may_pass
from ..errors import UpgradeError

T = TypeVar("T")

#: Seconds to wait for another process that changes the tables, or keeps them locked.
PATIENCE = 900.0
#: Seconds that a statement waits for a table before it lets others pass again, who
#: have to wait behind it.
LOCK_TIMEOUT = 3
_PAUSE = 0.5

#: Of PostgreSQL: a lock that was not to be had in time.
_LOCK_NOT_AVAILABLE = "55P03"


class _Held(Exception):
    """Somebody else changes the tables."""


def exclusively(
    engine: Engine,
    revision: Table,
    work: Callable[[Connection], T],
    *,
    patience: float = PATIENCE,
    on_wait: Callable[[], None] = lambda: None,
) -> T:
    """Run *work* on a connection while no other process does so on these tables.

    It is run again from the start when a lock could not be had, or the connection was
    lost: what it did before must not disturb it. A lock goes with its process.

    :param revision: the table that tells the revision; made if there is none.
    :param patience: seconds after which to give up.
    :param on_wait: called once, before the first wait.
    :raises UpgradeError: if others kept the tables for so long.
    """
    end = time.monotonic() + patience
    told = False
    while True:
        try:
            with _locked(engine, revision) as connection:
                return work(connection)
        except (_Held, DBAPIError) as error:
            if isinstance(error, DBAPIError) and not _may_pass(error):
                raise
            if time.monotonic() + _PAUSE > end:
                raise UpgradeError(
                    f"For {patience:.0f} seconds others have kept the tables: an"
                    " upgrade in another process, or a transaction that does not end."
                    " Look for it, and run the command again."
                ) from error
        if not told:
            on_wait()
            told = True
        time.sleep(_PAUSE)


def _may_pass(error: DBAPIError) -> bool:
    return may_pass(error) or getattr(error.orig, "sqlstate", None) == (
        _LOCK_NOT_AVAILABLE
    )


@contextmanager
def _locked(engine: Engine, revision: Table) -> Iterator[Connection]:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            with _locked_file(connection, revision):
                yield connection
            return
        try:
            _lock_server(connection, revision)
            _create(connection, revision)
            yield connection
        finally:
            # The lock and the time-outs are the session's, so it is of no more use.
            connection.invalidate()


@contextmanager
def _locked_file(connection: Connection, revision: Table) -> Iterator[None]:
    """Take SQLite's write lock until the end, and commit all or nothing."""
    # Else a table that is dropped after its copy takes along what refers to it.
    with _without_foreign_keys(connection):
        _create(connection, revision)
        lock_writers(connection, revision)
        yield
        connection.commit()


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    # The driver's own: within a transaction, which SQLAlchemy might begin, the
    # pragma does nothing.
    driver: Any = connection.connection.dbapi_connection
    [before] = driver.execute("PRAGMA foreign_keys").fetchone()
    driver.execute("PRAGMA foreign_keys = 0")
    try:
        yield
    finally:
        connection.rollback()
        driver.execute(f"PRAGMA foreign_keys = {before}")


def _create(connection: Connection, revision: Table) -> None:
    connection.execute(CreateTable(revision, if_not_exists=True))
    connection.commit()


def _lock_server(connection: Connection, revision: Table) -> None:
    """Take a lock that ends with the session, or raise at once.

    Who waited inside a statement would keep ``CREATE INDEX CONCURRENTLY`` waiting,
    and so the one that it waits for.
    """
    name = f"flask_autotag {connection.engine.url.database} {revision.fullname}"
    digest = hashlib.sha256(name.encode()).digest()
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(digest[:8], signed=True)
        lock = text("SELECT pg_try_advisory_lock(:key)").bindparams(key=key)
        timeout = f"SET lock_timeout = '{LOCK_TIMEOUT}s'"
    else:
        lock = text("SELECT GET_LOCK(:key, 0)").bindparams(key=digest.hex()[:60])
        timeout = f"SET SESSION lock_wait_timeout = {LOCK_TIMEOUT}"
    held = not connection.scalar(lock)
    connection.execute(text(timeout))
    connection.commit()
    if held:
        raise _Held
