"""Writes that a caller waits for briefly, and that continue in the background."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from ..db.database import Database
from ..db.sql import dialect_of
from ..errors import NotWrittenInTime

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that a caller waits.
WAIT = 0.5
#: Seconds after which no further attempt is made.
PATIENCE = 60.0
#: Seconds that one attempt waits for a lock.
LOCK_WAIT = 5
#: Seconds that an ending process still waits for writes in progress.
GRACE = 2.0
#: Writes that may be in the background at the same time …
MOST_LATE = 200
#: … and the bytes of images that they may hold.
MOST_LATE_BYTES = 256 * 2**20


class LateWrites:
    """Writes of one application that continue after their callers.

    Each runs in a thread of its own, so that an unresponsive database, a lock or an
    exhausted connection pool delays the caller by at most :data:`WAIT`.
    """

    def __init__(self) -> None:
        #: Writes in progress: their size in bytes, and their process.
        self._late: dict[Future[int], tuple[int, int]] = {}
        self._flushes = False

    def write(
        self,
        app: Flask,
        database: Database,
        work: Callable[[Session], int],
        size: int = 0,
    ) -> Future[int]:
        """Run *work* in a transaction of its own; return after :data:`WAIT` seconds.

        Call it inside an application context.

        :param work: runs again after an error that may pass, for :data:`PATIENCE`
            seconds.
        :param size: bytes of the image that *work* holds in memory.
        :return: done if *work* has ended in time. The caller adds a callback
            otherwise, which runs in another thread, in no application context.
        :raises NotWrittenInTime: if too many writes are in progress already.
        """
        self._refuse_too_much()
        future: Future[int] = Future()

        def run() -> None:
            with app.app_context():
                try:
                    result = _attempt(database, work)
                except BaseException as error:
                    _end(future.set_exception, error)
                else:
                    _end(future.set_result, result)

        if database.is_bound_to_thread():
            run()
            return future
        try:
            threading.Thread(
                target=run, name="flask-autotag-write", daemon=True
            ).start()
        except RuntimeError:
            # The interpreter ends, or the system has no more threads.
            run()
            return future
        if not wait([future], WAIT).done:
            self._keep(future, size)
        return future

    def flush(self) -> None:
        """Wait :data:`GRACE` seconds for writes in progress, and give up the others."""
        ours = [
            future
            for future, (_, pid) in self._late.copy().items()
            if pid == os.getpid()
        ]
        if ours:
            for future in wait(ours, GRACE).not_done:
                error = NotWrittenInTime(
                    "The process ended before the database took the job."
                )
                _end(future.set_exception, error)

    def _keep(self, future: Future[int], size: int) -> None:
        if not self._flushes:
            self._flushes = True
            atexit.register(_flush, weakref.ref(self))
        self._late[future] = (size, os.getpid())
        future.add_done_callback(lambda done: self._late.pop(done, None))

    def _refuse_too_much(self) -> None:
        # A fork copies the parent's entries, whose threads run only in the parent.
        ours = [size for size, pid in self._late.copy().values() if pid == os.getpid()]
        if len(ours) >= MOST_LATE or sum(ours) >= MOST_LATE_BYTES:
            raise NotWrittenInTime(
                "The database takes no jobs, and too many uploads wait for it already."
            )


def _flush(writes: weakref.ref[LateWrites]) -> None:
    found = writes()
    if found is not None:
        found.flush()


def _attempt(database: Database, work: Callable[[Session], int]) -> int:
    def bounded(session: Session) -> int:
        with short_lock_wait(session.connection()):
            return work(session)

    return database.transact(bounded, PATIENCE)


def _end(set_outcome: Callable[[T], None], outcome: T) -> None:
    try:
        set_outcome(outcome)
    except InvalidStateError:
        # The process is ending, and flush() has given up this write.
        logger.debug("A write ended after it was given up.")


@contextmanager
def short_lock_wait(connection: Connection) -> Iterator[None]:
    """Wait for locks no longer than :data:`LOCK_WAIT` seconds inside the block.

    The connection goes back to the host's pool as it was.
    """
    before, after = _lock_wait_statements(connection)
    if before is None:
        yield
        return
    connection.exec_driver_sql(before)
    try:
        yield
    finally:
        if after is not None:
            _restore(connection, after)


def _restore(connection: Connection, statement: str) -> None:
    try:
        connection.exec_driver_sql(statement)
    except Exception:
        # A lost connection takes the setting along; any other must not be reused.
        connection.invalidate()


def _lock_wait_statements(connection: Connection) -> tuple[str | None, str | None]:
    """Return the statements that shorten and restore the wait for locks."""
    dialect = dialect_of(connection)
    if dialect == "postgresql":
        # Ends with the transaction.
        return f"SET LOCAL lock_timeout = '{LOCK_WAIT}s'", None
    if dialect in ("mysql", "mariadb"):
        name = "innodb_lock_wait_timeout"
        return (
            f"SET @autotag_lock_wait = @@SESSION.{name}, SESSION {name} = {LOCK_WAIT}",
            f"SET SESSION {name} = @autotag_lock_wait",
        )
    return None, None
