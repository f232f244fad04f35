"""What ``flask autotag worker`` does: runs a crew until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from ..state import State
from ..tally import Tally
from .crew import Crew

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

#: Child processes that a worker has at most, unless told to have more.
_PROCESSES = 4
#: Seconds that the images at hand get to be finished after the first signal.
GRACE = 25.0
#: Seconds between two looks at the crew.
_LOOK = 0.2
#: Seconds between two signs of life in the health file.
_HEARTBEAT = 5.0


def default_processes() -> int:
    """Count the processors, up to four: each child takes some 80 MB of memory."""
    return min(_PROCESSES, os.cpu_count() or 1)


class Progress(Protocol):
    """Tells people what a worker does."""

    def begin(self) -> None:
        """Say that the work begins, and that signals are heeded."""

    def show(self, tally: Tally) -> None:
        """Show the counts of now; called a few times a second."""

    def end(self, tally: Tally) -> None:
        """Show the counts of the end."""


class Stopper:
    """Turns signals into an orderly end.

    A handler only sets a flag: whatever it interrupts must not be torn from its
    transaction. The second signal ends the process at once; the leases of its jobs
    run out, and other workers take them up.
    """

    def __init__(self) -> None:
        self.told = threading.Event()

    @contextlib.contextmanager
    def listening(self, state: State) -> Iterator[None]:
        """Handle SIGTERM and SIGINT during the block."""

        def handle(number: int, _frame: FrameType | None) -> None:
            if self.told.is_set():
                state.pool.kill()
                os._exit(128 + number)
            self.told.set()

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
    progress: Progress,
    *,
    processes: int,
    drain: bool = False,
    health_file: Path | None = None,
) -> None:
    """Work off the queue until a signal, or, to *drain*, until no job is due.

    :param processes: how many child processes classify at the same time.
    :param health_file: written to every few seconds while all is well; a supervisor
        restarts the worker if the file gets old.
    :raises Exception: what kept a draining worker from its work.
    """
    state.pool.resize(processes)
    crew = Crew(app, state, processes + 1, drain)
    stopper = Stopper()
    with stopper.listening(state):
        progress.begin()
        crew.start()
        beat = -_HEARTBEAT
        while crew.is_alive and not stopper.told.wait(_LOOK):
            progress.show(crew.tally)
            now = time.monotonic()
            if health_file and now - beat >= _HEARTBEAT and not crew.is_stuck:
                beat = now
                health_file.write_text(f"{os.getpid()}\n")
        _end(crew)
    progress.end(crew.tally)
    if drain and crew.error is not None:
        raise crew.error


def _end(crew: Crew) -> None:
    crew.stop()
    if crew.join(GRACE):
        return
    logger.warning("The images at hand take too long; their jobs are handed back.")
    crew.interrupt()
    crew.join(GRACE / 5)
