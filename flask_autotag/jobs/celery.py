"""The Celery runner, for hosts that need more than one machine.

The job table is authoritative. A message only announces a job; the task claims the next
due job like any worker. Duplicate messages therefore run no job twice, and thousands
of messages for one instance do not delay the jobs of another. Each Celery worker has a
thread that sends messages for due jobs nobody has claimed: for retries, and in place of
messages that the broker lost. No message is delayed inside the broker.
"""

from __future__ import annotations

import logging
import math
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..runtime.state import State
from . import claims
from .leases import requeue_lost
from .worker import Worker

if TYPE_CHECKING:
    from celery import Celery
    from flask import Flask

logger = logging.getLogger(__name__)

TASK = "flask_autotag.tag"
#: Seconds between two resends, and that a due job waits before it is sent again.
RESEND_INTERVAL = 15.0
#: Jobs of one resend. If the workers are merely slow, the messages expire before the
#: next resend, so that they do not pile up.
RESEND_LIMIT = 1000
#: Seconds that an ending process has to send its remaining messages.
GRACE = 2.0
#: Seconds between two warnings about an unreachable broker.
_WARNING_INTERVAL = 60.0


class CeleryRunner:
    """Sends the ids of committed jobs from a background thread.

    A slow or unreachable broker does not delay uploads. Messages that could not be
    sent are sent by a later resend.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def prepare(self, app: Flask, state: State) -> None:
        """Find or create the Celery application, and register the task with it.

        :raises ConfigurationError: if Celery is not installed, or there is neither a
            Celery application nor a broker URL.
        """
        _require_celery()
        from celery.signals import worker_init, worker_ready

        celery = app.extensions.get("celery")
        if celery is None:
            celery = app.extensions["celery"] = _make_celery(app, state)
        _add_task(celery, app, state)
        _connect(worker_init, app, lambda app, celery: _add_task(celery, app, state))
        _connect(worker_ready, app, lambda app, _: _start_resending(app, state))

    def start(self, app: Flask, state: State) -> None:
        """Do nothing: the resend threads of Celery workers find older jobs."""

    def wake(self, app: Flask, state: State, ids: Sequence[int]) -> None:
        """Send *ids* in the background."""
        try:
            self._ensure_thread(app, state)
            for job_id in ids:
                self._ids.put(job_id)
        except Exception:
            logger.exception(
                "Jobs could not be sent to Celery; they will be sent again."
            )

    def stop(self) -> None:
        """Send the remaining messages, for :data:`GRACE` seconds at most."""
        thread = self._thread
        if self._pid == os.getpid() and thread is not None and thread.is_alive():
            self._ids.put(None)
            if thread is not threading.current_thread():
                thread.join(GRACE)

    def _ensure_thread(self, app: Flask, state: State) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            # A fork copies the queue but not the thread that sends its messages.
            self._pid, self._ids = os.getpid(), queue.SimpleQueue()
            self._thread = threading.Thread(
                target=_send_all,
                args=(weakref.ref(app), state, self._ids),
                name="flask-autotag-celery",
                daemon=True,
            )
            self._thread.start()


def check_broker(app: Flask, state: State) -> None:
    """Connect to the broker.

    :raises ConnectionError: if that fails. The message does not contain the broker's
        URL, which may include a password.
    """
    try:
        with app.extensions["celery"].connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:
        raise ConnectionError(
            f"The Celery broker cannot be reached ({type(error).__name__})."
        ) from None


def resend_overdue(app: Flask, state: State) -> int:
    """Requeue lost jobs, and send messages for due jobs that nobody has claimed.

    :return: number of jobs that were sent.
    """
    with app.app_context():
        requeue_lost(state)
        ids = claims.take_overdue(state.database, RESEND_INTERVAL, RESEND_LIMIT)
    for job_id in ids:
        _send(app, state, job_id, expires=RESEND_INTERVAL)
    return len(ids)


def _require_celery() -> None:
    try:
        import celery  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "AUTOTAG_RUNNER is 'celery', but Celery is not installed: pip install"
            " 'flask-autotag[celery]'."
        ) from None


def _make_celery(app: Flask, state: State) -> Celery:
    from celery import Celery

    options = dict(app.config.get("CELERY") or app.config.get_namespace("CELERY_"))
    if state.config.celery_broker_url:
        options["broker_url"] = state.config.celery_broker_url
    if not options.get("broker_url"):
        raise ConfigurationError(
            "AUTOTAG_RUNNER is 'celery', but there is no Celery application: set"
            " app.extensions['celery'] before AutoTag.init_app(app), or"
            " AUTOTAG_CELERY_BROKER_URL."
        )
    celery = Celery(app.import_name, set_as_current=False)
    celery.conf.update(options)
    return celery


def _add_task(celery: Celery, app: Flask, state: State) -> None:
    if TASK in celery.tasks:
        return
    app_ref = weakref.ref(app)

    def tag(job_id: int) -> bool:
        """Run the next due job, if there is one.

        :param job_id: the job that was announced; shown in logs and monitors only.
        """
        app = app_ref()
        # A long job runs to its end: after a hand-back, no message would announce it
        # until the next resend.
        return app is not None and bool(Worker(app, state).work(1, math.inf))

    celery.task(tag, name=TASK, ignore_result=True)


def _connect(signal: Any, app: Flask, act: Callable[[Flask, Any], None]) -> None:
    """Call *act* when a Celery worker of *app* sends *signal*."""
    app_ref = weakref.ref(app)

    def receive(sender: Any, **_other: Any) -> None:
        app = app_ref()
        if app is not None and app.extensions["celery"] is sender.app:
            act(app, sender.app)

    signal.connect(receive, weak=False)


def _start_resending(app: Flask, state: State) -> None:
    threading.Thread(
        target=_resend_regularly,
        args=(weakref.ref(app), state),
        name="flask-autotag-resend",
        daemon=True,
    ).start()


def _resend_regularly(app_ref: weakref.ref[Flask], state: State) -> None:
    while (app := app_ref()) is not None:
        try:
            sent = resend_overdue(app, state)
            if sent:
                logger.info("%d jobs were sent to Celery again.", sent)
        except Exception as error:
            # The error's text may contain the broker's password.
            logger.warning(
                "Overdue jobs could not be sent to Celery (%s); next attempt in %g"
                " seconds.",
                type(error).__name__,
                RESEND_INTERVAL,
            )
        del app
        time.sleep(RESEND_INTERVAL)


def _send_all(
    app_ref: weakref.ref[Flask], state: State, ids: queue.SimpleQueue[int | None]
) -> None:
    next_warning = -math.inf
    while (job_id := ids.get()) is not None:
        app = app_ref()
        if app is None:
            return
        try:
            _send(app, state, job_id)
        except Exception as error:
            if time.monotonic() >= next_warning:
                next_warning = time.monotonic() + _WARNING_INTERVAL
                logger.warning(
                    "The Celery broker does not accept jobs (%s); they will be sent"
                    " again.",
                    type(error).__name__,
                )
        del app


def _send(app: Flask, state: State, job_id: int, expires: float | None = None) -> None:
    app.extensions["celery"].send_task(
        TASK,
        args=(job_id,),
        queue=state.config.celery_queue,
        expires=expires,
        ignore_result=True,
        retry=False,
    )
