"""Our statements in the host's transaction: if they fail, they alone are undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

#: The name of our savepoints.
NAME = "flask_autotag"


class Undone(Exception):
    """Our statements failed and were undone; the host's own writes are kept.

    :ivar error: the error of the statement that failed.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Run the block in the host's transaction, and undo its statements if it fails.

    The statements are sent as they are, and not through ``begin_nested()``: that
    skips the rollback without an error when the connection is lost, and the caller
    must know whether the rollback worked.

    :raises Undone: if the block failed and its statements were undone.
    :raises Exception: the block's own error, if nothing could be undone because the
        database has ended the transaction. The caller must let it reach the host, whose
        writes are lost.
    """
    begin, release, undo = _statements(connection)
    for statement in begin:
        connection.exec_driver_sql(statement)
    try:
        yield
    except Exception as error:
        if not _succeeds(connection, undo):
            raise
        raise Undone(error) from error
    for statement in release:
        connection.exec_driver_sql(statement)


def _statements(
    connection: Connection,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the statements that begin, release and undo a savepoint."""
    begin, release = f"SAVEPOINT {NAME}", f"RELEASE SAVEPOINT {NAME}"
    undo = (f"ROLLBACK TO SAVEPOINT {NAME}", release)
    dialect = connection.dialect.name
    if dialect == "sqlite" and not _is_in_transaction(connection):
        # Python's driver begins a transaction at the first write. An earlier savepoint
        # would be the transaction itself, and releasing it would commit.
        return ("BEGIN",), (), ("ROLLBACK",)
    if dialect in ("mysql", "mariadb"):
        # The next savepoint of the same name, or the commit, releases it at no cost.
        return (begin,), (), undo
    return (begin,), (release,), undo


def _is_in_transaction(connection: Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    return bool(getattr(driver, "in_transaction", True))


def _succeeds(connection: Connection, statements: tuple[str, ...]) -> bool:
    try:
        for statement in statements:
            connection.exec_driver_sql(statement)
    except Exception:
        return False
    return True
