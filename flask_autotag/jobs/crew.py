"""Several workers in one process, and what they share."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from ..state import State
from ..tally import Tally
from .leases import Leases
from .worker import BATCH, Worker

if TYPE_CHECKING:
    from flask import Flask

#: Seconds after which an idle worker looks for jobs that nobody told it of: those
#: of other processes, and those to be tried again.
POLL = 5.0

#: Jobs that a thread claims at first. It claims twice as many each time that it
#: gets all it asked for, so that a few uploads are shared among the children.
FIRST_BATCH = 4


class Crew:
    """Threads that work off the queue, and one that keeps their leases.

    Each thread claims, classifies and writes by itself. One more than there are
    children keeps all children busy: while one writes, another one's images are
    classified.

    :param app: the application.
    :param state: what the extension keeps for it.
    :param threads: how many work.
    :param drain: end when no job is due.
    """

    def __init__(
        self, app: Flask, state: State, threads: int = 1, drain: bool = False
    ) -> None:
        self.tally = Tally(state.ends)
        #: The last that kept a thread from its work.
        self.error: Exception | None = None
        # Not held: an application that is dropped ends its threads.
        self._app = weakref.ref(app)
        self._state = state
        self._drain = drain
        self._awake = threading.Event()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._leases = Leases(app, state)
        self._keeper = self._thread("leases", self._leases.keep, self._ended)
        self._threads = [
            self._thread(f"worker-{number}", self._work) for number in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in (self._keeper, *self._threads):
            thread.start()

    def wake(self) -> None:
        """Make an idle thread look for jobs now."""
        self._awake.set()

    def stop(self) -> None:
        """Let the threads end after the image at hand; do not wait."""
        self._stop.set()
        self._awake.set()

    @property
    def is_alive(self) -> bool:
        """Whether any thread still works."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def is_stuck(self) -> bool:
        """Whether some thread takes longer for its images than anything that works."""
        return any(batch.is_overdue for batch in self._leases.batches)

    def join(self, seconds: float) -> bool:
        """Wait until the threads have ended.

        :return: whether they did in that time.
        """
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(seconds / len(self._threads))
        if not self.is_alive:
            self._ended.set()
        return not self.is_alive

    def interrupt(self) -> None:
        """Kill the children at work; their jobs are handed back, uncharged."""
        self.stop()
        for batch in self._leases.batches:
            batch.interrupt()

    def _thread(self, name: str, target: object, *args: object) -> threading.Thread:
        return threading.Thread(
            target=target,  # type: ignore[arg-type]
            args=args,
            name=f"flask-autotag-{name}",
            daemon=True,
        )

    def _work(self) -> None:
        limit = FIRST_BATCH
        while not self._stop.is_set():
            # Cleared before the look, so that a job committed meanwhile wakes again.
            self._awake.clear()
            app = self._app()
            if app is None:
                return
            worked = self._work_once(app, limit)
            del app
            limit = min(BATCH, limit * 2) if worked >= limit else FIRST_BATCH
            if worked:
                # There may be more, for others too.
                self._awake.set()
            elif self._drain:
                return
            else:
                self._awake.wait(POLL)

    def _work_once(self, app: Flask, limit: int) -> int:
        worker = Worker(app, self._state, self._leases, self._stop, self.tally)
        try:
            return worker.work(limit)
        except Exception as error:
            self._state.troubles.log(
                f"The queue cannot be worked off; it is tried every {POLL:g} seconds.",
                error,
            )
            self.error = error
            return 0
