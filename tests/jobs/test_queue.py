"""The states of a job, on each database."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from flask_autotag import AssetRef, ClassifierError, UnreadableImage
from flask_autotag.database import Database
from flask_autotag.errors import ClassifierCrashed
from flask_autotag.jobs import queue
from flask_autotag.jobs.queue import Job, claim
from flask_autotag.sources import Captured

from ..hosts import Host


def enqueue(host: Host, number: int, **image: Any) -> None:
    with database(host).begin() as session:
        queue.enqueue(
            session.connection(),
            host.models,
            AssetRef("photo", str(number)),
            "default",
            Captured(**image),
        )


def database(host: Host) -> Database:
    return host.autotag.state_of(host.app).database


def take(host: Host, limit: int = 10, lease: float = 60.0) -> list[Job]:
    return claim(database(host), limit, "tester", lease)


def make_due(host: Host) -> None:
    """Let the time pass that jobs wait for."""
    table = host.models.job.__table__
    with database(host).begin() as session:
        session.execute(
            update(table).where(table.c.run_at.is_not(None)).values(run_at=1)
        )


def states(host: Host) -> list[str]:
    return [job.state for job in host.jobs()]


def test_claims_the_oldest_first_and_each_once(any_host: Host) -> None:
    with any_host.app.app_context():
        for number in range(5):
            enqueue(any_host, number)
        first, second = take(any_host, 3), take(any_host, 3)

        assert [job.asset.id for job in first] == ["0", "1", "2"]
        assert [job.asset.id for job in second] == ["3", "4"]
        assert take(any_host) == []
    row = any_host.jobs()[0]
    assert (row.state, row.claims, row.lease_owner) == ("running", 1, "tester")
    assert row.run_at > row.created_at + 50


def test_an_expired_lease_is_claimed_again_and_fences_the_first(
    any_host: Host,
) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        [late] = take(any_host)
        make_due(any_host)
        [again] = take(any_host)
        assert again.crashes == 1

        with database(any_host).begin() as session:
            assert not queue.finish(session, any_host.models, late, queue.DONE)
        assert queue.fail(database(any_host), late, UnreadableImage("no")) is None
        assert states(any_host) == ["running"]
        with database(any_host).begin() as session:
            assert queue.finish(session, any_host.models, again, queue.DONE)
    [row] = any_host.jobs()
    assert (row.state, row.run_at, row.dedupe_key) == ("done", None, None)
    assert row.finished_at >= row.created_at


def test_an_image_that_kills_three_workers_is_quarantined(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        for _ in range(3):
            assert len(take(any_host)) == 1
            make_due(any_host)
        assert take(any_host) == []
    [row] = any_host.jobs()
    assert (row.state, row.crashes) == ("quarantined", 3)
    assert row.error_text == "The worker died each time it tried this image."


def test_an_image_that_kills_three_children_is_quarantined(any_host: Host) -> None:
    crash = ClassifierCrashed("The child process ended.")
    with any_host.app.app_context():
        enqueue(any_host, 1)
        outcomes = []
        for _ in range(3):
            [job] = take(any_host)
            outcomes.append(queue.fail(database(any_host), job, crash))
            make_due(any_host)
    assert outcomes == ["queued", "queued", "quarantined"]


def test_a_failure_that_may_pass_is_tried_six_times(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        outcomes = []
        for _ in range(6):
            [job] = take(any_host)
            outcomes.append(queue.fail(database(any_host), job, ClassifierError("no")))
            make_due(any_host)
        assert take(any_host) == []
    assert outcomes == ["queued"] * 5 + ["failed"]
    [row] = any_host.jobs()
    assert (row.error_code, row.error_text) == ("classifier_failed", "no")


def test_a_retry_waits(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        [job] = take(any_host)
        queue.fail(database(any_host), job, ClassifierError("no"))
        assert take(any_host) == []
    [row] = any_host.jobs()
    assert 4.0 <= row.run_at - row.created_at <= 20.0


def test_a_bad_image_is_not_tried_again(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        [job] = take(any_host)
        assert queue.fail(database(any_host), job, UnreadableImage("No.")) == "failed"
    [row] = any_host.jobs()
    assert (row.state, row.error_code, row.failures) == (
        "failed",
        "image_unreadable",
        0,
    )


def test_the_end_of_a_job_takes_its_bytes_along(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1, data=b"x" * 3_000_000, content="c")
        [job] = take(any_host)
        assert queue.read_data(database(any_host), job) == b"x" * 3_000_000
        with database(any_host).begin() as session:
            queue.finish(session, any_host.models, job, queue.DONE)
        assert queue.read_data(database(any_host), job) is None


def test_one_live_job_for_a_content_until_it_ends(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1, content="same")
        enqueue(any_host, 1, content="same")
        [job] = take(any_host)
        enqueue(any_host, 1, content="same")
        assert states(any_host) == ["running"]
        with database(any_host).begin() as session:
            queue.finish(session, any_host.models, job, queue.DONE)
        enqueue(any_host, 1, content="same")
    assert states(any_host) == ["done", "queued"]


def test_forgetting_an_asset_drops_what_runs(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1, data=b"x", content="c")
        enqueue(any_host, 2)
        job = take(any_host)[0]
        any_host.autotag.forget(AssetRef("photo", "1"))
        with database(any_host).begin() as session:
            assert not queue.finish(session, any_host.models, job, queue.DONE)
    assert [row.asset_id for row in any_host.jobs()] == ["2"]


@given(st.integers(min_value=0, max_value=100))
def test_the_wait_doubles_up_to_an_hour(failures: int) -> None:
    wait = queue.retry_delay(failures)
    longest = min(3600.0, 10.0 * 2.0**failures)
    assert longest / 2 <= wait <= longest


@pytest.mark.parametrize("kind", ["done", "failed", "quarantined", "cancelled"])
def test_an_ended_job_is_never_due(host: Host, kind: str) -> None:
    with host.app.app_context():
        enqueue(host, 1)
        [job] = take(host)
        with database(host).begin() as session:
            queue.finish(session, host.models, job, kind)
        make_due(host)
        assert take(host) == []
