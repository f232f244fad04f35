"""The process of ``flask autotag worker``: threads, signals and the health file."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from ..runtime.state import State
from ..runtime.tally import Tally
from .worker_threads import WorkerThreads

if TYPE_CHECKING:
    from flask import Flask

#: Largest default number of child processes.
_PROCESSES = 4
#: Seconds that the current images may take after the first signal.
GRACE = 25.0
#: Seconds between two checks of the threads.
_CHECK_INTERVAL = 0.2
#: Seconds between two writes of the health file.
_HEARTBEAT = 5.0


def default_processes() -> int:
    """Return the number of processors, at most four: each child takes some 80 MB."""
    return min(_PROCESSES, os.cpu_count() or 1)


class WorkerOutput(Protocol):
    """Shows people the work of a worker."""

    def begin(self) -> None:
        """Show that the work begins."""

    def show(self, tally: Tally) -> None:
        """Show the current counts; called a few times a second."""

    def end(self, tally: Tally) -> None:
        """Show the final counts."""


class Stopper:
    """Stops the process after SIGTERM or SIGINT.

    The handler only sets an event: an exception could interrupt a transaction. The
    second signal ends the process at once; other workers run its jobs when their leases
    expire.
    """

    def __init__(self) -> None:
        self.signalled = threading.Event()

    @contextlib.contextmanager
    def listening(self, state: State) -> Iterator[None]:
        """Handle SIGTERM and SIGINT during the block."""

        def handle(number: int, _frame: FrameType | None) -> None:
            if self.signalled.is_set():
                state.pool.kill()
                os._exit(128 + number)
            self.signalled.set()

        before = {
            number: signal.signal(number, handle)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def supervise(
    app: Flask,
    state: State,
    progress: WorkerOutput,
    *,
    processes: int,
    drain: bool = False,
    health_file: Path | None = None,
) -> None:
    """Run queued jobs until a signal.

    :param processes: number of child processes that classify.
    :param drain: stop when no job is due.
    :param health_file: written every five seconds as long as no thread is stuck; a
        process manager can restart the worker when the file is too old.
    :raises Exception: the last error of a thread, with *drain*.
    """
    state.pool.resize(processes)
    threads = WorkerThreads(app, state, processes + 1, drain)
    stopper = Stopper()
    with stopper.listening(state):
        progress.begin()
        threads.start()
        beat = -_HEARTBEAT
        while threads.is_alive and not stopper.signalled.wait(_CHECK_INTERVAL):
            progress.show(threads.tally)
            now = time.monotonic()
            if health_file and now - beat >= _HEARTBEAT and not threads.is_stuck:
                beat = now
                health_file.write_text(f"{os.getpid()}\n")
        threads.end(GRACE)
    progress.end(threads.tally)
    if drain and threads.error is not None:
        raise threads.error
