"""Keeps the leases of what this process works on, and finds lost jobs of others."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..sandbox.pool import Slot
from ..state import State
from . import claims
from .queue import Job

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

#: Seconds between two rounds: a lease outlives three that fail.
ROUND = 15.0
#: Seconds beyond the time of its images that a batch may take, such as for loading
#: them. After that its leases are renewed no more: its thread is stuck.
LOADING = 120.0


class Batch:
    """Claimed jobs, while one thread works on them.

    :param jobs: all of one claim.
    :param seconds: for which the leases are renewed at most.
    """

    def __init__(self, jobs: Sequence[Job], seconds: float) -> None:
        self.jobs = jobs
        self._left = {job.id: job for job in jobs}
        self._slot: Slot | None = None
        self._interrupted = False
        self._until = time.monotonic() + seconds
        self._lock = threading.Lock()

    @property
    def left(self) -> list[Job]:
        """The jobs that are still ours and have not ended."""
        with self._lock:
            return list(self._left.values())

    @property
    def interrupted(self) -> bool:
        """Whether to stop as soon as possible."""
        return self._interrupted

    @property
    def is_overdue(self) -> bool:
        """Whether it took longer than anything that works."""
        return time.monotonic() > self._until

    def is_ours(self, job: Job) -> bool:
        """Whether to work on *job*, or go on with it."""
        return job.id in self._left

    def drop(self, jobs: Sequence[Job]) -> None:
        """Take out *jobs*: they have ended, or are another worker's."""
        with self._lock:
            for job in jobs:
                self._left.pop(job.id, None)

    @contextmanager
    def working_in(self, slot: Slot) -> Iterator[None]:
        """Let :meth:`interrupt` kill the child of *slot* during the block."""
        with self._lock:
            self._slot = slot
            if self._interrupted:
                slot.interrupt()
        try:
            yield
        finally:
            with self._lock:
                self._slot = None

    def interrupt(self) -> None:
        """Stop the work on it, from another thread."""
        with self._lock:
            self._interrupted = True
            if self._slot is not None:
                self._slot.interrupt()


class Leases:
    """The batches that this process works on.

    :param app: the application.
    :param state: what the extension keeps for it.
    """

    def __init__(self, app: Flask, state: State) -> None:
        self._app = weakref.ref(app)
        self._state = state
        self._batches: set[Batch] = set()
        self._lock = threading.Lock()

    @property
    def batches(self) -> list[Batch]:
        """What is worked on now."""
        with self._lock:
            return list(self._batches)

    @contextmanager
    def hold(self, jobs: Sequence[Job]) -> Iterator[Batch]:
        """Renew the leases of *jobs* during the block."""
        seconds = LOADING + len(jobs) * self._state.config.timeout
        batch = Batch(jobs, seconds)
        with self._lock:
            self._batches.add(batch)
        try:
            yield batch
        finally:
            with self._lock:
                self._batches.discard(batch)

    def renew(self) -> None:
        """Renew all leases; what is another worker's by now is interrupted."""
        for batch in self.batches:
            if batch.is_overdue:
                logger.error("%s takes too long; it is left to others.", batch.jobs[0])
                continue
            lost = claims.renew(self._state.database, batch.left, claims.LEASE)
            if lost:
                logger.warning("%d jobs were taken over by another worker.", len(lost))
                batch.drop(lost)
                if not batch.left:
                    batch.interrupt()

    def keep(self, stopped: threading.Event) -> None:
        """Renew leases and sweep up lost jobs until *stopped*, or the app is gone."""
        while not stopped.wait(ROUND):
            app = self._app()
            if app is None:
                return
            try:
                with app.app_context():
                    self.renew()
                    tidy(self._state)
            except Exception as error:
                self._state.troubles.log(
                    "Leases cannot be renewed, nor lost jobs found; it is tried every"
                    f" {ROUND:g} seconds.",
                    error,
                )
            del app


def tidy(state: State) -> None:
    """Queue lost jobs again. Call it in an application context."""
    found = claims.sweep(state.database)
    if found:
        logger.warning("%d jobs were lost with their worker.", found)
