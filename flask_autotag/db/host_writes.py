"""Finds out whether the host's transaction has written, and so will be committed.

An upload's job must join a transaction that has written, because the host will commit
it, and not one that has only read, because the host will discard it. Neither SQLAlchemy
nor the databases report the difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from .savepoint import NAME

_LEVELS = "flask_autotag.levels"
_WRITING = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE|MERGE)\b", re.IGNORECASE)
#: A statement about a savepoint, except for ours: MariaDB keeps them until the commit.
_SAVEPOINT = re.compile(rf"(|RELEASE |ROLLBACK TO )SAVEPOINT (?!{NAME}$)(\w+)$")


@dataclass
class _Level:
    """A transaction, or a savepoint in it that is neither released nor rolled back.

    :ivar name: of the savepoint; empty for the transaction.
    """

    name: str = ""
    written: bool = False


def track_writes(engine: Engine) -> None:
    """Record on each connection of *engine* whether its transaction has written.

    Repeated calls for the same engine have no effect.
    """
    if not event.contains(engine, "begin", _note_begin):
        event.listen(engine, "begin", _note_begin)
        event.listen(engine, "after_cursor_execute", _note_statement)


def _note_begin(connection: Connection) -> None:
    connection.info[_LEVELS] = [_Level()]


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
        _levels(connection)[-1].written = True
    elif found := _SAVEPOINT.match(statement):
        _note_savepoint(_levels(connection), found[2], is_end=bool(found[1]))


def _note_savepoint(levels: list[_Level], name: str, *, is_end: bool) -> None:
    if not is_end:
        levels.append(_Level(name))
        return
    # Writes that were rolled back count: SQLite keeps their lock.
    while name in [level.name for level in levels]:
        ended = levels.pop()
        levels[-1].written |= ended.written


def _levels(connection: Connection) -> list[_Level]:
    """Return the transaction and the savepoints of a connection, the innermost last."""
    found: list[_Level] = connection.info.setdefault(_LEVELS, [_Level()])
    return found


def writing_connection(session: Session | None, table: Table) -> Connection | None:
    """Return the connection of *session* if it has uncommitted writes.

    Changed objects that are not flushed count as writes. A session that begins a
    savepoint in a transaction of the host's tests commits when it releases that.

    :param table: selects the engine if the session has several.
    :return: ``None`` if the session has nothing to commit, or cannot execute
        statements, as in its ``after_commit`` event.
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
    if commits_by_itself(connection):
        return None
    levels = _levels(connection)
    if _begins_savepoints(session) and connection.in_nested_transaction():
        levels = levels[1:]
    written = any(level.written for level in levels)
    return connection if unflushed or written else None


def outer_connection(session: Session | None, table: Table) -> Connection | None:
    """Return the connection with a transaction in which a session begins savepoints.

    Tests roll that transaction back. Other connections do not see what was "committed"
    in it.

    :param table: as in :func:`writing_connection`.
    """
    if session is None or not _begins_savepoints(session):
        return None
    bind = session.get_bind(clause=table)
    if not isinstance(bind, Connection) or not bind.in_transaction():
        return None
    is_own = session.in_transaction() and not bind.in_nested_transaction()
    return None if is_own else bind


def _begins_savepoints(session: Session) -> bool:
    return getattr(session, "join_transaction_mode", "") == "create_savepoint"


@contextmanager
def beside_savepoints(connection: Connection) -> Iterator[None]:
    """Run the block outside of a connection's savepoints if these have only read.

    A rollback to one of them then keeps the writes of the block.
    """
    savepoints = _levels(connection)[1:]
    if not savepoints or any(level.written for level in savepoints):
        yield
        return
    connection.exec_driver_sql(f"RELEASE SAVEPOINT {savepoints[0].name}")
    try:
        yield
    finally:
        for level in savepoints:
            connection.exec_driver_sql(f"SAVEPOINT {level.name}")


def commits_by_itself(connection: Connection) -> bool:
    """Return whether the database commits each statement at once.

    There is no transaction to join then. On SQLite there is one in this mode too: a
    transaction that we begin lasts until the host's commit.
    """
    if connection.dialect.name == "sqlite":
        return False
    level = connection.get_execution_options().get("isolation_level")
    if level is None:
        level = getattr(connection.dialect, "_on_connect_isolation_level", None)
    return level == "AUTOCOMMIT"


def _has_unflushed(session: Session) -> bool:
    if session.new or session.deleted:
        return True
    return any(session.is_modified(instance) for instance in session.dirty)
