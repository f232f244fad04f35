"""Logs a recurring error less and less often."""

from __future__ import annotations

import logging
import math
import threading
import time
import traceback

from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from ..characters import printable

logger = logging.getLogger(__name__)

#: Seconds until the same error is logged again, doubled each time …
FIRST_SILENCE = 60.0
#: … up to this many. An error that stayed away as long again counts as new.
LONGEST_SILENCE = 3600.0
#: The remedy if a database does not know a table or column.
TABLES_ADVICE = (
    "If the tables are missing, 'flask autotag init-db' makes them, or a migration;"
    " those of an older release need 'flask autotag upgrade-db'."
)


class ThrottledLog:
    """Logs errors that recur, as they do while a database is down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: The time each error was logged, and the silence after it, in seconds.
        self._logged: dict[tuple[str, str], tuple[float, float]] = {}

    def log(self, sentence: str, error: Exception, level: int = logging.ERROR) -> None:
        """Log an error with its traceback, unless the same was logged recently.

        An error of the database is logged in one line, without a traceback.

        :param sentence: names the work that failed.
        """
        if not self._is_due((sentence, type(error).__name__)):
            return
        if isinstance(error, OperationalError | ProgrammingError):
            logger.log(level, "%s %s %s", sentence, first_line(error), TABLES_ADVICE)
        else:
            logger.log(level, sentence, exc_info=error)

    def log_lines(self, sentence: str, error: Exception) -> None:
        """Log the traceback of an error without its message, as rarely.

        For the code of others that knows a key: the message might contain it.
        """
        if self._is_due((sentence, type(error).__name__)):
            lines = "".join(traceback.format_tb(error.__traceback__))
            logger.error("%s\n%s", sentence, lines)

    def _is_due(self, error: tuple[str, str]) -> bool:
        now = time.monotonic()
        with self._lock:
            logged, silence = self._logged.get(error, (-math.inf, 0.0))
            since = now - logged
            if since < silence:
                return False
            is_new = since > silence + LONGEST_SILENCE
            silence = FIRST_SILENCE if is_new else min(LONGEST_SILENCE, silence * 2)
            self._logged[error] = (now, silence)
            return True


def first_line(error: DBAPIError) -> str:
    """Return the type and the first line of a database's error message."""
    line = str(error.orig).strip().partition("\n")[0].rstrip(".")
    return printable(f"{type(error).__name__}: {line}.")
