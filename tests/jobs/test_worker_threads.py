from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.classification.sandbox.child_process import ChildProcess
from flask_autotag.jobs import leases
from flask_autotag.jobs.worker_threads import WorkerThreads
from flask_autotag.runtime.state import State

from ..hosts import Host, jpeg
from .test_faults import POISON, poison_children
from .test_worker import wait_for


def test_no_thread_has_a_connection_after_the_end(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()

    def requeue_slowly(state: State, **_: bool) -> int:
        with state.database.engine.connect():
            began.set()
            time.sleep(0.5)
        return 0

    monkeypatch.setattr(leases, "requeue_lost", requeue_slowly)
    threads = WorkerThreads(host.app, host.autotag.state_of(host.app))
    threads.start()
    assert began.wait(10)
    threads.end(10)
    assert not threads._lease_thread.is_alive()
    with host.app.app_context():
        assert host.db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.mark.usefixtures("own_pools")
def test_an_image_that_takes_too_long_is_handed_back(
    host: Host,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    child = tmp_path / "child.py"
    child.write_text(POISON)
    poison_children(monkeypatch, child)
    waiting, receive = threading.Event(), ChildProcess.receive

    def note(self: ChildProcess) -> tuple[dict[str, Any], bytes]:
        waiting.set()
        return receive(self)

    monkeypatch.setattr(ChildProcess, "receive", note)
    state = host.autotag.state_of(host.app)
    image = jpeg("#008000")
    image_uploaded.send(host.app, asset=AssetRef("photo", "1"), image=image)
    threads = WorkerThreads(host.app, state)
    threads.start()
    assert waiting.wait(30)
    with caplog.at_level(logging.WARNING):
        threads.end(2)
    wait_for(lambda: not threads.is_alive)
    [job] = host.jobs()
    assert (job.state, job.crashes) == ("queued", 0)
    assert "take too long; their jobs are handed back" in caplog.text
