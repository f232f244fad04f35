"""The states of a job, on each database."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, insert, select, update

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.db import job_states
from flask_autotag.errors import (
    ClassifierCrashed,
    ClassifierError,
    TaggingOff,
    UnreadableImage,
)
from flask_autotag.jobs import claims, maintenance, outcomes, queue
from flask_autotag.jobs.queue import Job
from flask_autotag.runtime.turn import Turn

from ..hosts import Host, store_labels
from .queues import database, enqueue, finish, make_due, states, take


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
        assert claims.requeue_expired(database(any_host)) == 1
        [again] = take(any_host)
        assert again.crashes == 1

        assert not finish(any_host, late)
        assert outcomes.fail(database(any_host), late, UnreadableImage("no")) is None
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
        for crashes in range(3):
            assert len(take(any_host)) == 1
            make_due(any_host)
            assert claims.requeue_expired(database(any_host)) == 1
            if crashes == 1:
                # Other jobs come first.
                assert take(any_host) == []
                make_due(any_host)
        assert take(any_host) == []
    [row] = any_host.jobs()
    assert (row.state, row.crashes) == ("quarantined", 3)
    assert row.error_text == "The worker died at each attempt to classify this image."


def test_an_image_that_kills_three_children_is_quarantined(any_host: Host) -> None:
    crash = ClassifierCrashed("The child process ended.")
    with any_host.app.app_context():
        enqueue(any_host, 1)
        states = []
        for _ in range(3):
            [job] = take(any_host)
            states.append(outcomes.fail(database(any_host), job, crash))
            make_due(any_host)
    assert states == ["queued", "queued", "quarantined"]


def test_a_failure_that_may_pass_is_tried_six_times(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        states = []
        for _ in range(6):
            [job] = take(any_host)
            states.append(outcomes.fail(database(any_host), job, ClassifierError("no")))
            make_due(any_host)
        assert take(any_host) == []
    assert states == ["queued"] * 5 + ["failed"]
    [row] = any_host.jobs()
    assert (row.error_code, row.error_text) == ("classifier_failed", "no")


def test_a_retry_waits(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        [job] = take(any_host)
        outcomes.fail(database(any_host), job, ClassifierError("no"))
        assert take(any_host) == []
    [row] = any_host.jobs()
    assert 4.0 <= row.run_at - row.created_at <= 20.0


def test_a_bad_image_is_not_tried_again(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        [job] = take(any_host)
        assert (
            outcomes.fail(database(any_host), job, UnreadableImage("No.")) == "failed"
        )
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


def test_a_done_job_cancels_earlier_failures_of_its_asset(any_host: Host) -> None:
    with any_host.app.app_context():
        # The failures of asset 2 are another asset's, and that of "later" came after.
        for number, content in ((1, "a"), (1, "b"), (2, "a"), (1, "c"), (1, "later")):
            enqueue(any_host, number, data=b"x", content=content)
        crashed = replace(take(any_host, 1)[0], crashes=claims.CRASHES)
        outcomes.fail(database(any_host), crashed, ClassifierCrashed("no"))
        damaged, other, done, later = take(any_host)
        for job in (damaged, other, later):
            outcomes.fail(database(any_host), job, UnreadableImage("no"))
        assert states(any_host) == [
            *("quarantined", "failed", "failed", "running", "failed"),
        ]
        assert finish(any_host, done)
        assert_former_failures_are_cancelled(any_host, damaged, other)
        assert maintenance.retry(database(any_host)) == 2


def assert_former_failures_are_cancelled(host: Host, damaged: Job, other: Job) -> None:
    """The first two jobs are of the asset whose fourth job is done, the last is later.

    :param damaged: the first job, whose data is deleted.
    :param other: the third job, of another asset, whose data stays.
    """
    assert [(row.state, row.error_code) for row in host.jobs()] == [
        ("cancelled", None),
        ("cancelled", None),
        ("failed", "image_unreadable"),
        ("done", None),
        ("failed", "image_unreadable"),
    ]
    kept = [queue.read_data(database(host), job) for job in (damaged, other)]
    assert kept == [None, b"x"]


def test_a_failure_after_a_later_job_is_done_is_cancelled(any_host: Host) -> None:
    with any_host.app.app_context():
        for number, content in ((1, "a"), (1, "b"), (2, "a"), (1, "c"), (1, "later")):
            enqueue(any_host, number, data=b"x", content=content)
        damaged, crashed, other, done, later = take(any_host)
        store_labels(any_host, done.asset, [("cat", 0.9)])
        assert finish(any_host, done)
        fail = partial(outcomes.fail, database(any_host))
        crash = replace(crashed, crashes=claims.CRASHES)
        assert fail(damaged, UnreadableImage("no")) == "cancelled"
        assert fail(crash, ClassifierCrashed("no")) == "cancelled"
        assert not any_host.db.session.scalar(select(any_host.models.asset.no_image))
        any_host.db.session.rollback()
        assert fail(other, UnreadableImage("no")) == "failed"
        assert fail(later, UnreadableImage("no")) == "failed"
        assert_former_failures_are_cancelled(any_host, damaged, other)


@pytest.mark.parametrize("host_database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_failure_waits_for_a_later_job_that_ends(any_host: Host) -> None:
    """Each would miss what the other has not committed; SQLite has one writer."""
    with any_host.app.app_context():
        enqueue(any_host, 1, content="a")
        enqueue(any_host, 1, content="b")
        first, second = take(any_host)
        failed: list[str | None] = []

        def fail() -> None:
            with any_host.app.app_context():
                error = UnreadableImage("no")
                failed.append(outcomes.fail(database(any_host), first, error))

        thread = Thread(target=fail)
        with database(any_host).begin() as session:
            assert outcomes.finish(session, any_host.models, [second])
            thread.start()
            thread.join(1.0)
            assert thread.is_alive()
        thread.join(30.0)
    assert failed == ["cancelled"]
    assert states(any_host) == ["cancelled", "done"]


def test_failures_of_the_same_name_in_another_instance_stay(host: Host) -> None:
    with host.app.app_context():
        for instance in ("news", "shop"):
            image_uploaded.send(
                host.app, asset=AssetRef("photo", "1"), image=b"x", instance=instance
            )
        news, shop = sorted(take(host), key=lambda job: job.instance)
        outcomes.fail(database(host), news, UnreadableImage("no"))
        enqueue(host, 1)
        assert finish(host, shop, *take(host))
    assert states(host) == ["failed", "done", "done"]


@pytest.mark.parametrize("host_database_url", ["postgresql"], indirect=True)
def test_a_live_job_that_ends_before_it_is_found_is_replaced(any_host: Host) -> None:
    """Other databases find it by the same statement, or lock out its end."""
    with any_host.app.app_context():
        enqueue(any_host, 1, content="a")
        lives = take(any_host)

        def end(_conn: Any, _cursor: Any, statement: str, *_other: Any) -> None:
            if statement.startswith("SELECT") and lives:
                assert finish(any_host, lives.pop())

        event.listen(any_host.db.engine, "before_cursor_execute", end)
        enqueue(any_host, 1, content="a")
    assert states(any_host) == ["done", "queued"]


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
        # Another image with the same content now has the former name.
        enqueue(any_host, 1, data=b"x", content="c")
        assert states(any_host) == ["queued", "queued"]
        again = take(any_host)
        assert {each.asset.id for each in again} == {"1", "2"}
        assert finish(any_host, *again)


@given(st.integers(min_value=0, max_value=100))
def test_the_wait_doubles_up_to_an_hour(failures: int) -> None:
    wait = outcomes.retry_delay(failures)
    longest = min(3600.0, 10.0 * 2.0**failures)
    assert longest / 2 <= wait <= longest


END = {
    "done": finish,
    "failed": lambda host, job: outcomes.fail(database(host), job, UnreadableImage("")),
    "quarantined": lambda host, job: outcomes.fail(
        database(host), replace(job, crashes=2), ClassifierCrashed("")
    ),
    "cancelled": lambda host, job: outcomes.cancel(database(host), job, TaggingOff("")),
}


@pytest.mark.parametrize("state", END)
def test_an_ended_job_is_never_due(host: Host, state: str) -> None:
    with host.app.app_context():
        enqueue(host, 1)
        [job] = take(host)
        END[state](host, job)
        assert states(host) == [state]
        make_due(host)
        assert (take(host), claims.requeue_expired(database(host))) == ([], 0)


def test_fresh_uploads_come_before_bulk_work(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1, priority=job_states.BULK)
        enqueue(any_host, 2, priority=job_states.BULK, content="same")
        enqueue(any_host, 3)
        # Meanwhile a person has uploaded it.
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
        assert claims.requeue_expired(database(any_host)) == len(lost)
        sizes = [len(take(any_host)) for _ in range(3)]
    # The two lost jobs in their old order, or after jobs that were due before.
    assert sorted(sizes) == [1, 1, 3]


def test_a_lost_job_keeps_its_place(any_host: Host) -> None:
    with any_host.app.app_context():
        enqueue(any_host, 1)
        [lost] = take(any_host, lease=-1.0)
        enqueue(any_host, 2)
        claims.requeue_expired(database(any_host))
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
        assert claims.requeue_expired(database(any_host)) == 0
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


def fill(
    host: Host, instance: str, number: int, priority: int = job_states.FRESH
) -> None:
    """Write due jobs directly into the table."""
    table = host.models.job.__table__
    row = {
        "instance": instance,
        "asset_type": "photo",
        "state": job_states.QUEUED,
        "priority": priority,
        "run_at": 1.0,
        "created_at": 1.0,
    }
    rows = [{**row, "asset_id": str(place)} for place in range(number)]
    with database(host).begin() as session:
        session.execute(insert(table), rows)


def instances(jobs: Sequence[Job]) -> Counter[str]:
    return Counter(job.instance for job in jobs)


@pytest.mark.parametrize("priority", [job_states.FRESH, job_states.BULK])
def test_thousands_of_jobs_of_one_instance_delay_no_other(
    any_host: Host, priority: int
) -> None:
    turn = Turn()

    def claimed(limit: int) -> Counter[str]:
        return instances(claims.claim(database(any_host), limit, "", turn=turn))

    with any_host.app.app_context():
        fill(any_host, "flood", 3000, priority)
        assert claimed(32) == {"flood": 32}
        fill(any_host, "small", 1, priority)
        # Its only job is in the next batch, which is full nevertheless.
        assert claimed(32) == {"small": 1, "flood": 31}
        for number in range(20):
            fill(any_host, f"other {number:02}", 2, priority)
        first = claimed(32) + claimed(32) + claimed(32)
        assert {name: number for name, number in first.items() if name != "flood"} == {
            f"other {number:02}": 2 for number in range(20)
        }
        assert sum(first.values()) == 96
        # A worker that claims one job at a time, as with Celery, takes turns too.
        fill(any_host, "a", 2, priority)
        fill(any_host, "z", 2, priority)
        assert claimed(1) + claimed(1) + claimed(1) == {"a": 1, "flood": 1, "z": 1}


def test_a_fresh_upload_comes_before_bulk_work_of_all_instances(any_host: Host) -> None:
    with any_host.app.app_context():
        fill(any_host, "flood", 100, job_states.BULK)
        fill(any_host, "small", 1)
        assert instances(take(any_host)) == {"small": 1}


def test_jobs_that_wait_are_no_turn(any_host: Host) -> None:
    with any_host.app.app_context():
        fill(any_host, "later", 3)
        assert instances(take(any_host, 3)) == {"later": 3}
        with database(any_host).begin() as session:
            later = {"state": job_states.QUEUED, "run_at": time.time() + 1000}
            session.execute(update(any_host.models.job.__table__).values(**later))
        fill(any_host, "now", 3)
        assert instances(take(any_host, 2)) == {"now": 2}


def test_a_lost_job_of_another_instance_is_claimed_alone_in_its_turn(
    host: Host,
) -> None:
    turn = Turn("a")
    with host.app.app_context():
        fill(host, "flood", 100)
        fill(host, "lost", 1)
        table = host.models.job.__table__
        with database(host).begin() as session:
            lost = update(table).where(table.c.instance == "lost")
            session.execute(lost.values(crashes=1))
        found = [
            instances(claims.claim(database(host), 8, "", turn=turn)) for _ in range(3)
        ]
    assert found == [{"flood": 7}, {"lost": 1}, {"flood": 8}]


def test_workers_that_live_for_one_job_begin_with_different_instances(
    host: Host,
) -> None:
    with host.app.app_context():
        for name in ("a", "b"):
            fill(host, name, 30)
        # Twenty equal choices by chance have a probability of one in a million.
        assert len({take(host, 1)[0].instance for _ in range(20)}) == 2
