"""Progress of the jobs that apply settings to existing images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..db.job_states import QUEUED, RULES_TYPE, RUNNING
from ..db.models import Models
from ..db.sql import read_clock


@dataclass(frozen=True)
class Applying:
    """A job that applies settings to all images of an instance.

    :param state: ``"queued"`` or ``"running"``.
    :param share: share of the images that are done, from 0 to 1.
    :param seconds: age of the job.
    """

    instance: str
    state: str
    share: float
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the end; ``None`` before any progress."""
        if not self.share:
            return None
        return self.seconds * (1 - self.share) / self.share


def applying(
    session: Session, models: Models, instance: str | None, most: int
) -> Sequence[Applying]:
    """Return the live jobs that apply settings, by descending progress.

    :param instance: the instance of the jobs; ``None`` for all.
    :param most: maximum number of jobs.
    """
    job, asset = models.job.__table__, models.asset.__table__
    where = [job.c.asset_type == RULES_TYPE]
    if instance is not None:
        where.append(job.c.asset_id == instance)
    rows = session.execute(
        select(job.c.instance, job.c.state, job.c.done_to, job.c.created_at)
        .where(*where, job.c.state.in_((QUEUED, RUNNING)))
        .order_by(func.coalesce(job.c.done_to, 0).desc(), job.c.id)
        .limit(most)
    ).all()
    if not rows:
        return []
    # An estimate: the job goes through the keys of its instance's images, which are
    # spread over the keys of all images.
    last = session.execute(select(func.max(asset.c.id))).scalar() or 0
    now = read_clock(session)
    return [
        Applying(
            row.instance,
            row.state,
            min(1.0, (row.done_to or 0) / last) if last else 0.0,
            max(0.0, now - row.created_at),
        )
        for row in rows
    ]
