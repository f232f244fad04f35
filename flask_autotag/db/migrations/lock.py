"""A lock that lets one process at a time change the tables."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateTable

from ...errors import UpgradeError
from ..errors import is_transient
from ..sql import lock_writers

#: Seconds to wait for another process that changes the tables.
PATIENCE = 900.0
#: Seconds that a statement waits for a table: other statements queue behind it.
LOCK_TIMEOUT = 3
_PAUSE = 0.5


@contextmanager
def locked(
    engine: Engine,
    revision: Table,
    *,
    patience: float = PATIENCE,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[Connection]:
    """Yield a connection while no other process changes these tables.

    The lock ends with the process. On SQLite it is the connection's transaction: the
    block must neither commit it nor roll it back.

    :param revision: the table that stores the revision.
    :param patience: seconds to wait for another process.
    :param on_wait: called once, before the first wait.
    :raises UpgradeError: if another process kept the lock for so long.
    """
    set_up = _without_foreign_keys if _is_sqlite(engine) else _with_timeout
    with engine.connect() as connection, set_up(connection):
        end, waited = time.monotonic() + patience, False
        while not _try_lock(connection, revision):
            if time.monotonic() > end:
                raise UpgradeError(
                    f"Another process kept the tables locked for {patience:.0f}"
                    " seconds: an upgrade, or a transaction that does not end. End it,"
                    " and run the command again."
                )
            if not waited:
                on_wait()
            waited = True
            time.sleep(_PAUSE)
        yield connection
        connection.commit()


def _is_sqlite(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    """Switch foreign keys off while Alembic copies and drops tables.

    Dropping a table would delete the rows that refer to it. The pragma goes to the
    driver: it has no effect in a transaction, which SQLAlchemy might begin.
    """
    driver: Any = connection.connection.dbapi_connection
    [before] = driver.execute("PRAGMA foreign_keys").fetchone()
    driver.execute("PRAGMA foreign_keys = 0")
    try:
        yield
    finally:
        connection.rollback()
        driver.execute(f"PRAGMA foreign_keys = {before}")


@contextmanager
def _with_timeout(connection: Connection) -> Iterator[None]:
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}s'"))
    else:
        connection.execute(text(f"SET SESSION lock_wait_timeout = {LOCK_TIMEOUT}"))
    connection.commit()
    try:
        yield
    finally:
        # The timeout and the lock belong to the session.
        connection.invalidate()


def _try_lock(connection: Connection, revision: Table) -> bool:
    if _is_sqlite(connection.engine):
        return _try_lock_file(connection, revision)
    name = f"flask_autotag {connection.engine.url.database} {revision.fullname}"
    digest = hashlib.sha256(name.encode()).digest()
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(digest[:8], signed=True)
        lock = text("SELECT pg_try_advisory_lock(:key)").bindparams(key=key)
    else:
        lock = text("SELECT GET_LOCK(:key, 0)").bindparams(key=digest.hex()[:60])
    acquired = bool(connection.scalar(lock))
    connection.commit()
    return acquired


def _try_lock_file(connection: Connection, revision: Table) -> bool:
    try:
        connection.execute(CreateTable(revision, if_not_exists=True))
        connection.commit()
        lock_writers(connection, revision)
    except OperationalError as error:
        connection.rollback()
        if not is_transient(error):
            raise
        return False
    return True
