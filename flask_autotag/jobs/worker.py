"""From a claimed job to its end."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

from ..errors import TaggingError, TaggingOff
from ..query import AppliedTag, tags_for
from ..signals import image_tagged, send_safely, tagging_failed
from ..state import State
from ..store import store
from ..tagging import Classified, classify
from . import queue
from .loading import load
from .queue import CANCELLED, DONE, QUEUED, Job

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

#: Seconds that a job's lease lasts beyond the time its child may take: for loading
#: the image, starting a child and writing the tags.
LEASE_MARGIN = 30.0


class Worker:
    """Works off the queue of one application, in the calling thread.

    :param app: the application.
    :param state: what the extension keeps for it.
    """

    def __init__(self, app: Flask, state: State) -> None:
        self._app = app
        self._state = state
        self._owner = f"{socket.gethostname()}:{os.getpid()}"

    def drain(self) -> int:
        """Work until no job is due.

        :return: how many jobs were worked on.
        """
        worked = 0
        while self.work():
            worked += 1
        return worked

    def work(self) -> bool:
        """Work on the next job that is due.

        :return: ``False`` if there was none.
        """
        lease = self._state.config.timeout + LEASE_MARGIN
        with self._app.app_context():
            jobs = queue.claim(self._state.database, 1, self._owner, lease)
        for job in jobs:
            self._work_on(job)
        return bool(jobs)

    def _work_on(self, job: Job) -> None:
        try:
            self._finish(job, self._classify(job))
        except TaggingOff as off:
            self._cancel(job, off)
        except TaggingError as error:
            self._fail(job, error)
        except Exception as error:
            logger.exception("Tagging %s failed unexpectedly.", job.asset)
            self._fail(
                job,
                TaggingError(f"Tagging failed unexpectedly: {type(error).__name__}."),
            )

    def _classify(self, job: Job) -> Classified:
        """Read and classify the image; no transaction is open while that lasts."""
        state = self._state
        with self._app.app_context():
            settings = state.settings_for(job.instance)
            data = load(state, job)
        return classify(data, settings, state.pool, state.config.model_dir)

    def _finish(self, job: Job, classified: Classified) -> None:
        with self._app.app_context():
            tags = self._store(job, classified)
            if tags is not None:
                send_safely(
                    image_tagged,
                    self._app,
                    asset=job.asset,
                    instance=job.instance,
                    tags=tags,
                )

    def _store(self, job: Job, classified: Classified) -> list[AppliedTag] | None:
        """Write the tags and end the job, both or neither.

        :return: the asset's tags; ``None`` if the job is no longer ours.
        """
        database, models = self._state.database, self._state.database.models
        settings = self._state.settings_for(job.instance)
        with database.begin() as session:
            if not queue.finish(session, models, job, DONE):
                logger.warning("%s was tagged too late; it is dropped.", job.asset)
                return None
            store(session, models, job.asset, job.instance, classified, settings)
            return tags_for(session, models, job.asset, job.instance)

    def _cancel(self, job: Job, off: TaggingOff) -> None:
        with self._app.app_context(), self._state.database.begin() as session:
            queue.finish(session, self._state.database.models, job, CANCELLED, off)

    def _fail(self, job: Job, error: TaggingError) -> None:
        with self._app.app_context():
            state = queue.fail(self._state.database, job, error)
            if state == QUEUED:
                logger.info("%s will be tried again: %s", job.asset, error)
            elif state is not None:
                logger.warning("%s was not tagged: %s", job.asset, error)
                send_safely(
                    tagging_failed,
                    self._app,
                    asset=job.asset,
                    instance=job.instance,
                    code=error.code,
                    message=str(error),
                )
