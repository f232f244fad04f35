"""The queue of a host: filled, claimed, ended and counted by tests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.db import job_states
from flask_autotag.db.database import Database
from flask_autotag.host.image_source import Captured
from flask_autotag.jobs import claims, outcomes, queue
from flask_autotag.jobs.queue import Job

from ..hosts import ESPRESSO, ESPRESSO_TAGS, Host

#: One prediction and its tags, each once.
ONCE = (1, len(ESPRESSO_TAGS))


def database(host: Host) -> Database:
    return host.autotag.state_of(host.app).database


def upload_photos(host: Host, number: int, image: Path = ESPRESSO) -> None:
    """Upload the same image *number* times."""
    with host.app.app_context():
        for place in range(number):
            image_uploaded.send(
                host.app, asset=AssetRef("photo", str(place)), image=image
            )


def enqueue(
    host: Host, number: int, priority: int = job_states.FRESH, **image: Any
) -> None:
    with database(host).begin() as session:
        asset = AssetRef("photo", str(number))
        intent = queue.Intent(asset, "default", Captured(**image))
        queue.enqueue(session.connection(), host.models, intent, priority)


def leave_to_loader(host: Host) -> None:
    """Remove the paths of queued images, as if a remote storage had them."""
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.execute(update(host.models.job).values(path=None))


def make_due(host: Host) -> None:
    """Make queued jobs due, and let the leases of running ones expire."""
    with host.app.app_context(), host.db.engine.begin() as connection:
        job = host.models.job
        connection.execute(update(job).where(job.run_at.is_not(None)).values(run_at=1))


def take(host: Host, limit: int = 10, lease: float = 60.0) -> list[Job]:
    return claims.claim(database(host), limit, "tester", lease)


def finish(host: Host, *jobs: Job) -> bool:
    with database(host).begin() as session:
        ours = outcomes.finish(session, host.models, jobs)
        if not ours:
            session.rollback()
        return ours


def states(host: Host) -> list[str]:
    return [job.state for job in host.jobs()]


def count_states(host: Host) -> dict[str, int]:
    return Counter(states(host))


def count_live(host: Host) -> int:
    found = count_states(host)
    return found.get("queued", 0) + found.get("running", 0)


def stored(host: Host) -> dict[str, tuple[int, int]]:
    """Count the predictions and tags of each known asset."""
    with host.app.app_context(), host.db.engine.connect() as connection:
        asset = host.models.asset.__table__

        def count(table: Any) -> Any:
            same = table.c.asset_id == asset.c.id
            return select(func.count()).where(same).scalar_subquery()

        predictions = count(host.models.prediction.__table__)
        tags = count(host.models.assignment.__table__)
        rows = connection.execute(select(asset.c.asset_id, predictions, tags))
        return {row[0]: (row[1], row[2]) for row in rows}
