"""Renewing the leases of this process, and requeueing lost jobs of others."""

from __future__ import annotations

import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..classification.sandbox.pool import Slot
from ..runtime.state import State
from . import claims
from .queue import Job

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

#: Seconds between two renewals: a lease survives three failed ones.
RENEW_INTERVAL = 15.0
#: Seconds between two searches for jobs of dead processes of this machine.
DEAD_INTERVAL = 3.0
#: Seconds that a batch may take beyond the time limits of its images, such as to load
#: them. After that its thread counts as stuck, and its leases are not renewed.
LOADING_TIME = 120.0


class Batch:
    """Claimed jobs that one thread works on.

    :param jobs: the jobs of one claim.
    :param seconds: longest time for which their leases are renewed.
    """

    def __init__(self, jobs: Sequence[Job], seconds: float) -> None:
        self.jobs = jobs
        self._remaining = {job.id: job for job in jobs}
        self._slot: Slot | None = None
        self._interrupted = False
        self._until = time.monotonic() + seconds
        self._lock = threading.Lock()

    @property
    def remaining(self) -> list[Job]:
        """The jobs that have not ended and still belong to this worker."""
        with self._lock:
            return list(self._remaining.values())

    @property
    def interrupted(self) -> bool:
        """Whether the thread has to stop as soon as possible."""
        return self._interrupted

    @property
    def is_overdue(self) -> bool:
        """Whether it exceeded its longest time, so that its thread counts as stuck."""
        return time.monotonic() > self._until

    def is_ours(self, job: Job) -> bool:
        """Whether *job* still belongs to this worker and has not ended."""
        return job.id in self._remaining

    def drop(self, jobs: Sequence[Job]) -> None:
        """Remove *jobs*, which have ended or belong to another worker."""
        with self._lock:
            for job in jobs:
                self._remaining.pop(job.id, None)

    @contextmanager
    def working_in(self, slot: Slot) -> Iterator[None]:
        """Allow :meth:`interrupt` to kill the child of *slot* during the block."""
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
        """Stop the work on the batch. Call it from another thread."""
        with self._lock:
            self._interrupted = True
            if self._slot is not None:
                self._slot.interrupt()


class Leases:
    """The leases of the batches that this process works on.

    :param app: the application.
    :param state: the extension's state for it.
    """

    def __init__(self, app: Flask, state: State) -> None:
        self._app = weakref.ref(app)
        self._state = state
        self._batches: set[Batch] = set()
        self._deferred: list[Job] = []
        self._lock = threading.Lock()

    @property
    def batches(self) -> list[Batch]:
        """The batches that are being worked on."""
        with self._lock:
            return list(self._batches)

    @contextmanager
    def hold(self, jobs: Sequence[Job]) -> Iterator[Batch]:
        """Keep renewing the leases of *jobs* during the block."""
        seconds = LOADING_TIME + len(jobs) * self._state.config.timeout
        batch = Batch(jobs, seconds)
        with self._lock:
            self._batches.add(batch)
        try:
            yield batch
        finally:
            with self._lock:
                self._batches.discard(batch)

    def defer_hand_back(self, jobs: Sequence[Job]) -> None:
        """Hand *jobs* back at the next renewal, when the database may be reachable."""
        with self._lock:
            self._deferred.extend(jobs)

    def hand_back_deferred(self) -> None:
        """Hand back the jobs that could not be handed back before."""
        with self._lock:
            jobs, self._deferred = self._deferred, []
        try:
            claims.hand_back(self._state.database, jobs)
        except Exception:
            self.defer_hand_back(jobs)
            raise

    def renew(self) -> None:
        """Renew all leases; stop the work on jobs that another worker has by now."""
        for batch in self.batches:
            if batch.is_overdue:
                logger.error("%s takes too long; its lease will expire.", batch.jobs[0])
                continue
            lost = claims.renew(self._state.database, batch.remaining, claims.LEASE)
            if lost:
                logger.warning("%d jobs were taken over by another worker.", len(lost))
                batch.drop(lost)
                if not batch.remaining:
                    batch.interrupt()

    def run(
        self, stopped: threading.Event, on_requeue: Callable[[], None] = lambda: None
    ) -> None:
        """Renew leases and requeue lost jobs until *stopped*, or the app is gone.

        :param on_requeue: called after lost jobs were requeued.
        """
        next_renewal = -math.inf
        while (app := self._app()) is not None:
            now = time.monotonic()
            renewing = now >= next_renewal
            if renewing:
                next_renewal = now + RENEW_INTERVAL
            try:
                with app.app_context():
                    if renewing:
                        self.hand_back_deferred()
                        self.renew()
                    if requeue_lost(self._state, expired=renewing):
                        on_requeue()
            except Exception as error:
                self._state.throttled_log.log(
                    "Leases cannot be renewed and lost jobs cannot be requeued; next"
                    f" attempt in {RENEW_INTERVAL:g} seconds.",
                    error,
                )
            del app
            if stopped.wait(min(DEAD_INTERVAL, RENEW_INTERVAL)):
                return


def requeue_lost(state: State, *, expired: bool = True) -> int:
    """Requeue lost jobs. Call it in an application context.

    :param expired: requeue jobs with expired leases too, not only the jobs of dead
        processes of this machine.
    :return: number of jobs.
    """
    number = claims.requeue_dead(state.database)
    if expired:
        number += claims.requeue_expired(state.database)
    if number:
        logger.warning("%d jobs of dead workers were queued again.", number)
    return number
