"""What the latest job of an image came to, for whoever asks why it has no tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from .assets import AssetRef
from .explain import in_english
from .jobs.queue import CANCELLED, FAILED, QUARANTINED, QUEUED, RUNNING, TAG
from .models import Models

#: What is told of a job that is not done.
JOB_STATES: Mapping[str, str] = {
    QUEUED: "It waits to be classified.",
    RUNNING: "It is being classified now.",
    FAILED: "It could not be classified.",
    QUARANTINED: "It is in quarantine: it brought down what looked at it, again and"
    " again, and is tried no more unless somebody says so.",
    CANCELLED: "It was not classified.",
}
#: How often it was tried.
ONCE, OFTEN = "It was tried once.", "It was tried %(number)s times."


@dataclass(frozen=True)
class LastJob:
    """The latest job of an image in one instance.

    :param state: one of :data:`.jobs.report.STATES`.
    :param text: what went wrong last, as a sentence for administrators; or empty.
    :param tries: how often it failed, or brought down what looked at the image.
    :param moment: when it ended, or else was made; in UTC.
    """

    state: str
    text: str
    tries: int
    moment: datetime

    def sentences(self, translate: Callable[..., str] = in_english) -> list[str]:
        """Say what it came to; nothing if that is done.

        :param translate: a ``gettext`` that fills gaps.
        """
        if self.state not in JOB_STATES:
            return []
        told = [translate(JOB_STATES[self.state]), self.text]
        if self.tries:
            told.append(
                translate(ONCE if self.tries == 1 else OFTEN, number=self.tries)
            )
        return [sentence for sentence in told if sentence]


def last_job(
    session: Session, models: Models, asset: AssetRef, instance: str
) -> LastJob | None:
    """Find the latest job of an image; ``None`` if there is none, or not any more."""
    table = models.job.__table__
    row = session.execute(
        select(table)
        .where(
            table.c.asset_type == asset.type,
            table.c.asset_id == asset.id,
            table.c.instance == instance,
            table.c.kind == TAG,
        )
        .order_by(table.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    # The try that ends it is not counted with the others.
    tries = row.failures + row.crashes + int(row.state == FAILED)
    moment = datetime.fromtimestamp(row.finished_at or row.created_at, UTC)
    return LastJob(row.state, row.error_text or "", tries, moment)
