"""Kills a child process that takes too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: The longest interval between two checks, in seconds. One thread that checks at
#: intervals costs far less than a timer for every image.
MAX_INTERVAL = 1.0


class Watchdog:
    """Kills a child process whose request takes too long.

    Its thread runs only while a request is under way.

    :param kill: kills the process at once; called in another thread.
    :param timeout: seconds for one request. The kill may come up to a quarter of the
        timeout later, and at most a second.
    """

    def __init__(self, kill: Callable[[], None], timeout: float) -> None:
        self._kill = kill
        self._timeout = timeout
        self._lock = threading.Lock()
        self._deadline: float | None = None
        self._thread: threading.Thread | None = None
        #: Whether the child was killed because of the timeout.
        self.late = False

    def begin(self) -> None:
        """Start the time of a request."""
        with self._lock:
            self.late = False
            self._deadline = time.monotonic() + self._timeout
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._check, name="flask-autotag-watch", daemon=True
                )
                self._thread.start()

    def end(self) -> None:
        """End the time of a request."""
        self._deadline = None

    def _check(self) -> None:
        while True:
            time.sleep(min(MAX_INTERVAL, self._timeout / 4))
            with self._lock:
                self.late = self._is_late()
                if self.late:
                    self._kill()
                if self.late or self._deadline is None:
                    self._thread = None
                    return

    def _is_late(self) -> bool:
        deadline = self._deadline
        return deadline is not None and time.monotonic() > deadline
