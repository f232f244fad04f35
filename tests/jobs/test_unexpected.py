"""Unexpected errors count as no crash of an image, and their jobs end."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from flask_autotag.classification.sandbox.pool import Pool
from flask_autotag.jobs import claims, worker, worker_threads
from flask_autotag.jobs.leases import Leases
from flask_autotag.jobs.queue import enqueue_reapply
from flask_autotag.jobs.worker import Worker
from flask_autotag.jobs.worker_threads import WorkerThreads

from ..hosts import Host
from ..waiting import wait_for
from .queues import make_due, upload_photos


def worker_of(host: Host) -> Worker:
    state = host.autotag.state_of(host.app)
    return Worker(host.app, state, Leases(host.app, state))


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a mistake")


#: Functions that are called for a whole batch.
STAGES = [
    (Leases, "hold"),
    (Worker, "_run_long_jobs"),
    (Pool, "slot"),
    (Worker, "_ask_remote"),
    (Worker, "_finish"),
    (Worker, "_hand_back"),
]


@pytest.mark.parametrize(("owner", "stage"), STAGES, ids=[stage for _, stage in STAGES])
def test_a_batch_is_handed_back_uncharged(
    host: Host, owner: type[Any], stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_photos(host, 3)
    with monkeypatch.context() as patch:
        patch.setattr(owner, stage, broken)
        with pytest.raises(RuntimeError, match="a mistake"):
            worker_of(host).work()
        # Not again at once.
        assert worker_of(host).work() == 0
    left = [job for job in host.jobs() if job.state != "done"]
    assert {job.state for job in left} <= {"queued"}
    assert all((job.failures, job.crashes) == (0, 0) for job in host.jobs())
    assert all(
        job.error_text == "Tagging failed unexpectedly: RuntimeError." for job in left
    )
    make_due(host)
    worker_of(host).drain()
    assert {(job.state, job.error_code) for job in host.jobs()} == {("done", None)}


def test_a_poisonous_job_costs_the_others_nothing_and_ends(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(
        self: Worker, batch: Any, answered: Any, good: Any = Worker._ask_remote
    ) -> Any:
        if any(job.asset.id == "1" for job, *_ in answered):
            raise RuntimeError("poison")
        return good(self, batch, answered)

    upload_photos(host, 4)
    monkeypatch.setattr(Worker, "_ask_remote", ask)
    for _ in range(20):
        make_due(host)
        try:
            worker_of(host).drain()
        except RuntimeError:
            continue
    ended = {job.asset_id: job for job in host.jobs()}
    assert {ended[each].state for each in ("0", "2", "3")} == {"done"}
    assert (ended["1"].state, ended["1"].error_code) == ("failed", "unexpected")
    assert (ended["1"].failures, ended["1"].crashes) == (5, 0)
    [failure] = host.failures
    assert failure["message"] == "Tagging failed unexpectedly: RuntimeError."


def test_a_database_that_is_away_charges_nobody(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        error = Exception("gone")
        error.sqlite_errorcode = 5  # type: ignore[attr-defined]
        raise OperationalError("", {}, error)

    upload_photos(host, 2)
    state = host.autotag.state_of(host.app)
    leases = Leases(host.app, state)
    with monkeypatch.context() as patch:
        patch.setattr(worker, "store", away)
        patch.setattr("flask_autotag.db.database.PATIENCE", 0.0)
        patch.setattr(claims, "hand_back", away)
        with pytest.raises(OperationalError):
            Worker(host.app, state, leases).work()
    # The hand-back failed, so that the next renewal repeats it.
    assert [job.state for job in host.jobs()] == ["running"] * 2
    with host.app.app_context():
        leases.hand_back_deferred()
    assert [(job.state, job.crashes, job.error_code) for job in host.jobs()] == [
        ("queued", 0, None)
    ] * 2
    assert Worker(host.app, state, leases).drain() == 2


def test_it_is_not_done_over_and_over(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def fail(*_: Any) -> None:
        tries.append(1)
        raise RuntimeError("a mistake")

    monkeypatch.setattr(Worker, "_run_long_jobs", fail)
    monkeypatch.setattr(worker_threads, "FIRST_BATCH", 1)
    upload_photos(host, 5)
    state = host.autotag.state_of(host.app)
    running = WorkerThreads(host.app, state)
    running.start()
    wait_for(lambda: tries)
    woken = threading.Event()
    for _ in range(20):
        running.wake()
        woken.wait(0.01)
    running.stop()
    assert running.join(10)
    assert len(tries) == 1


def test_a_rules_job_that_raises_ends(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.reapply_job, "step", broken)
    state = host.autotag.state_of(host.app)
    with host.app.app_context(), state.database.begin() as session:
        enqueue_reapply(session, host.models, ["default"])
    for _ in range(6):
        make_due(host)
        worker_of(host).drain()
    [job] = host.jobs()
    assert (job.state, job.error_code, job.crashes) == ("failed", "unexpected", 0)
