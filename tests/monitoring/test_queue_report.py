"""Reports of the queue, and retrying and deleting ended jobs."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from flask_autotag.db import job_states
from flask_autotag.errors import ClassifierCrashed, ClassifierError, UnreadableImage
from flask_autotag.jobs import claims, outcomes, queue
from flask_autotag.jobs.maintenance import purge, retry
from flask_autotag.monitoring.queue_report import report

from ..hosts import Host
from ..jobs.queues import database, enqueue, finish, make_due, states, take


def test_an_empty_queue(any_host: Host) -> None:
    with any_host.app.app_context():
        now = report(database(any_host))
    assert (now.states, now.bulk, now.oldest) == ({}, 0, None)
    assert (now.workers, now.reasons) == ((), ())
    assert (now.last_minute, now.last_hour) == (0, 0)


def test_the_queue_is_counted(any_host: Host) -> None:
    with any_host.app.app_context():
        for number in range(9):
            enqueue(any_host, number)
        enqueue(any_host, 9, priority=job_states.BULK)
        jobs = take(any_host, 8)
        assert finish(any_host, jobs[0], jobs[1], jobs[2])
        for job in jobs[3:5]:
            outcomes.fail(database(any_host), job, UnreadableImage("Damaged."))
        outcomes.fail(database(any_host), jobs[5], ClassifierError("No."))
        now = report(database(any_host))
    assert now.states == {"queued": 3, "running": 2, "done": 3, "failed": 2}
    assert now.bulk == 1
    assert now.oldest is not None
    assert 0 <= now.oldest < 30
    assert now.workers == ("tester",)
    [reason] = now.reasons
    assert (reason.state, reason.code) == ("failed", "image_unreadable")
    assert (reason.count, reason.example) == (2, "Damaged.")
    assert [str(each.asset) for each in reason.examples] == ["photo 4"]
    assert (now.last_minute, now.last_hour) == (3, 3)


def test_what_was_done_long_ago_is_no_throughput(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        finish(any_host, *take(any_host))
        age(any_host, 120.0)
        now = report(database(any_host))
    assert (now.last_minute, now.last_hour) == (0, 1)


def age(host: Host, seconds: float) -> None:
    """Make ended jobs older."""
    table = host.models.job.__table__
    with database(host).begin() as session:
        session.execute(update(table).values(finished_at=table.c.finished_at - seconds))


def fail_two(host: Host) -> None:
    """Create a failed and a quarantined job."""
    enqueue(host, 1, data=b"x", content="c")
    enqueue(host, 2)
    first, second = take(host)
    outcomes.fail(database(host), first, UnreadableImage("Damaged."))
    for _ in range(3):
        outcomes.fail(database(host), second, ClassifierCrashed("Crashed."))
        make_due(host)
        [second] = take(host) or [second]
    assert states(host) == ["failed", "quarantined"]


def test_failed_jobs_are_tried_again_with_their_bytes(any_host: Host) -> None:
    with any_host.app.app_context():
        fail_two(any_host)
        assert retry(database(any_host)) == 2
        again = [take(any_host), take(any_host)]
        assert [len(jobs) for jobs in again] == [2, 0]
        [first, second] = again[0]
        assert (second.crashes, first.failures) == (0, 0)
        assert queue.read_data(database(any_host), first) == b"x"
        assert finish(any_host, first, second)
        assert retry(database(any_host)) == 0
    assert [job.error_code for job in any_host.jobs()] == [None, None]


def test_only_some_are_tried_again(any_host: Host) -> None:
    with any_host.app.app_context():
        fail_two(any_host)
        assert retry(database(any_host), code="model_invalid") == 0
        assert retry(database(any_host), instance="acme") == 0
        assert retry(database(any_host), ["done", "queued"]) == 0
        assert retry(database(any_host), ["quarantined"], instance="default") == 1
        assert retry(database(any_host), code="image_unreadable") == 1


def test_purging_takes_what_is_old_and_has_ended(any_host: Host) -> None:
    with any_host.app.app_context():
        fail_two(any_host)
        enqueue(any_host, 3)
        assert purge(database(any_host), 60.0) == 0
        age(any_host, 100.0)
        assert purge(database(any_host), 60.0, ["done", "queued"]) == 0
        assert purge(database(any_host), 60.0, ["failed"]) == 1
        assert purge(database(any_host), 60.0) == 1
        upload = any_host.models.upload.__table__
        with database(any_host).begin() as session:
            assert session.execute(select(upload)).all() == []
    assert states(any_host) == ["queued"]


def test_more_than_one_transaction_deletes(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_autotag.jobs.maintenance._BATCH", 2)
    with host.app.app_context():
        for number in range(5):
            enqueue(host, number)
        finish(host, *take(host))
        assert purge(database(host), 0.0) == 5


def test_overdue_jobs_are_found_once(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1, priority=job_states.BULK)
        enqueue(any_host, 2)
        assert claims.take_overdue(database(any_host), 5.0, 10) == []
        make_due(any_host)
        ids = claims.take_overdue(database(any_host), 5.0, 10)
        assert ids == [job.id for job in reversed(any_host.jobs())]
        assert claims.take_overdue(database(any_host), 5.0, 10) == []
