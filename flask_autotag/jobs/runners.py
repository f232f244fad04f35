"""The runners: which thread or process tags queued images."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..db.database import is_shared_memory
from ..runtime.state import Runner, State

if TYPE_CHECKING:
    from flask import Flask

    from .worker_threads import WorkerThreads

logger = logging.getLogger(__name__)

#: Seconds that a stopped thread has to finish its image.
GRACE = 2.0


def make_runner(name: str) -> Runner:
    """Return a new runner for the value of ``AUTOTAG_RUNNER``."""
    if name == "celery":
        from .celery import CeleryRunner

        return CeleryRunner()
    runners: dict[str, type[Runner]] = {
        "thread": ThreadRunner,
        "inline": InlineRunner,
        "none": NoRunner,
    }
    return runners[name]()


class NoRunner:
    """Runs no jobs; ``flask autotag worker`` does."""

    def prepare(self, app: Flask, state: State) -> None:
        """Do nothing."""

    def start(self, app: Flask, state: State) -> None:
        """Do nothing."""

    def wake(self, app: Flask, state: State, ids: Sequence[int]) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class InlineRunner(NoRunner):
    """Runs jobs at once, in the thread of the upload."""

    def wake(self, app: Flask, state: State, ids: Sequence[int]) -> None:
        """Run all due jobs before returning; log errors instead of raising them."""
        from .worker import Worker

        try:
            Worker(app, state).drain()
        except Exception:
            logger.exception("Queued images could not be tagged.")


class ThreadRunner(NoRunner):
    """Runs jobs in one thread of this process, which starts when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: WorkerThreads | None = None
        self._pid = 0

    def start(self, app: Flask, state: State) -> None:
        """Start the thread, unless it runs already or this process is a command."""
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid != os.getpid() and not _in_command():
                self._pid = os.getpid()
                # A fork copies this object, but not the parent's threads.
                self._threads = None
                try:
                    self._start(app, state)
                except Exception:
                    logger.exception("The tagging thread could not be started.")

    def wake(self, app: Flask, state: State, ids: Sequence[int]) -> None:
        """Make the thread look for jobs now."""
        self.start(app, state)
        if self._threads is not None:
            self._threads.wake()

    def stop(self) -> None:
        """Stop this process's thread after its image; interrupt it if it is slow."""
        if self._pid == os.getpid() and self._threads is not None:
            self._threads.end(GRACE)

    def _start(self, app: Flask, state: State) -> None:
        with app.app_context():
            if is_shared_memory(state.database.engine):
                logger.warning(
                    "The tagging thread cannot use a SQLite database in memory:"
                    " nothing will be tagged. Use a file, or AUTOTAG_RUNNER ="
                    " 'inline'."
                )
                return
            if state.database.outer_connection() is not None:
                logger.warning(
                    "The tagging thread cannot use the connection of a test: nothing"
                    " will be tagged. Set AUTOTAG_RUNNER = 'inline'."
                )
                return
        from .worker_threads import WorkerThreads

        self._threads = WorkerThreads(app, state)
        self._threads.start()


def _in_command() -> bool:
    """Whether this process runs a command, such as an import, and not ``flask run``.

    A command may end before its jobs do. They are left to the server or a worker.
    """
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name != "run"
