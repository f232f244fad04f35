"""Bulk commands and workers execute as many statements for N images as for 3 N."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update

from flask_autotag import AssetRef, Upload, image_uploaded
from flask_autotag.db.job_states import FAILED
from flask_autotag.jobs.bulk.outdated import Retagging, RetagOptions
from flask_autotag.jobs.bulk.untagged import Backlog
from flask_autotag.jobs.leases import Leases
from flask_autotag.jobs.notify import notify
from flask_autotag.jobs.reapply_job import enqueue_for
from flask_autotag.jobs.worker import Worker
from flask_autotag.tags.batches import AssetFilter

from ..hosts import Host, jpeg, make_host, store_labels
from ..settings.desk import Desk

LABELS = [("dog", 0.9), ("wolf", 0.4)]
#: Less than a batch of a dry run, so that both need one batch.
COUNTS = (4, 12)
INSTANCES = ("shop", "news")


def asset(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


def instance(number: int) -> str:
    return INSTANCES[number % len(INSTANCES)]


@contextmanager
def statements(host: Host) -> Iterator[list[str]]:
    """Collect the statements that the host's database executes in the block."""
    engine = host.db.engine
    collected: list[str] = []

    def collect(_conn: Any, _cursor: Any, statement: str, *_other: Any) -> None:
        collected.append(statement)

    event.listen(engine, "before_cursor_execute", collect)
    try:
        yield collected
    finally:
        event.remove(engine, "before_cursor_execute", collect)


def upload_and_tag(host: Host, folder: Path, count: int) -> None:
    """Upload files of several instances, and store labels of an old model."""
    with host.app.app_context():
        for number in range(count):
            path = folder / f"{number}.jpg"
            path.write_bytes(jpeg())
            image_uploaded.send(
                host.app, asset=asset(number), image=path, instance=instance(number)
            )
            store_labels(host, asset(number), LABELS, instance(number))


def fail_jobs(host: Host) -> None:
    job = host.models.job
    with host.db.engine.begin() as connection:
        connection.execute(update(job).values(state=FAILED, dedupe_key=None))


def queue_outdated(host: Host, _folder: Path, count: int) -> None:
    """Queue images whose file only their former job knows."""
    retagging = Retagging(
        host.app, host.autotag.state_of(host.app), RetagOptions(AssetFilter())
    )
    assert sum(map(len, retagging.queue())) == count
    assert not retagging.problems.count


def compare_outdated(host: Host, _folder: Path, count: int) -> None:
    """Classify images in a dry run, whose file only their former job knows."""
    state = host.autotag.state_of(host.app)
    retagging = Retagging(host.app, state, RetagOptions(AssetFilter()))
    try:
        assert len(list(retagging.differences(lambda number: None))) == count
        assert not retagging.problems.count
    finally:
        state.pool.close()


def send_image_tagged(host: Host, _folder: Path, count: int) -> None:
    """Read the tags that the receivers of ``image_tagged`` get."""
    before = len(host.tagged)
    images = [(asset(number), instance(number)) for number in range(count)]
    notify(host.app, host.autotag.state_of(host.app), images)
    sent = host.tagged[before:]
    assert [(each["asset"], each["instance"]) for each in sent] == images
    assert all([tag.name for tag in each["tags"]] == ["dog"] for each in sent)


def apply_new_settings(host: Host, _folder: Path, count: int) -> None:
    """Apply new rules to existing images, and send their signals."""
    state = host.autotag.state_of(host.app)
    fail_jobs(host)
    before = len(host.tagged)
    for name in INSTANCES:
        Desk(host).save({("tensorflow", "confidence_threshold"): 0.3}, name)
    state.database.transact(lambda session: enqueue_for(session, state, ""))
    # A worker begins at a random instance otherwise.
    state.turn.last = ""
    Worker(host.app, state).drain()
    assert len(host.tagged) - before == count


def tag_uploads(host: Host, folder: Path, count: int) -> None:
    """Load images by the host's code, classify them and store their tags."""
    state = host.autotag.state_of(host.app)
    host.autotag.image_loader(lambda each: folder / f"{each.id}.jpg")
    with host.db.engine.begin() as connection:
        connection.execute(update(host.models.job).values(path=None))
    # A worker begins at a random instance otherwise.
    state.turn.last = ""
    try:
        assert Worker(host.app, state, Leases(host.app, state)).drain() == count
    finally:
        state.pool.close()
    assert {job.state for job in host.jobs()} == {"done"}


def queue_listed(host: Host, _folder: Path, count: int) -> None:
    """Queue images that were never classified, whose file only a failed job knows."""
    fail_jobs(host)
    with host.db.engine.begin() as connection:
        connection.execute(update(host.models.asset).values(tagged_at=None))
    host.autotag.asset_lister(
        lambda: [(asset(number), instance(number)) for number in range(count)]
    )
    queue_backlog(host, count)


def queue_bytes(host: Host, _folder: Path, count: int) -> None:
    """Queue images whose bytes travel with their jobs."""
    host.autotag.asset_lister(
        lambda: [
            Upload(AssetRef("scan", str(number)), jpeg(), instance(number))
            for number in range(count)
        ]
    )
    queue_backlog(host, count)


def queue_backlog(host: Host, count: int) -> None:
    with Backlog(host.autotag.state_of(host.app)) as backlog:
        backlog.fill(host.app, AssetFilter(), lambda number: None)
        assert sum(map(len, backlog.queue())) == count
        assert not backlog.unreadable.count


@pytest.mark.parametrize(
    "action",
    [
        tag_uploads,
        apply_new_settings,
        queue_listed,
        queue_bytes,
        queue_outdated,
        compare_outdated,
        send_image_tagged,
    ],
)
def test_known_images(
    tmp_path: Path, action: Callable[[Host, Path, int], None]
) -> None:
    executed = []
    for count in COUNTS:
        folder = tmp_path / str(count)
        folder.mkdir()
        with make_host(f"sqlite:///{folder / 'host.sqlite'}") as host:
            upload_and_tag(host, folder, count)
            with host.app.app_context(), statements(host) as collected:
                action(host, folder, count)
            executed.append(len(collected))
    assert executed[0] == executed[1] > 0
