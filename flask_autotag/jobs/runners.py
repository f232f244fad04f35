"""Who works off the queue: a thread, the upload itself, or somebody else."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..database import is_shared_memory
from ..state import Runner, State
from .crew import Crew
from .worker import Worker

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

#: Seconds that a stopped thread gets to finish its image.
GRACE = 2.0


def make_runner(name: str) -> Runner:
    """Make the runner that ``AUTOTAG_RUNNER`` names."""
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
    """Leaves the work to a ``flask autotag worker``."""

    def prepare(self, app: Flask, state: State) -> None:
        """Do nothing."""

    def start(self, app: Flask, state: State) -> None:
        """Do nothing."""

    def wake(self, app: Flask, state: State, ids: Sequence[int]) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class InlineRunner(NoRunner):
    """Works at once, in the thread that uploaded."""

    def wake(self, app: Flask, state: State, ids: Sequence[int]) -> None:
        """Work off the queue before returning; what goes wrong is logged."""
        try:
            Worker(app, state).drain()
        except Exception:
            logger.exception("The queue could not be worked off.")


class ThreadRunner(NoRunner):
    """One worker in a thread of this process, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._crew: Crew | None = None
        self._pid = 0

    def start(self, app: Flask, state: State) -> None:
        """Start the thread, unless this process has it or is a command that ends."""
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid != os.getpid() and not _in_command():
                self._pid = os.getpid()
                # What a fork copied of the parent's threads is of no use here.
                self._crew = None
                try:
                    self._start(app, state)
                except Exception:
                    logger.exception("The thread that tags could not be started.")

    def wake(self, app: Flask, state: State, ids: Sequence[int]) -> None:
        """Make the thread look for a job now."""
        self.start(app, state)
        if self._crew is not None:
            self._crew.wake()

    def stop(self) -> None:
        """End the thread of this process after its image, or leave it behind."""
        if self._pid == os.getpid() and self._crew is not None:
            self._crew.stop()
            if not self._crew.join(GRACE):
                self._crew.interrupt()

    def _start(self, app: Flask, state: State) -> None:
        with app.app_context():
            if is_shared_memory(state.database.engine):
                logger.warning(
                    "A SQLite database in memory cannot be shared with a thread:"
                    " nothing will be tagged. Use a file, or AUTOTAG_RUNNER ="
                    " 'inline'."
                )
                return
        self._crew = Crew(app, state)
        self._crew.start()


def _in_command() -> bool:
    """Whether this is a command such as an import, which ends when it is done.

    Its jobs are left to the host's server or worker; ``flask run`` is a server.
    """
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name != "run"
