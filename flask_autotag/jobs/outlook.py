"""How far the jobs are that apply settings, and how long they still take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..database import read_clock
from ..models import Models
from .queue import QUEUED, RULES_TYPE, RUNNING


@dataclass(frozen=True)
class Applying:
    """A job that applies settings to all images of an instance.

    :param state: ``"queued"`` or ``"running"``.
    :param share: of the images that it has gone over, from 0 to 1.
    :param seconds: for which it has been there.
    """

    instance: str
    state: str
    share: float
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """How long it takes if it goes on as before; ``None`` if nobody can tell."""
        if not self.share:
            return None
        return self.seconds * (1 - self.share) / self.share


def applying(
    session: Session, models: Models, instance: str | None, most: int
) -> Sequence[Applying]:
    """List the jobs that apply settings, those that are farthest first.

    :param instance: of one tenant; ``None`` for all.
    :param most: how many are listed.
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
    # It goes over the images of all instances by their keys, and passes over others.
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
