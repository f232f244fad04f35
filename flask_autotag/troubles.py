"""What keeps tags from being made: logged, and while it goes on ever more rarely."""

from __future__ import annotations

import logging
import math
import threading
import time
import traceback

from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

logger = logging.getLogger(__name__)

#: Seconds until the same is logged again, doubled each time …
FIRST_SILENCE = 60.0
#: … up to this many. What was not met for as long after that is new.
LONGEST_SILENCE = 3600.0
#: What to do where a database does not know a table or a column.
TABLES_ADVICE = (
    "If the tables are missing, 'flask autotag init-db' makes them, or a migration;"
    " those of an older release need 'flask autotag upgrade-db'."
)


class Troubles:
    """Logs errors that come back, as they do while a database is down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: When each was logged, and for how long it is not logged again.
        self._told: dict[tuple[str, str], tuple[float, float]] = {}

    def log(self, sentence: str, error: Exception, level: int = logging.ERROR) -> None:
        """Log an error with its traceback, unless the same was logged a while ago.

        Of a database that cannot be asked, its own words do instead of a traceback.

        :param sentence: what cannot be done for that reason.
        """
        if not self._is_due((sentence, type(error).__name__)):
            return
        if isinstance(error, OperationalError | ProgrammingError):
            logger.log(level, "%s %s %s", sentence, said_by(error), TABLES_ADVICE)
        else:
            logger.log(level, sentence, exc_info=error)

    def log_lines(self, sentence: str, error: Exception) -> None:
        """Log in which lines an error was raised, and not its words, as rarely.

        For code of others that has a key, which the words might hold.
        """
        if self._is_due((sentence, type(error).__name__)):
            lines = "".join(traceback.format_tb(error.__traceback__))
            logger.error("%s\n%s", sentence, lines)

    def _is_due(self, trouble: tuple[str, str]) -> bool:
        now = time.monotonic()
        with self._lock:
            told, silence = self._told.get(trouble, (-math.inf, 0.0))
            since = now - told
            if since < silence:
                return False
            is_new = since > silence + LONGEST_SILENCE
            silence = FIRST_SILENCE if is_new else min(LONGEST_SILENCE, silence * 2)
            self._told[trouble] = (now, silence)
            return True


def said_by(error: DBAPIError) -> str:
    """Give the first line of what the database itself said."""
    line = str(error.orig).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {line}."
