"""Celery as the engine past one machine.

The row of a job stays the truth. A message carries its id and nothing else; the
task claims the job like any worker, so a message that comes five times runs once. A
sweep in every Celery worker sends again what a broker lost, and sends retries when
they are due: no message waits inside the broker.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..state import State
from . import claims
from .leases import tidy
from .worker import Worker

if TYPE_CHECKING:
    from celery import Celery
    from flask import Flask

logger = logging.getLogger(__name__)

TASK = "flask_autotag.tag"
#: Seconds between two sweeps, and that a due job may wait before it is sent again.
SWEEP = 15.0
#: Jobs that one sweep sends again. Should workers merely be slow, these messages are
#: dropped unread, for they expire with the next sweep.
RESENT = 1000
#: Seconds that a process which ends has to send what is left.
GRACE = 2.0
#: Seconds between two complaints about a broker.
_COMPLAINT = 60.0


class CeleryRunner:
    """Sends the ids of committed jobs, from a thread of its own.

    A broker that is slow or down keeps no upload waiting. What could not be sent is
    sent by a sweep.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def prepare(self, app: Flask, state: State) -> None:
        """Find or make the Celery application, and put the task on it.

        :raises ConfigurationError: if there is none and no broker is configured.
        """
        _require_celery()
        from celery.signals import worker_init, worker_ready

        celery = app.extensions.get("celery")
        if celery is None:
            celery = app.extensions["celery"] = _make_celery(app, state)
        _add_task(celery, app, state)
        _connect(worker_init, app, lambda app, celery: _add_task(celery, app, state))
        _connect(worker_ready, app, lambda app, _: _start_sweeping(app, state))

    def start(self, app: Flask, state: State) -> None:
        """Do nothing: what others left is the sweep's."""

    def wake(self, app: Flask, state: State, ids: Sequence[int]) -> None:
        """Send *ids* soon."""
        try:
            self._ensure_thread(app, state)
            for job_id in ids:
                self._ids.put(job_id)
        except Exception:
            logger.exception("Jobs are not sent to Celery now; a sweep will do it.")

    def stop(self) -> None:
        """Send what is left, in the time that there is."""
        thread = self._thread
        if self._pid == os.getpid() and thread is not None and thread.is_alive():
            self._ids.put(None)
            if thread is not threading.current_thread():
                thread.join(GRACE)

    def _ensure_thread(self, app: Flask, state: State) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            # A fork has copied the queue, but not the thread that sends it.
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

    :raises ConnectionError: if that fails; without the broker's address, for
        passwords are part of it.
    """
    try:
        with app.extensions["celery"].connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:
        raise ConnectionError(
            f"The broker of Celery cannot be reached ({type(error).__name__})."
        ) from None


def sweep(app: Flask, state: State) -> int:
    """Queue lost jobs again, and send what is due and was not claimed.

    :return: how many jobs were sent.
    """
    with app.app_context():
        tidy(state)
        ids = claims.take_overdue(state.database, SWEEP, RESENT)
    for job_id in ids:
        _send(app, state, job_id, expires=SWEEP)
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

    given = app.config.get("CELERY") or app.config.get_namespace("CELERY_")
    options = dict(given)
    if state.config.celery_broker_url:
        options["broker_url"] = state.config.celery_broker_url
    if not options.get("broker_url"):
        raise ConfigurationError(
            "AUTOTAG_RUNNER is 'celery', but there is no Celery application: set"
            " app.extensions['celery'] before AutoTag.init_app(app), or"
            " AUTOTAG_CELERY_BROKER_URL."
        )
    made = Celery(app.import_name, set_as_current=False)
    made.conf.update(options)
    return made


def _add_task(celery: Celery, app: Flask, state: State) -> None:
    if TASK in celery.tasks:
        return
    app_ref = weakref.ref(app)

    def tag(job_id: int) -> bool:
        """Tag the image of one job, if nobody else does."""
        found = app_ref()
        return found is not None and Worker(found, state).work_on(job_id)

    celery.task(tag, name=TASK, ignore_result=True)


def _connect(signal: Any, app: Flask, act: Callable[[Flask, Any], None]) -> None:
    """Call *act* when a Celery worker of *app* sends *signal*."""
    app_ref = weakref.ref(app)

    def receive(sender: Any, **_other: Any) -> None:
        found = app_ref()
        if found is not None and found.extensions["celery"] is sender.app:
            act(found, sender.app)

    signal.connect(receive, weak=False)


def _start_sweeping(app: Flask, state: State) -> None:
    threading.Thread(
        target=_sweep_again,
        args=(weakref.ref(app), state),
        name="flask-autotag-sweep",
        daemon=True,
    ).start()


def _sweep_again(app_ref: weakref.ref[Flask], state: State) -> None:
    """Sweep until the process ends."""
    while (app := app_ref()) is not None:
        try:
            sent = sweep(app, state)
            if sent:
                logger.info("%d jobs were sent to Celery again.", sent)
        except Exception as error:
            # The text of the broker's errors may hold its password.
            logger.warning(
                "The sweep failed (%s); the next one comes in %g seconds.",
                type(error).__name__,
                SWEEP,
            )
        del app
        time.sleep(SWEEP)


def _send_all(
    app_ref: weakref.ref[Flask], state: State, ids: queue.SimpleQueue[int | None]
) -> None:
    complained = -_COMPLAINT
    while (job_id := ids.get()) is not None:
        app = app_ref()
        if app is None:
            return
        try:
            _send(app, state, job_id)
        except Exception as error:
            if time.monotonic() - complained >= _COMPLAINT:
                complained = time.monotonic()
                logger.warning(
                    "The broker of Celery takes no jobs (%s); a sweep will send them.",
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
