"""Several workers in the threads of one process."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..runtime.state import State
from ..runtime.tally import Tally
from .leases import Leases
from .worker import BATCH, Worker

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

#: Seconds after which an idle worker looks for jobs without being woken: for jobs of
#: other processes, and for retries.
POLL = 5.0

#: Jobs of a thread's first claim. After each full claim the next one is twice as large,
#: so that the threads share a small number of uploads.
FIRST_BATCH = 4


class WorkerThreads:
    """Threads that run queued jobs, and one that renews their leases.

    Each thread claims, classifies and stores by itself. One thread more than there are
    child processes keeps all of them busy: it stores while the others classify.

    :param app: the application.
    :param state: the extension's state for it.
    :param threads: number of threads that run jobs.
    :param drain: end the threads when no job is due.
    """

    def __init__(
        self, app: Flask, state: State, threads: int = 1, drain: bool = False
    ) -> None:
        self.tally = Tally(state.outcomes)
        #: The last error that kept a thread from running jobs.
        self.error: Exception | None = None
        # A weak reference: the threads end when the application is collected.
        self._app = weakref.ref(app)
        self._state = state
        self._drain = drain
        self._awake = threading.Event()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._leases = Leases(app, state)
        self._lease_thread = self._thread(
            "leases", self._leases.run, self._ended, self.wake
        )
        self._threads = [
            self._thread(f"worker-{number}", self._work) for number in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in (self._lease_thread, *self._threads):
            thread.start()

    def wake(self) -> None:
        """Make an idle thread look for jobs now."""
        self._awake.set()

    def stop(self) -> None:
        """Make the threads end after their current images; do not wait for them."""
        self._stop.set()
        self._awake.set()

    @property
    def is_alive(self) -> bool:
        """Whether a thread still runs."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def is_stuck(self) -> bool:
        """Whether a thread exceeded the longest time of a batch."""
        return any(batch.is_overdue for batch in self._leases.batches)

    def join(self, seconds: float) -> bool:
        """Wait until the threads have ended.

        :param seconds: longest time to wait.
        :return: whether all have ended.
        """
        until = time.monotonic() + seconds
        for thread in self._threads:
            _join(thread, until)
        if self.is_alive:
            return False
        self._ended.set()
        # It may still have a connection, which must be back before the process ends.
        _join(self._lease_thread, until)
        return True

    def end(self, seconds: float) -> None:
        """Stop the threads, and interrupt the images that they cannot finish in time.

        :param seconds: time for the current images.
        """
        self.stop()
        if self.join(seconds):
            return
        logger.warning("The current images take too long; their jobs are handed back.")
        self.interrupt()
        self.join(seconds / 5)

    def interrupt(self) -> None:
        """Kill the busy children; their jobs are handed back without an attempt."""
        self.stop()
        for batch in self._leases.batches:
            batch.interrupt()

    def _thread(
        self, name: str, target: Callable[..., None], *args: object
    ) -> threading.Thread:
        name = f"flask-autotag-{name}"
        return threading.Thread(target=target, args=args, name=name, daemon=True)

    def _work(self) -> None:
        limit = FIRST_BATCH
        while not self._stop.is_set():
            # Cleared before the claim, so that a job committed meanwhile is seen.
            self._awake.clear()
            app = self._app()
            if app is None:
                return
            claimed = self._work_once(app, limit)
            del app
            if claimed is None:
                # Not woken early: a lasting error must not be repeated in a loop.
                if self._drain or self._stop.wait(POLL):
                    return
                continue
            limit = min(BATCH, limit * 2) if claimed >= limit else FIRST_BATCH
            if claimed:
                # There may be more jobs, for the other threads too.
                self._awake.set()
            elif self._drain:
                return
            else:
                self._awake.wait(POLL)

    def _work_once(self, app: Flask, limit: int) -> int | None:
        """Run a batch.

        :return: number of claimed jobs; ``None`` after an error.
        """
        worker = Worker(app, self._state, self._leases, self._stop, self.tally)
        try:
            return worker.work(limit)
        except Exception as error:
            self._state.throttled_log.log(
                f"Queued images cannot be tagged; next attempt in {POLL:g} seconds.",
                error,
            )
            self.error = error
            return None


def _join(thread: threading.Thread, until: float) -> None:
    """Wait for *thread* until a time of :func:`time.monotonic`."""
    # The collection of the application may stop the threads from within one of them.
    if thread.is_alive() and thread is not threading.current_thread():
        thread.join(max(0.0, until - time.monotonic()))
