"""Which errors of the databases may pass, and which report a missing table."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

#: Transient errors of SQLite: BUSY and LOCKED.
_SQLITE_TRANSIENT = {5, 6}
#: Transient errors of MySQL and MariaDB: too many connections, server shutting down,
#: lock wait timeout, deadlock; and of their drivers: no connection, lost connection.
_MYSQL_TRANSIENT = {0, 1040, 1053, 1205, 1213, 1927, 2002, 2003, 2006, 2013, 2055}
#: Transient errors of PostgreSQL by the start of SQLSTATE: connection, rollback,
#: insufficient resources, lock not available, operator intervention.
_POSTGRESQL_TRANSIENT = ("08", "40", "53", "55P03", "57P")

#: The errors of PostgreSQL, MySQL and MariaDB for an unknown table or column.
_UNKNOWN_NAMES = ("42P01", "42703", 1146, 1054)

#: The errors of an unreachable database, and of one without our tables.
UNAVAILABLE_ERRORS = (
    OperationalError,
    ProgrammingError,
    InternalError,
    InterfaceError,
    PoolTimeout,
)


def is_transient(error: DBAPIError | PoolTimeout) -> bool:
    """Return whether the same transaction may succeed if it runs again."""
    if isinstance(error, PoolTimeout) or error.connection_invalidated:
        return True
    cause = cast(Any, error.orig)
    if hasattr(cause, "sqlite_errorcode"):
        # The low byte is the primary code; the rest extends it.
        return cause.sqlite_errorcode & 0xFF in _SQLITE_TRANSIENT
    # MySQL's SQLSTATE is less specific, and missing in some versions of its drivers.
    if cause.args and cause.args[0] in _MYSQL_TRANSIENT:
        return True
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if isinstance(state, str):
        return state.startswith(_POSTGRESQL_TRANSIENT)
    if type(cause).__module__.startswith("psycopg"):
        # An error without SQLSTATE is the driver's own: it has no connection.
        return type(cause).__name__ in ("OperationalError", "ConnectionTimeout")
    return False


def is_missing_table(error: Exception) -> bool:
    """Return whether a statement failed because a table or a column is missing."""
    if not isinstance(error, DBAPIError):
        return False
    cause = cast(Any, error.orig)
    if hasattr(cause, "sqlite_errorcode"):
        return str(cause).startswith(("no such table", "no such column"))
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return state in _UNKNOWN_NAMES or bool({*cause.args[:1]} & {*_UNKNOWN_NAMES})
