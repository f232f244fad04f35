"""Kills a child process that takes too long."""

from __future__ import annotations

import subprocess
import threading
import time

#: Seconds between two looks at most. A thread that looks now and then costs far
#: less than a timer for every image.
LONGEST_LOOK = 1.0


class Watch:
    """Watches over one child process.

    Its thread runs only while the child is at work.

    :param process: what is killed.
    :param timeout: seconds for one request; the kill may come a quarter later.
    """

    def __init__(self, process: subprocess.Popen[bytes], timeout: float) -> None:
        self._process = process
        self._timeout = timeout
        self._lock = threading.Lock()
        self._deadline: float | None = None
        self._thread: threading.Thread | None = None
        #: Whether the child was killed for being late.
        self.late = False

    def begin(self) -> None:
        """Count the time from now."""
        with self._lock:
            self._deadline = time.monotonic() + self._timeout
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._look, name="flask-autotag-watch", daemon=True
                )
                self._thread.start()

    def end(self) -> None:
        """Stop counting."""
        self._deadline = None

    def _look(self) -> None:
        while True:
            time.sleep(min(LONGEST_LOOK, self._timeout / 4))
            with self._lock:
                self.late = self._is_late()
                if self.late:
                    self._process.kill()
                if self.late or self._deadline is None:
                    self._thread = None
                    return

    def _is_late(self) -> bool:
        deadline = self._deadline
        return deadline is not None and time.monotonic() > deadline
