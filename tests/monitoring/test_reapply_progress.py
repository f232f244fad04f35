"""Progress of the jobs that apply settings."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, update

from flask_autotag.db.job_states import DONE, RUNNING
from flask_autotag.jobs.queue import enqueue_reapply
from flask_autotag.monitoring.reapply_progress import Applying, applying

from ..hosts import Host
from ..jobs.queues import database


def order(host: Host, *instances: str) -> None:
    with database(host).begin() as session:
        for instance in instances:
            enqueue_reapply(session, host.models, [instance])


def change(host: Host, instance: str, **values: object) -> None:
    table = host.models.job.__table__
    with database(host).begin() as session:
        session.execute(
            update(table).where(table.c.instance == instance).values(**values)
        )


def read(host: Host, instance: str | None = None, most: int = 10) -> list[Applying]:
    with database(host).begin() as session:
        return list(applying(session, host.models, instance, most))


def test_how_far_they_are(any_host: Host) -> None:
    with any_host.app.app_context():
        assert read(any_host) == []
        order(any_host, "news", "shop", "tv")
        images = [
            {"id": each, "instance": "shop", "asset_type": "photo", "asset_id": "1"}
            for each in (1, 200)
        ]
        with database(any_host).begin() as session:
            session.execute(
                insert(any_host.models.asset.__table__),
                [{**each, "asset_id": str(each["id"])} for each in images],
            )
        [before] = read(any_host, "shop")
        created = any_host.jobs()[1].created_at - 100
        change(any_host, "shop", state=RUNNING, done_to=50, created_at=created)
        change(any_host, "tv", state=DONE)
        first, second = read(any_host)
        assert len(read(any_host, most=1)) == 1
        assert read(any_host, "tv") == read(any_host, "elsewhere") == []
    assert (before.share, before.seconds_left) == (0.0, None)
    assert (first.instance, first.state, first.share) == ("shop", RUNNING, 0.25)
    assert first.seconds_left == pytest.approx(300, abs=60)
    assert (second.instance, second.share) == ("news", 0.0)


def test_one_that_begins_again_is_new(host: Host) -> None:
    with host.app.app_context():
        order(host, "shop")
        change(host, "shop", created_at=1.0, done_to=7)
        order(host, "shop")
        [now] = read(host)
    assert (now.share, now.seconds < 60) == (0.0, True)
