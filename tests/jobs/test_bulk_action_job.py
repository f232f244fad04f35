"""The job of a large bulk action: portions, interruptions and undo."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from flask_autotag import AssetRef
from flask_autotag.db.job_states import BULK_ACTION, DONE, QUEUED, RUNNING
from flask_autotag.jobs import bulk_action_job
from flask_autotag.jobs.claims import claim
from flask_autotag.jobs.worker import Worker
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.tags import bulk_actions
from flask_autotag.tags.bulk_actions import BulkAction
from flask_autotag.tags.counters import check_all
from flask_autotag.tags.queries.image_list import ImageFilter, matching
from flask_autotag.tags.rules import APPLIED

from ..hosts import Host, make_host, store_labels
from ..waiting import wait_for


def photo(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


def begin(host: Host, tag: str = "Rex") -> BulkAction:
    """Store an action about all images of the shop, and queue its job."""
    state = host.autotag.state_of(host.app)

    def work(session: Any) -> BulkAction:
        connection, models = session.connection(), host.models
        action = bulk_actions.begin(
            connection,
            state.stored_settings(),
            "shop",
            tag_name(tag),
            APPLIED,
            None,
            "ada",
        )
        rows = matching(connection, models, "shop", ImageFilter())
        bulk_actions.add_items(connection, models, action, rows)
        bulk_action_job.enqueue_action(session, models, action)
        return action

    return state.database.transact(work)


def undo(host: Host, action: BulkAction) -> None:
    state = host.autotag.state_of(host.app)

    def work(session: Any) -> None:
        assert bulk_actions.begin_undo(session.connection(), host.models, action, "eve")
        bulk_action_job.enqueue_action(session, host.models, action)

    state.database.transact(work)


def stored(host: Host, action: BulkAction) -> BulkAction:
    found = host.autotag.state_of(host.app).database.transact(
        lambda s: bulk_actions.read(s.connection(), host.models, action.id, "shop")
    )
    assert found is not None
    return found


def drain(host: Host) -> None:
    Worker(host.app, host.autotag.state_of(host.app)).drain()


def with_tag(host: Host, name: str = "Rex") -> int:
    """Count the images of the shop that have a tag, and check all counters."""
    tag, assigned = host.models.tag, host.models.assignment
    with host.db.engine.connect() as connection:
        found = connection.execute(
            select(assigned.asset_id)
            .join(tag, tag.id == assigned.tag_id)
            .where(tag.name == name, assigned.state == APPLIED, tag.instance == "shop")
        ).all()
    assert check_all(host.autotag.state_of(host.app).database).wrong == []
    return len(found)


@pytest.fixture
def filled(any_host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host with five images of the shop, and portions of two."""
    monkeypatch.setattr(bulk_actions, "BATCH_SIZE", 2)
    with any_host.app.app_context():
        for number in range(1, 6):
            store_labels(any_host, photo(number), [("dog", 0.9)], "shop")
        store_labels(any_host, photo(1), [("dog", 0.9)], "news")
        yield any_host


def test_it_decides_on_all_and_the_undo_takes_all_back(filled: Host) -> None:
    action = begin(filled)
    waiting = stored(filled, action)
    assert (waiting.phase, waiting.images, waiting.changed) == ("doing", 5, 0)
    assert with_tag(filled) == 0
    drain(filled)
    assert with_tag(filled) == 5
    done = stored(filled, action)
    assert (done.phase, done.images, done.changed) == ("done", 5, 5)
    [job] = filled.jobs()
    assert (job.kind, job.state, job.asset_id) == (BULK_ACTION, DONE, str(action.id))
    tags = filled.autotag.tags_for(photo(1), "news")
    assert [tag.name for tag in tags] == ["dog"]
    assert filled.tagged == filled.failures == []

    undo(filled, action)
    assert stored(filled, action).phase == "undoing"
    drain(filled)
    assert with_tag(filled) == 0
    undone = stored(filled, action)
    assert (undone.phase, undone.restored, undone.undone_by) == ("undone", 5, "eve")


def test_it_continues_after_the_last_portion(filled: Host) -> None:
    action = begin(filled)
    state = filled.autotag.state_of(filled.app)
    [job] = claim(state.database, 1, "me")
    job, now = bulk_action_job.step(state, job, 60)
    assert (now, with_tag(filled), stored(filled, action).changed) == (RUNNING, 2, 2)
    # Somebody decides again before the job continues, on either side of it.
    for number in (1, 5):
        filled.autotag.reject_tag(photo(number), "Rex", instance="shop")
    let_leases_expire(filled)
    drain(filled)
    assert with_tag(filled) == 4
    done = stored(filled, action)
    assert (done.phase, done.images, done.changed) == ("done", 5, 5)
    undo(filled, action)
    drain(filled)
    assert (with_tag(filled), stored(filled, action).restored) == (0, 4)


def test_a_worker_that_lost_its_lease_writes_nothing(filled: Host) -> None:
    action = begin(filled)
    state = filled.autotag.state_of(filled.app)
    [job] = claim(state.database, 1, "me")
    let_leases_expire(filled)
    [other] = claim(state.database, 1, "other")
    _, now = bulk_action_job.step(state, job, 60)
    assert (now, with_tag(filled), stored(filled, action).changed) == (None, 0, 0)
    bulk_action_job.step(state, other, 60)
    assert with_tag(filled) == 2


def test_images_that_are_forgotten_meanwhile(filled: Host) -> None:
    action = begin(filled)
    filled.autotag.forget(photo(2), instance="shop")
    drain(filled)
    assert with_tag(filled) == 4
    assert (stored(filled, action).phase, stored(filled, action).changed) == ("done", 4)


def test_an_action_that_is_gone_ends_its_job(host: Host) -> None:
    with host.app.app_context():
        action = begin(host)
        with host.db.engine.begin() as connection:
            connection.execute(host.models.bulk_action.__table__.delete())
        drain(host)
        assert action.id
        assert [job.state for job in host.jobs()] == [DONE]


def let_leases_expire(host: Host) -> None:
    job = host.models.job
    with host.db.engine.begin() as connection:
        connection.execute(
            update(job)
            .where(job.state == RUNNING)
            .values(state=QUEUED, run_at=1, lease_token=None)
        )


def run_and_be_killed(url: str) -> None:
    bulk_actions.BATCH_SIZE = 20
    with make_host(url) as host:
        drain(host)


def test_a_killed_worker_leaves_complete_portions(host_database_url: str) -> None:
    with make_host(host_database_url) as host, host.app.app_context():
        host.autotag.add_tag(
            [photo(number) for number in range(2000)], "dog", instance="shop"
        )
        action = begin(host)
        spawn = multiprocessing.get_context("spawn")
        worker = spawn.Process(target=run_and_be_killed, args=(host_database_url,))
        worker.start()
        wait_for(lambda: host.jobs()[0].done_to)
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join()
        half = stored(host, action)
        assert half.changed == with_tag(host)
        assert half.changed % 20 == 0
        assert 0 < half.changed < 2000
        let_leases_expire(host)
        drain(host)
        done = stored(host, action)
        assert (done.phase, done.images, done.changed) == ("done", 2000, 2000)
        assert with_tag(host) == 2000
