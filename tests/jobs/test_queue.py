"""The states of a job, on each database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from flask_autotag import (
    AssetRef,
    ClassifierError,
    TaggingOff,
    UnreadableImage,
    image_uploaded,
)
from flask_autotag.database import Database
from flask_autotag.errors import ClassifierCrashed
from flask_autotag.jobs import claims, ends, queue
from flask_autotag.jobs.queue import Job
from flask_autotag.sources import Captured

from ..hosts import Host


def enqueue(host: Host, number: int, priority: int = queue.FRESH, **image: Any) -> None:
    with database(host).begin() as session:
        queue.enqueue(
            session.connection(),
            host.models,
            AssetRef("photo", str(number)),
            "default",
            Captured(**image),
            priority,
        )


def database(host: Host) -> Database:
    return host.autotag.state_of(host.app).database


def take(host: Host, limit: int = 10, lease: float = 60.0) -> list[Job]:
    return claims.claim(database(host), limit, "tester", lease)


def make_due(host: Host) -> None:
    """Let the time pass that jobs wait for."""
    table = host.models.job.__table__
    with database(host).begin() as session:
        session.execute(
            update(table).where(table.c.run_at.is_not(None)).values(run_at=1)
        )


def finish(host: Host, *jobs: Job) -> bool:
    with database(host).begin() as session:
        ours = ends.finish(session, host.models, jobs)
        if not ours:
            session.rollback()
        return ours


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
        assert take(any_host) == []
        assert claims.sweep(database(any_host)) == 1
        [again] = take(any_host)
        assert again.crashes == 1

        assert not finish(any_host, late)
        assert ends.fail(database(any_host), late, UnreadableImage("no")) is None
        claims.hand_back(database(any_host), [late])
        assert claims.renew(database(any_host), [late], claims.LEASE) == [late]
        assert states(any_host) == ["running"]
        assert claims.renew(database(any_host), [again], claims.LEASE) == []
        assert finish(any_host, again)
    [row] = any_host.jobs()
    assert (row.state, row.run_at, row.dedupe_key) == ("done", None, None)
    assert row.finished_at >= row.created_at


def test_an_image_that_kills_three_workers_is_quarantined(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        for _ in range(3):
            assert len(take(any_host)) == 1
            make_due(any_host)
            assert claims.sweep(database(any_host)) == 1
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
            outcomes.append(ends.fail(database(any_host), job, crash))
            make_due(any_host)
    assert outcomes == ["queued", "queued", "quarantined"]


def test_a_failure_that_may_pass_is_tried_six_times(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        outcomes = []
        for _ in range(6):
            [job] = take(any_host)
            outcomes.append(ends.fail(database(any_host), job, ClassifierError("no")))
            make_due(any_host)
        assert take(any_host) == []
    assert outcomes == ["queued"] * 5 + ["failed"]
    [row] = any_host.jobs()
    assert (row.error_code, row.error_text) == ("classifier_failed", "no")


def test_a_retry_waits(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        [job] = take(any_host)
        ends.fail(database(any_host), job, ClassifierError("no"))
        assert take(any_host) == []
    [row] = any_host.jobs()
    assert 4.0 <= row.run_at - row.created_at <= 20.0


def test_a_bad_image_is_not_tried_again(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        [job] = take(any_host)
        assert ends.fail(database(any_host), job, UnreadableImage("No.")) == "failed"
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
        assert finish(any_host, job)
        assert queue.read_data(database(any_host), job) is None


def test_one_live_job_for_a_content_until_it_ends(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1, content="same")
        enqueue(any_host, 1, content="same")
        [job] = take(any_host)
        enqueue(any_host, 1, content="same")
        assert states(any_host) == ["running"]
        assert finish(any_host, job)
        enqueue(any_host, 1, content="same")
    assert states(any_host) == ["done", "queued"]


def test_forgetting_an_asset_drops_what_runs(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1, data=b"x", content="c")
        enqueue(any_host, 2)
        job = take(any_host)[0]
        any_host.autotag.forget(AssetRef("photo", "1"))
        assert not finish(any_host, job)
    assert [row.asset_id for row in any_host.jobs()] == ["2"]


def test_what_runs_of_a_moved_asset_begins_again_under_its_name(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1, data=b"x", content="c")
        [job] = take(any_host)
        any_host.autotag.move(job.asset, AssetRef("photo", "2"))
        assert not finish(any_host, job)
        # Another image has the former name now, with the same content.
        enqueue(any_host, 1, data=b"x", content="c")
        assert states(any_host) == ["queued", "queued"]
        again = take(any_host)
        assert {each.asset.id for each in again} == {"1", "2"}
        assert finish(any_host, *again)


@given(st.integers(min_value=0, max_value=100))
def test_the_wait_doubles_up_to_an_hour(failures: int) -> None:
    wait = ends.retry_delay(failures)
    longest = min(3600.0, 10.0 * 2.0**failures)
    assert longest / 2 <= wait <= longest


END = {
    "done": finish,
    "failed": lambda host, job: ends.fail(database(host), job, UnreadableImage("")),
    "quarantined": lambda host, job: ends.fail(
        database(host), replace(job, crashes=2), ClassifierCrashed("")
    ),
    "cancelled": lambda host, job: ends.cancel(database(host), job, TaggingOff("")),
}


@pytest.mark.parametrize("state", END)
def test_an_ended_job_is_never_due(host: Host, state: str) -> None:
    with host.app.app_context():
        enqueue(host, 1)
        [job] = take(host)
        END[state](host, job)
        assert states(host) == [state]
        make_due(host)
        assert (take(host), claims.sweep(database(host))) == ([], 0)


def test_fresh_uploads_come_before_bulk_work(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1, priority=queue.BULK)
        enqueue(any_host, 2, priority=queue.BULK, content="same")
        enqueue(any_host, 3)
        # Uploaded by a person meanwhile.
        enqueue(any_host, 2, content="same")
        assert [job.asset.id for job in take(any_host)] == ["2", "3"]
        assert [job.asset.id for job in take(any_host)] == ["1"]


def test_the_same_upload_fifty_times_at_once_is_one_job(any_host: Host) -> None:
    def upload(_: int) -> None:
        with any_host.app.app_context():
            image_uploaded.send(any_host.app, asset=AssetRef("photo", "1"), image=b"x")

    with ThreadPoolExecutor(10) as executor:
        list(executor.map(upload, range(50)))
    assert any_host.failures == []
    assert states(any_host) == ["queued"]


def test_workers_share_the_queue_and_never_a_job(any_host: Host) -> None:
    with any_host.app.app_context():
        for number in range(60):
            enqueue(any_host, number)

    def work(_: int) -> list[int]:
        taken = []
        with any_host.app.app_context():
            while jobs := take(any_host, 4):
                assert finish(any_host, *jobs)
                taken += [job.id for job in jobs]
        return taken

    with ThreadPoolExecutor(4) as executor:
        taken = [job for part in executor.map(work, range(4)) for job in part]
    assert len(taken) == len(set(taken)) == 60
    assert set(states(any_host)) == {"done"}


def test_a_job_that_was_lost_is_claimed_alone(any_host: Host) -> None:
    with any_host.app.app_context():
        for number in range(5):
            enqueue(any_host, number)
        lost = take(any_host, 2)
        make_due(any_host)
        assert claims.sweep(database(any_host)) == len(lost)
        sizes = [len(take(any_host)) for _ in range(3)]
    # The two lost ones at their old place, or after those that became due before.
    assert sorted(sizes) == [1, 1, 3]


def test_a_lost_job_keeps_its_place(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        [lost] = take(any_host, lease=-1.0)
        enqueue(any_host, 2)
        claims.sweep(database(any_host))
        assert [job.id for job in take(any_host, 1)] == [lost.id]


def test_a_snooze_costs_no_try(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        for _ in range(10):
            [job] = take(any_host)
            claims.hand_back(database(any_host), [job], 3000.0)
            assert take(any_host) == []
            make_due(any_host)
    [row] = any_host.jobs()
    assert (row.state, row.claims, row.failures, row.crashes) == ("queued", 10, 0, 0)


def test_a_renewed_lease_outlives_the_first(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        [job] = take(any_host, lease=-1.0)
        assert claims.renew(database(any_host), [job], claims.LEASE) == []
        assert claims.sweep(database(any_host)) == 0
        assert finish(any_host, job)


def test_one_lost_job_of_several_is_told_by_a_renewal(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        enqueue(any_host, 2)
        first, second = take(any_host)
        any_host.autotag.forget(first.asset)
        assert claims.renew(database(any_host), [first, second], claims.LEASE) == [
            first
        ]
        assert not finish(any_host, first, second)
        assert states(any_host) == ["running"]
        assert finish(any_host, second)


def test_a_message_that_comes_five_times_finds_its_job_once(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        [row] = any_host.jobs()
        found = [
            claims.claim_one(database(any_host), row.id, "tester") for _ in range(5)
        ]
    assert [len(jobs) for jobs in found] == [1, 0, 0, 0, 0]
