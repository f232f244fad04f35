"""One worker: it claims, loads, classifies and stores images in one thread."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from ..classification import remote
from ..classification.request import classified, question
from ..classification.sandbox.pool import Interrupted
from ..classification.sandbox.question import Answer, Question
from ..db.errors import is_transient
from ..db.job_states import CANCELLED, DONE, QUEUED, RULES, RUNNING, TAG
from ..errors import (
    LoaderError,
    NoImage,
    ProviderRefused,
    TaggingError,
    TaggingOff,
    TryLater,
    UnexpectedError,
)
from ..host.signals import send_safely, tagging_failed
from ..runtime.state import State
from ..runtime.tally import Tally
from ..runtime.timings import CLASSIFY, LOAD, STORE
from ..settings.resolution import Settings
from ..tags.store import Entry, store
from . import bulk_action_job, claims, outcomes, reapply_job
from .image_loading import load
from .leases import Batch, Leases
from .notify import notify
from .process_identity import this_process
from .queue import Job, jobs_with_data

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

#: Jobs that are claimed and stored together. Measured on PostgreSQL: batches of 32 are
#: a tenth faster than batches of 16. Larger ones gain little, and the whole batch of a
#: killed worker is classified again.
BATCH = 32
#: Seconds after which a long job is handed back, so that fresh uploads need not wait.
TIME_SLICE = 5.0
#: Seconds after which jobs whose batch failed unexpectedly may be claimed again.
PAUSE = 5.0
#: Seconds that a lease without renewal lasts beyond the time limit of the image: to
#: load it, start a child, ask remote providers and write the tags.
LEASE_MARGIN = 75.0
_UNEXPECTED = "Tagging %s failed unexpectedly."


class Worker:
    """Runs the queued jobs of one application in the calling thread.

    :param app: the application.
    :param state: the extension's state for it.
    :param leases: renews the leases of claimed jobs. Without it, jobs are claimed one
        at a time, with a lease that is long enough for one image.
    :param stop: once set, jobs that have not begun are handed back.
    :param tally: counts the outcomes; by default the tally of the process.
    """

    def __init__(
        self,
        app: Flask,
        state: State,
        leases: Leases | None = None,
        stop: threading.Event | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._app = app
        self._state = state
        self._leases = leases or Leases(app, state)
        self._size = BATCH if leases else 1
        self._lease = claims.LEASE if leases else state.config.timeout + LEASE_MARGIN
        self._stop = stop or threading.Event()
        self._tally = tally or state.outcomes
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._process = this_process()

    def drain(self) -> int:
        """Run jobs until none is due, or *stop* is set.

        :return: number of claimed jobs.
        """
        total = 0
        while not self._stop.is_set() and (claimed := self.work()):
            total += claimed
        return total

    def work(self, limit: int | None = None, patience: float = TIME_SLICE) -> int:
        """Run the next due jobs.

        :param limit: maximum number of jobs; by default a batch.
        :param patience: seconds after which a long job is handed back.
        :return: number of claimed jobs.
        """
        state, size = self._state, min(limit or self._size, self._size)
        with self._app.app_context():
            jobs = claims.claim(
                state.database,
                size,
                self._owner,
                self._lease,
                state.turn,
                self._process,
            )
        return self._run(jobs, patience)

    def _run(self, jobs: Sequence[Job], patience: float) -> int:
        batch: Batch | None = None
        if jobs:
            try:
                with self._leases.hold(jobs) as batch:
                    self._run_long_jobs(batch, patience)
                    self._finish(batch, self._classify(batch))
                    self._hand_back(batch)
            except BaseException as error:
                jobs_left = jobs if batch is None else batch.remaining
                if not self._give_up(jobs_left, error):
                    raise
        return len(jobs)

    def _give_up(self, jobs: Sequence[Job], error: BaseException) -> bool:
        """Hand back the *jobs* of a batch after an unexpected error.

        No attempt is counted, because most of the jobs did not cause the error. From
        then on each is claimed alone. A job that fails again alone is charged with the
        attempt, so that it ends at last.

        :return: whether the error was stored with its job; if not, raise it.
        """
        try:
            if not isinstance(error, Exception) or _is_temporary(error):
                self._return(jobs)
            elif len(jobs) == 1 and jobs[0].is_suspect:
                logger.error(_UNEXPECTED, jobs[0].asset, exc_info=error)
                self._fail(Batch(jobs, 0.0), jobs[0], UnexpectedError(error))
                return True
            else:
                self._return(jobs, UnexpectedError(error))
        except Exception:
            # Tried again at the next renewal, before the leases expire.
            self._leases.defer_hand_back(jobs)
            logger.exception("%d jobs could not be handed back yet.", len(jobs))
        return False

    def _return(
        self, jobs: Sequence[Job], error: UnexpectedError | None = None
    ) -> None:
        with self._app.app_context():
            claims.hand_back(self._state.database, jobs, PAUSE, error)

    def _run_long_jobs(self, batch: Batch, patience: float) -> None:
        """Run the jobs that go through many images without classifying them.

        :param patience: seconds after which an unfinished job is handed back.
        """
        end = time.monotonic() + patience
        for job in batch.jobs:
            if job.kind == TAG:
                continue
            with self._failing(batch, job), self._app.app_context():
                state: str | None = RUNNING
                while state == RUNNING and self._may_continue(batch, job, end):
                    job, state = self._step(job)
                if state != RUNNING:
                    batch.drop([job])
                if state == DONE:
                    self._tally.add(DONE)

    def _step(self, job: Job) -> tuple[Job, str | None]:
        """Run the next step of a long job, in one transaction."""
        if job.kind == RULES:
            return reapply_job.step(self._app, self._state, job, self._lease)
        return bulk_action_job.step(self._state, job, self._lease)

    def _may_continue(self, batch: Batch, job: Job, end: float) -> bool:
        late = time.monotonic() > end
        return not (late or self._stop.is_set()) and batch.is_ours(job)

    def _classify(self, batch: Batch) -> list[tuple[Job, Entry]]:
        """Load and classify the images. No transaction is open meanwhile."""
        pending: deque[tuple[Job, Question]] = deque()
        answered: list[tuple[Job, Question, Answer]] = []
        with (
            contextlib.suppress(Interrupted),
            self._state.pool.slot() as slot,
            batch.working_in(slot),
        ):
            for answer in slot.classify(self._questions(batch, pending)):
                job, asked = pending.popleft()
                if isinstance(answer, TaggingError):
                    self._fail(batch, job, answer)
                    continue
                if answer.seconds is not None:
                    self._state.timings.add(CLASSIFY, answer.seconds)
                answered.append((job, asked, answer))
        return list(self._ask_remote(batch, answered))

    def _ask_remote(
        self, batch: Batch, answered: Sequence[tuple[Job, Question, Answer]]
    ) -> Iterator[tuple[Job, Entry]]:
        """Add the predictions of remote providers to those of local ones."""
        local = [classified(asked, answer) for _, asked, answer in answered]
        tasks = {
            place: remote.Task(job.instance, own.sha256, answer.reduced, asked.settings)
            for place, ((job, asked, answer), own) in enumerate(
                zip(answered, local, strict=True)
            )
            if answer.reduced is not None and batch.is_ours(job)
        }
        results: dict[int, remote.Result] = {}
        if tasks:
            found = remote.ask_providers(self._app, self._state, list(tasks.values()))
            results = dict(zip(tasks, found, strict=True))
        for place, (job, asked, _) in enumerate(answered):
            with self._failing(batch, job):
                result = results.get(place, remote.Result())
                merged = remote.joined(local[place], result)
                yield job, Entry(job.asset, job.instance, merged, asked.settings)

    def _questions(
        self, batch: Batch, pending: deque[tuple[Job, Question]]
    ) -> Iterator[Question]:
        """Load the images as they are needed, one instance after the other.

        :param pending: gets the job of each question.
        """
        settings: dict[str, Settings] = {}
        with self._app.app_context():
            stored = jobs_with_data(self._state.database, batch.jobs)
        for job in _by_instance(batch.jobs):
            if self._stop.is_set() or batch.interrupted:
                return
            if job.kind != TAG or not batch.is_ours(job):
                continue
            with self._failing(batch, job):
                asked = self._question(job, settings, job.id in stored)
                pending.append((job, asked))
            if batch.is_ours(job):
                yield pending[-1][1]

    def _question(
        self, job: Job, settings: dict[str, Settings], is_stored: bool
    ) -> Question:
        """Load an image and choose its providers.

        :param settings: caches the settings of each instance for one batch.
        :param is_stored: whether the image's bytes are stored with the job.
        """
        with self._app.app_context():
            if job.instance not in settings:
                settings[job.instance] = self._state.settings_for(job.instance)
            with self._state.timings.measuring(LOAD):
                data = load(self._state, job, is_stored=is_stored)
        return question(
            data, settings[job.instance], self._state.config.machine, job.instance
        )

    @contextlib.contextmanager
    def _failing(self, batch: Batch, job: Job) -> Iterator[None]:
        """Make an error of the block the failure of *job*.

        Temporary errors of the database are raised, so that the batch is handed back.
        """
        try:
            yield
        except TaggingError as error:
            self._fail(batch, job, error)
        except Exception as error:
            if _is_temporary(error):
                raise
            logger.exception(_UNEXPECTED, job.asset)
            self._fail(batch, job, UnexpectedError(error))

    def _finish(self, batch: Batch, entries: Sequence[tuple[Job, Entry]]) -> None:
        """Write the tags and end the jobs, both or neither.

        All entries share a transaction. If one job belongs to another worker by now, or
        cannot be stored, each entry gets its own transaction, so that the others are
        stored.
        """
        ours = [(job, entry) for job, entry in entries if batch.is_ours(job)]
        with self._app.app_context():
            if len(ours) > 1 and self._store_together(ours):
                self._report(batch, ours)
                return
            for pair in ours:
                with self._failing(batch, pair[0]):
                    if self._store([pair]):
                        self._report(batch, [pair])
                    else:
                        batch.drop([pair[0]])
                        logger.warning(
                            "%s was tagged too late; its tags are dropped.",
                            pair[0].asset,
                        )

    def _store_together(self, pairs: Sequence[tuple[Job, Entry]]) -> bool:
        try:
            return self._store(pairs)
        except Exception as error:
            if _is_temporary(error):
                raise
            logger.exception("%d images could not be stored together.", len(pairs))
            return False

    def _store(self, pairs: Sequence[tuple[Job, Entry]]) -> bool:
        """Store tags and end jobs in one transaction.

        :return: ``False`` if a job belongs to another worker by now, and nothing was
            written.
        """
        models = self._state.database.models
        errors = [(job, _retry_reason(entry)) for job, entry in pairs]
        done = [job for job, error in errors if error is None]

        def work(session: Session) -> bool:
            ours = (not done or outcomes.finish(session, models, done)) and all(
                outcomes.fail_in(session, models, job, error)
                for job, error in errors
                if error is not None
            )
            if not ours:
                session.rollback()
                return False
            store(session, models, self._with_current_settings(session, pairs))
            return True

        with self._state.timings.measuring(STORE):
            return self._state.database.transact(work)

    def _with_current_settings(
        self, session: Session, pairs: Sequence[tuple[Job, Entry]]
    ) -> list[Entry]:
        """Replace the settings of each entry by those that apply now.

        If they were changed during the classification, the job that applies them to
        existing images did not see these images.
        """
        layers = self._state.stored_settings().layers_of(
            session, {entry.instance for _, entry in pairs}
        )
        current = {instance: each.resolve() for instance, each in layers.items()}
        return [replace(entry, settings=current[entry.instance]) for _, entry in pairs]

    def _report(self, batch: Batch, pairs: Sequence[tuple[Job, Entry]]) -> None:
        batch.drop([job for job, _ in pairs])
        for job, entry in pairs:
            error = _retry_reason(entry)
            if error is None:
                self._tally.add(DONE)
            else:
                self._report_failure(job, error, outcomes.state_after(job, error))
        self._report_refusals(pairs)
        assets = [(job.asset, job.instance) for job, _ in pairs]
        notify(self._app, self._state, assets)

    def _report_refusals(self, pairs: Sequence[tuple[Job, Entry]]) -> None:
        """Log and signal providers that rejected their key, once for each image."""
        for job, entry in pairs:
            for name, error in entry.classified.failures.items():
                if type(error) is ProviderRefused:
                    logger.warning("%s: %s: %s", job.asset, name, error)
                    self._send_failure(job, error)

    def _fail(self, batch: Batch, job: Job, error: TaggingError) -> None:
        if not batch.is_ours(job):
            return
        batch.drop([job])
        with self._app.app_context():
            if isinstance(error, TaggingOff):
                if outcomes.cancel(self._state.database, job, error):
                    self._tally.add(CANCELLED, error.code)
            elif isinstance(error, NoImage):
                if outcomes.finish_without_image(self._state.database, job):
                    self._tally.add(DONE)
            elif isinstance(error, TryLater):
                claims.hand_back(self._state.database, [job], error.seconds)
                logger.info("%s is postponed: %s", job.asset, error)
            else:
                self._report_failure(
                    job, error, outcomes.fail(self._state.database, job, error)
                )

    def _report_failure(self, job: Job, error: TaggingError, state: str | None) -> None:
        if state is None:
            return
        self._tally.add(state, error.code)
        if isinstance(error, LoaderError) and error.__cause__ is not None:
            self._state.throttled_log.log(
                str(error), cast(Exception, error.__cause__), logging.WARNING
            )
        if state == QUEUED:
            logger.info("%s will be tried again: %s", job.asset, error)
            return
        logger.warning("%s was not tagged: %s", job.asset, error.log_text)
        if job.kind != TAG:
            return
        self._send_failure(job, error)

    def _send_failure(self, job: Job, error: TaggingError) -> None:
        send_safely(
            tagging_failed,
            self._app,
            asset=job.asset,
            instance=job.instance,
            code=error.code,
            message=str(error),
        )

    def _hand_back(self, batch: Batch) -> None:
        """Hand back jobs that have not begun or were interrupted."""
        remaining = batch.remaining
        if remaining:
            with self._app.app_context():
                claims.hand_back(self._state.database, remaining)
            batch.drop(remaining)


def _is_temporary(error: Exception) -> bool:
    """Whether the database failed in a way that may pass."""
    return isinstance(error, DBAPIError | PoolTimeout) and is_transient(error)


def _by_instance(jobs: Sequence[Job]) -> list[Job]:
    """Group jobs by instance: each instance has its own child process.

    The order of the instances' first jobs, and of the jobs of each instance, is kept.
    """
    first = {job.instance: place for place, job in reversed(list(enumerate(jobs)))}
    return sorted(jobs, key=lambda job: first[job.instance])


def _retry_reason(entry: Entry) -> TaggingError | None:
    """Return the temporary failure of a provider, after which the job is repeated."""
    failures = entry.classified.failures.values()
    return next((error for error in failures if not error.permanent), None)
