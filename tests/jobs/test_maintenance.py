"""Jobs that have ended are retried and deleted in batches."""

from __future__ import annotations

import pytest

from flask_autotag.errors import UnreadableImage
from flask_autotag.jobs import maintenance, outcomes
from flask_autotag.jobs.maintenance import Ended, purging, retrying

from ..hosts import Host
from ..monitoring.test_queue_report import age
from .queues import database, enqueue, states, take


def fail(host: Host, number: int) -> list[int]:
    """Create failed jobs; return their ids."""
    for each in range(number):
        enqueue(host, each, data=b"x", content=str(each))
    jobs = take(host)
    for job in jobs:
        outcomes.fail(database(host), job, UnreadableImage("Damaged."))
    age(host, 60.0)
    return [job.id for job in jobs]


@pytest.mark.parametrize("change", [retrying, purging])
def test_each_portion_is_told(
    any_host: Host, change: maintenance.Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_BATCH", 2)
    with any_host.app.app_context():
        ids = fail(any_host, 5)
        told = list(change(database(any_host), Ended(["failed"])))
    assert [len(portion) for portion in told] == [2, 2, 1]
    assert sorted(each for portion in told for each in portion) == ids


@pytest.mark.parametrize("change", [retrying, purging])
def test_who_stops_leaves_the_rest(
    host: Host, change: maintenance.Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_BATCH", 2)
    with host.app.app_context():
        fail(host, 5)
        next(change(database(host), Ended(["failed"])))
    assert states(host).count("failed") == 3


@pytest.mark.parametrize("change", [retrying, purging])
def test_what_fails_later_is_left(host: Host, change: maintenance.Change) -> None:
    with host.app.app_context():
        fail(host, 2)
        [first, second] = host.jobs()
        before = min(first.finished_at, second.finished_at)
        told = list(change(database(host), Ended(["failed"]), before))
    assert len(told) == 1
    assert states(host).count("failed") == 2 - len(told[0])


def test_one_job_alone(host: Host) -> None:
    with host.app.app_context():
        ids = fail(host, 3)
        assert list(retrying(database(host), Ended(["failed"], job=ids[1]))) == [
            [ids[1]]
        ]
        other = Ended(["failed"], instance="elsewhere", job=ids[0])
        assert list(purging(database(host), other)) == []
    assert states(host) == ["failed", "queued", "failed"]


def test_only_what_failed_is_retried(host: Host) -> None:
    with host.app.app_context():
        fail(host, 1)
        assert list(retrying(database(host), Ended(["done", "queued"]))) == []
        assert list(purging(database(host), Ended(["queued", "running"]))) == []
