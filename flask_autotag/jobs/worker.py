"""From claimed jobs to their ends, in one thread."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from .. import remote
from ..database import may_pass
from ..errors import LoaderError, ProviderRefused, TaggingError, TaggingOff, TryLater
from ..sandbox.pool import Answer, Interrupted, Question
from ..settings.resolution import Settings
from ..signals import send_safely, tagging_failed
from ..state import State
from ..store import Entry, store
from ..tagging import classified, question
from ..tally import Tally
from ..timings import CLASSIFY, LOAD, STORE
from . import claims, ends, rules
from .announce import announce
from .leases import Batch, Leases
from .loading import load
from .queue import CANCELLED, DONE, QUEUED, RULES, RUNNING, Job

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

#: Jobs that are claimed, and whose tags are written, together. Measured on
#: PostgreSQL: 32 are tagged a tenth faster than 16; the gain of more is small, and
#: all of a batch are done again should their worker be killed.
BATCH = 32
#: Seconds after which a long job is handed back, so that fresh uploads come first.
TURN = 5.0
#: Seconds that a lease which nobody renews lasts beyond the time of the image: for
#: loading it, starting a child, asking providers elsewhere and writing the tags.
LEASE_MARGIN = 75.0


class Worker:
    """Works off the queue of one application, in the calling thread.

    :param app: the application.
    :param state: what the extension keeps for it.
    :param leases: renews the leases of what is claimed; without it one job is
        claimed at a time, with a lease that lasts.
    :param stop: when set, jobs that have not begun are handed back.
    :param tally: counts what came of the jobs; by default that of the process.
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
        self._tally = tally or state.ends
        self._owner = f"{socket.gethostname()}:{os.getpid()}"

    def drain(self) -> int:
        """Work until no job is due, or told to stop.

        :return: how many jobs were worked on.
        """
        worked = 0
        while not self._stop.is_set() and (now := self.work()):
            worked += now
        return worked

    def work(self, limit: int | None = None) -> int:
        """Work on the next jobs that are due.

        :param limit: how many at most.
        :return: how many there were.
        """
        database, size = self._state.database, min(limit or self._size, self._size)
        with self._app.app_context():
            jobs = claims.claim(database, size, self._owner, self._lease)
        return self._work_on(jobs)

    def work_on(self, job_id: int) -> bool:
        """Work on one job.

        :return: ``False`` if it is not due, or somebody else's.
        """
        with self._app.app_context():
            jobs = claims.claim_one(
                self._state.database, job_id, self._owner, self._lease
            )
        return bool(self._work_on(jobs, patience=math.inf))

    def _work_on(self, jobs: Sequence[Job], patience: float = TURN) -> int:
        if jobs:
            with self._leases.hold(jobs) as batch:
                self._apply_rules(batch, patience)
                self._finish(batch, self._classify(batch))
                self._hand_back(batch)
        return len(jobs)

    def _apply_rules(self, batch: Batch, patience: float) -> None:
        """Apply new settings to existing images; what is left over is handed back.

        :param patience: seconds after which other jobs get their turn.
        """
        end = time.monotonic() + patience
        for job in batch.jobs:
            if job.kind != RULES:
                continue
            with self._failing(batch, job), self._app.app_context():
                now: str | None = RUNNING
                while now == RUNNING and self._may_go_on(batch, job, end):
                    job, now = rules.step(self._app, self._state, job, self._lease)
                if now != RUNNING:
                    batch.drop([job])
                if now == DONE:
                    self._tally.add(DONE)

    def _may_go_on(self, batch: Batch, job: Job, end: float) -> bool:
        late = time.monotonic() > end
        return not (late or self._stop.is_set()) and batch.is_ours(job)

    def _classify(self, batch: Batch) -> list[tuple[Job, Entry]]:
        """Read and classify the images; no transaction is open while that lasts."""
        asked: deque[tuple[Job, Question]] = deque()
        answered: list[tuple[Job, Question, Answer]] = []
        with (
            contextlib.suppress(Interrupted),
            self._state.pool.slot() as slot,
            batch.working_in(slot),
        ):
            for outcome in slot.classify(self._questions(batch, asked)):
                job, about = asked.popleft()
                if isinstance(outcome, TaggingError):
                    self._fail(batch, job, outcome)
                else:
                    self._note_seconds(outcome)
                    answered.append((job, about, outcome))
        return list(self._ask_elsewhere(batch, answered))

    def _note_seconds(self, answer: Answer) -> None:
        if answer.seconds is not None:
            self._state.timings.add(CLASSIFY, answer.seconds)

    def _ask_elsewhere(
        self, batch: Batch, answered: Sequence[tuple[Job, Question, Answer]]
    ) -> Iterator[tuple[Job, Entry]]:
        """Let the providers over the network say what they know, too."""
        here = [classified(about, answer) for _, about, answer in answered]
        tasks = {
            place: remote.Task(
                job.instance, found.sha256, answer.reduced, about.settings
            )
            for place, ((job, about, answer), found) in enumerate(
                zip(answered, here, strict=True)
            )
            if answer.reduced is not None and batch.is_ours(job)
        }
        results: dict[int, remote.Result] = {}
        if tasks:
            asked = remote.ask(self._app, self._state, list(tasks.values()))
            results = dict(zip(tasks, asked, strict=True))
        for place, (job, about, _) in enumerate(answered):
            with self._failing(batch, job):
                result = results.get(place, remote.Result())
                found = remote.joined(here[place], result)
                yield job, Entry(job.asset, job.instance, found, about.settings)

    def _questions(
        self, batch: Batch, asked: deque[tuple[Job, Question]]
    ) -> Iterator[Question]:
        """Load the images one by one, as the child gets to them."""
        known: dict[str, Settings] = {}
        for job in batch.jobs:
            if self._stop.is_set() or batch.interrupted:
                return
            if job.kind == RULES or not batch.is_ours(job):
                continue
            with self._failing(batch, job):
                asked.append((job, self._question(job, known)))
            if batch.is_ours(job):
                yield asked[-1][1]

    def _question(self, job: Job, known: dict[str, Settings]) -> Question:
        """Load the image and find who is to classify it.

        :param known: the settings of the instances of this batch: they are read once
            for it, after it was claimed.
        """
        with self._app.app_context():
            if job.instance not in known:
                known[job.instance] = self._state.settings_for(job.instance)
            with self._state.timings.measuring(LOAD):
                data = load(self._state, job)
        return question(data, known[job.instance], self._state.config.machine)

    @contextlib.contextmanager
    def _failing(self, batch: Batch, job: Job) -> Iterator[None]:
        """Make what the block raises the failure of *job*."""
        try:
            yield
        except TaggingError as error:
            self._fail(batch, job, error)
        except Exception as error:
            logger.exception("Tagging %s failed unexpectedly.", job.asset)
            kind = type(error).__name__
            self._fail(
                batch, job, TaggingError(f"Tagging failed unexpectedly: {kind}.")
            )

    def _finish(self, batch: Batch, entries: Sequence[tuple[Job, Entry]]) -> None:
        """Write the tags and end the jobs, both or neither.

        All in one transaction; where one of the jobs is no longer ours, or cannot
        be stored, each in its own, so that it costs the others nothing.
        """
        ours = [(job, entry) for job, entry in entries if batch.is_ours(job)]
        with self._app.app_context():
            if len(ours) > 1 and self._store_together(ours):
                self._tell(batch, ours)
                return
            for pair in ours:
                with self._failing(batch, pair[0]):
                    if self._store([pair]):
                        self._tell(batch, [pair])
                    else:
                        batch.drop([pair[0]])
                        logger.warning(
                            "%s was tagged too late; it is dropped.", pair[0].asset
                        )

    def _store_together(self, pairs: Sequence[tuple[Job, Entry]]) -> bool:
        try:
            return self._store(pairs)
        except Exception as error:
            if isinstance(error, DBAPIError) and may_pass(error):
                raise
            logger.exception("%d images could not be stored together.", len(pairs))
            return False

    def _store(self, pairs: Sequence[tuple[Job, Entry]]) -> bool:
        """Store in one transaction.

        :return: ``False`` if a job is no longer ours: nothing was written.
        """
        models = self._state.database.models
        done = [job for job, entry in pairs if _unfinished(entry) is None]

        def work(session: Session) -> bool:
            ours = ends.finish(session, models, done) if done else True
            for job, entry in pairs:
                error = _unfinished(entry)
                if error is not None:
                    ours = (
                        ours and ends.fail_in(session, models, job, error) is not None
                    )
            if not ours:
                session.rollback()
                return False
            store(session, models, self._by_present_rules(session, pairs))
            return True

        with self._state.timings.measuring(STORE):
            return self._state.database.transact(work)

    def _by_present_rules(
        self, session: Session, pairs: Sequence[tuple[Job, Entry]]
    ) -> list[Entry]:
        """Take the settings that hold now, for they may have changed meanwhile.

        Who changed them and had them applied to the existing images could not know
        of these.
        """
        layers = self._state.stored_settings().layers_of(
            session, {entry.instance for _, entry in pairs}
        )
        now = {instance: each.resolve() for instance, each in layers.items()}
        return [replace(entry, settings=now[entry.instance]) for _, entry in pairs]

    def _tell(self, batch: Batch, pairs: Sequence[tuple[Job, Entry]]) -> None:
        batch.drop([job for job, _ in pairs])
        for job, entry in pairs:
            error = _unfinished(entry)
            if error is None:
                self._tally.add(DONE)
            else:
                self._tell_failure(job, error, ends.state_after(job, error))
        self._tell_refusals(pairs)
        assets = [(job.asset, job.instance) for job, _ in pairs]
        announce(self._app, self._state, assets)

    def _tell_refusals(self, pairs: Sequence[tuple[Job, Entry]]) -> None:
        """Tell of providers that do not accept their key, once."""
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
                if ends.cancel(self._state.database, job, error):
                    self._tally.add(CANCELLED, error.code)
            elif isinstance(error, TryLater):
                claims.hand_back(self._state.database, [job], error.seconds)
                logger.info("%s has to wait: %s", job.asset, error)
            else:
                self._tell_failure(
                    job, error, ends.fail(self._state.database, job, error)
                )

    def _tell_failure(self, job: Job, error: TaggingError, state: str | None) -> None:
        if state is None:
            return
        self._tally.add(state, error.code)
        if isinstance(error, LoaderError) and error.__cause__ is not None:
            self._state.troubles.log(
                str(error), cast(Exception, error.__cause__), logging.WARNING
            )
        if state == QUEUED:
            logger.info("%s will be tried again: %s", job.asset, error)
            return
        logger.warning("%s was not tagged: %s", job.asset, error)
        if job.kind == RULES:
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
        """Give up what has not begun, or was interrupted."""
        left = batch.left
        if left:
            with self._app.app_context():
                claims.hand_back(self._state.database, left)
            batch.drop(left)


def _unfinished(entry: Entry) -> TaggingError | None:
    """Say why an image has to be looked at again, though some provider has answered."""
    failures = entry.classified.failures.values()
    return next((error for error in failures if not error.permanent), None)
