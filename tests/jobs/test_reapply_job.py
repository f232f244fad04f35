"""New settings on existing images, on each database."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.db.job_states import CANCELLED, DONE, QUEUED, RULES, RUNNING
from flask_autotag.jobs import reapply_job
from flask_autotag.jobs.claims import claim
from flask_autotag.jobs.queue import enqueue_reapply
from flask_autotag.jobs.worker import Worker
from flask_autotag.tags import batches
from flask_autotag.tags.reapply import Preview, preview

from ..hosts import ESPRESSO, ESPRESSO_TAGS, Host, make_host, store_labels
from ..settings.desk import Desk
from ..waiting import wait_for
from .programs import IMPATIENT, worker, write_program

THRESHOLD, MAXIMUM = ("tensorflow", "confidence_threshold"), ("", "max_tags")
ENABLED = ("", "enabled")
LABELS = [("dog", 0.9), ("wolf", 0.4), ("fox", 0.2)]


def asset(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


def fill(host: Host, number: int, instance: str = "shop") -> None:
    """Store predictions for *number* photos."""
    with host.app.app_context():
        for photo in range(1, number + 1):
            store_labels(host, asset(photo), LABELS, instance)


def tags(host: Host, number: int, instance: str = "shop") -> list[str]:
    with host.app.app_context():
        return [tag.name for tag in host.autotag.tags_for(asset(number), instance)]


def enqueue_rules(host: Host, instance: str = "shop") -> int:
    with host.app.app_context():
        state = host.autotag.state_of(host.app)
        [job_id] = state.database.transact(
            lambda session: enqueue_reapply(session, state.database.models, [instance])
        )
        return job_id


def drain(host: Host) -> None:
    Worker(host.app, host.autotag.state_of(host.app)).drain()


def look(host: Host, instance: str = "shop", most: int = 1000) -> Preview:
    state = host.autotag.state_of(host.app)
    with host.app.app_context():
        settings = state.settings_for(instance)
        with state.database.begin() as session:
            return preview(session, host.models, {instance: settings}, most)


def test_a_lower_threshold_reaches_the_images_that_there_are(any_host: Host) -> None:
    fill(any_host, 3)
    fill(any_host, 1, "news")
    desk = Desk(any_host)
    desk.save({THRESHOLD: 0.3}, "shop")
    seen = look(any_host)
    assert (seen.images, seen.gaining, seen.losing) == (3, 3, 0)
    assert (seen.most_added, seen.most_removed) == ([("wolf", 3)], [])
    assert tags(any_host, 1) == ["dog"]

    enqueue_rules(any_host)
    drain(any_host)

    assert [tags(any_host, number) for number in (1, 2, 3)] == [["dog", "wolf"]] * 3
    assert tags(any_host, 1, "news") == ["dog"]
    [job] = any_host.jobs()
    assert (job.kind, job.state, job.asset_id) == (RULES, DONE, "shop")
    assert (job.dedupe_key, job.lease_token) == (None, None)
    assert {told["asset"] for told in any_host.tagged} == {asset(n) for n in (1, 2, 3)}
    assert look(any_host) == Preview(images=3, tags_kept=6)


def test_a_higher_one_takes_tags_away(any_host: Host) -> None:
    fill(any_host, 2)
    Desk(any_host).save({THRESHOLD: 0.95})
    seen = look(any_host)
    assert (seen.gaining, seen.losing, seen.tags_removed) == (0, 2, 2)
    enqueue_rules(any_host)
    drain(any_host)
    assert tags(any_host, 1) == []


def test_what_a_person_decided_stays(any_host: Host) -> None:
    fill(any_host, 1)
    desk = Desk(any_host)
    desk.save({THRESHOLD: 0.1})
    enqueue_rules(any_host)
    drain(any_host)
    models = desk.state.database.models
    tag, assignment = models.tag.__table__, models.assignment.__table__
    with any_host.app.app_context(), desk.state.database.begin() as session:
        for name, state in (("wolf", "rejected"), ("fox", "applied")):
            key = select(tag.c.id).where(tag.c.key == name).scalar_subquery()
            session.execute(
                update(assignment)
                .where(assignment.c.tag_id == key)
                .values(state=state, source="person", confidence=None)
            )
    desk.save({THRESHOLD: 0.3, MAXIMUM: 1})
    seen = look(any_host)
    assert (seen.added, seen.removed) == ({}, {"dog": 1})
    enqueue_rules(any_host)
    drain(any_host)
    assert tags(any_host, 1) == ["fox"]


def test_only_a_provider_that_is_turned_on_counts(any_host: Host) -> None:
    with any_host.app.app_context():
        store_labels(any_host, asset(1), [("dog", 0.6)], "shop")
        store_labels(any_host, asset(1), [("cat", 0.7)], "shop", "google")
    enqueue_rules(any_host)
    drain(any_host)
    assert tags(any_host, 1) == ["dog"]


def test_where_tagging_is_off_nothing_changes(any_host: Host) -> None:
    fill(any_host, 1)
    Desk(any_host).save({ENABLED: False, THRESHOLD: 1})
    assert look(any_host) == Preview()
    enqueue_rules(any_host)
    drain(any_host)
    assert tags(any_host, 1) == ["dog"]
    [job] = any_host.jobs()
    assert (job.state, job.error_code) == (CANCELLED, "tagging_off")
    assert any_host.failures == []


def test_it_goes_on_where_it_was(
    any_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 2)
    fill(any_host, 5)
    Desk(any_host).save({THRESHOLD: 0.3})
    enqueue_rules(any_host)
    state = any_host.autotag.state_of(any_host.app)
    Worker(any_host.app, state)._run(claimed(any_host), patience=0)
    [job] = any_host.jobs()
    assert (job.state, job.done_to, job.crashes) == (QUEUED, None, 0)
    [mine] = claimed(any_host)
    with any_host.app.app_context():
        mine, now = reapply_job.step(any_host.app, state, mine, 60)
    assert (now, len(tags(any_host, 2)), len(tags(any_host, 3))) == (RUNNING, 2, 1)
    [job] = any_host.jobs()
    assert job.done_to == mine.done_to is not None


def claimed(host: Host) -> list[Any]:
    with host.app.app_context():
        return claim(host.autotag.state_of(host.app).database, 1, "me")


def test_newer_settings_begin_again_and_the_old_worker_writes_nothing(
    any_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 2)
    fill(any_host, 5)
    desk = Desk(any_host)
    desk.save({THRESHOLD: 0.3})
    first = enqueue_rules(any_host)
    state = any_host.autotag.state_of(any_host.app)
    [mine] = claimed(any_host)
    with any_host.app.app_context():
        mine, _ = reapply_job.step(any_host.app, state, mine, 60)
        desk.save({THRESHOLD: 0.1})
        assert enqueue_rules(any_host) == first
        _, now = reapply_job.step(any_host.app, state, mine, 60)
    assert now is None
    assert tags(any_host, 3) == ["dog"]
    drain(any_host)
    assert [len(tags(any_host, number)) for number in range(1, 6)] == [3] * 5


def test_an_image_in_flight_gets_the_new_rules(host: Host) -> None:
    """Settings that are saved between the claim and the end apply too."""
    state = host.autotag.state_of(host.app)
    desk = Desk(host)
    worker = Worker(host.app, state)
    image_uploaded.send(host.app, asset=asset(1), image=ESPRESSO, instance="shop")
    classify = worker._classify

    def classify_then_save(batch: Any) -> Any:
        done = classify(batch)
        desk.save({THRESHOLD: 1})
        return done

    worker._classify = classify_then_save  # type: ignore[method-assign]
    worker.drain()
    assert tags(host, 1) == []


def test_a_worker_that_runs_heeds_a_change(any_host: Host, tmp_path: Path) -> None:
    """In another process, from the next image, without a restart."""
    desk = Desk(any_host)

    def upload(number: int) -> list[str]:
        image_uploaded.send(
            any_host.app, asset=asset(number), image=ESPRESSO, instance="shop"
        )
        wait_for(lambda: any_host.jobs()[number - 1].state == DONE)
        return tags(any_host, number)

    program = write_program(tmp_path, any_host, before=IMPATIENT)
    with worker(program, "--processes", "1") as running:
        assert upload(1) == ESPRESSO_TAGS
        desk.save({THRESHOLD: 1.0}, "shop")
        assert upload(2) == []
        desk.save({THRESHOLD: None}, "shop")
        desk.save({THRESHOLD: 0.9})
        assert upload(3) == ["drink", "espresso"]
        running.terminate()
        running.communicate()


def test_a_fresh_upload_comes_first(host: Host) -> None:
    fill(host, 1)
    enqueue_rules(host)
    image_uploaded.send(host.app, asset=asset(9), image=b"x", instance="shop")
    [job] = claimed(host)
    assert job.asset == asset(9)


def test_a_preview_of_many_is_of_the_first_and_says_so(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 2)
    fill(host, 5)
    Desk(host).save({THRESHOLD: 0.1})
    seen = look(host, most=4)
    assert (seen.images, seen.complete, seen.tags_added) == (4, False, 8)


def run_and_be_killed(url: str) -> None:
    with make_host(url) as host:
        drain(host)


def test_whatever_is_killed_the_rest_is_done(host_database_url: str) -> None:
    """A worker that dies leaves complete chunks, and another worker continues."""
    with make_host(host_database_url) as host:
        state = host.autotag.state_of(host.app)
        with host.app.app_context(), state.database.begin() as session:
            _fill_fast(session, state.database.models, 4000)
        Desk(host).save({THRESHOLD: 0.3})
        enqueue_rules(host)
        spawn = multiprocessing.get_context("spawn")
        worker = spawn.Process(target=run_and_be_killed, args=(host_database_url,))
        worker.start()
        wait_for(lambda: host.jobs()[0].done_to)
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join()
        table = host.autotag.state_of(host.app).database.models.job.__table__
        with host.app.app_context(), state.database.begin() as session:
            # As if its lease had expired.
            session.execute(
                update(table)
                .where(table.c.state == RUNNING)
                .values(state=QUEUED, run_at=1, lease_token=None)
            )
        drain(host)
        with host.app.app_context(), state.database.begin() as session:
            assignment = state.database.models.assignment.__table__
            stored = session.execute(
                select(assignment.c.asset_id, assignment.c.tag_id)
            ).all()
        assert len(stored) == len(set(stored)) == 8000
        assert host.jobs()[0].state == DONE


def _fill_fast(session: Any, models: Any, number: int) -> None:
    now = datetime(2026, 1, 1)
    session.execute(
        insert(models.asset.__table__),
        [
            {
                "id": n,
                "instance": "shop",
                "asset_type": "photo",
                "asset_id": str(n),
                "sha256": "0" * 64,
                "tagged_at": now,
            }
            for n in range(1, number + 1)
        ],
    )
    session.execute(
        insert(models.prediction.__table__),
        [
            {
                "asset_id": n,
                "provider": "tensorflow",
                "model": "model 1",
                "labels": [[name, name, sure] for name, sure in LABELS],
                "created_at": now,
            }
            for n in range(1, number + 1)
        ],
    )
