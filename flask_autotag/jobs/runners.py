"""Who works off the queue: a thread, the upload itself, or somebody else."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING

import click

from ..database import is_shared_memory
from ..state import Runner, State
from .worker import Worker

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

#: Seconds after which an idle thread looks for jobs that nobody told it of: those
#: of other processes, and those to be tried again.
POLL = 5.0
#: Seconds that a stopped thread gets to finish its job.
GRACE = 2.0


def make_runner(name: str) -> Runner:
    """Make the runner that ``AUTOTAG_RUNNER`` names."""
    runners: dict[str, type[Runner]] = {
        "thread": ThreadRunner,
        "inline": InlineRunner,
        "none": NoRunner,
    }
    return runners[name]()


class NoRunner:
    """Leaves the work to a ``flask autotag worker``."""

    def start(self, app: Flask, state: State) -> None:
        """Do nothing."""

    def wake(self, app: Flask, state: State) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class InlineRunner(NoRunner):
    """Works at once, in the thread that uploaded."""

    def wake(self, app: Flask, state: State) -> None:
        """Work off the queue before returning; what goes wrong is logged."""
        try:
            Worker(app, state).drain()
        except Exception:
            logger.exception("The queue could not be worked off.")


class ThreadRunner:
    """One daemon thread of this process, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def start(self, app: Flask, state: State) -> None:
        """Start the thread, unless this process has it or is a command that ends."""
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid != os.getpid() and not _in_command():
                self._pid = os.getpid()
                try:
                    self._start(app, state)
                except Exception:
                    logger.exception("The thread that tags could not be started.")

    def wake(self, app: Flask, state: State) -> None:
        """Make the thread look for a job now."""
        self.start(app, state)
        self._awake.set()

    def stop(self) -> None:
        """End the thread of this process after its job, or leave it behind."""
        if self._pid != os.getpid() or self._thread is None:
            return
        self._stopped.set()
        self._awake.set()
        if self._thread is not threading.current_thread():
            self._thread.join(GRACE)

    def _start(self, app: Flask, state: State) -> None:
        with app.app_context():
            if is_shared_memory(state.database.engine):
                logger.warning(
                    "A SQLite database in memory cannot be shared with a thread:"
                    " nothing will be tagged. Use a file, or AUTOTAG_RUNNER ="
                    " 'inline'."
                )
                return
        # What a fork copied from the parent's thread is of no use here.
        self._awake, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            args=(weakref.ref(app), state),
            name="flask-autotag",
            daemon=True,
        )
        self._thread.start()

    def _run(self, app_ref: weakref.ref[Flask], state: State) -> None:
        while not self._stopped.is_set():
            # Cleared before the look, so that a job committed meanwhile wakes again.
            self._awake.clear()
            app = app_ref()
            if app is None:
                return
            if not self._work(app, state):
                del app
                self._awake.wait(POLL)

    def _work(self, app: Flask, state: State) -> bool:
        try:
            return Worker(app, state).work()
        except Exception:
            logger.exception(
                "The queue cannot be read; trying again in %g seconds.", POLL
            )
            return False


def _in_command() -> bool:
    """Whether this is a command such as an import, which ends when it is done.

    Its jobs are left to the host's server or worker; ``flask run`` is a server.
    """
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name != "run"
