"""The result of an image's latest job, which explains why it has no tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ...db.job_states import CANCELLED, FAILED, QUARANTINED, QUEUED, RUNNING, TAG
from ...db.models import Models
from ...host.assets import AssetRef
from ..asset_rows import is_of
from ..explanation import untranslated

#: The sentence for each state in which a job has not classified its image.
JOB_STATES: Mapping[str, str] = {
    QUEUED: "It is waiting to be classified.",
    RUNNING: "It is being classified now.",
    FAILED: "It could not be classified.",
    QUARANTINED: "It is in quarantine: it crashed the process that classified it"
    " several times, and is not tried again until somebody retries it.",
    CANCELLED: "It was not classified.",
}
#: The number of tries.
ONCE, OFTEN = "It was tried once.", "It was tried %(number)s times."


@dataclass(frozen=True)
class LatestJob:
    """The latest job of an image in one instance.

    :param state: one of :mod:`.job_states`.
    :param text: the last error, as a sentence for administrators; or empty.
    :param tries: number of failures and crashes.
    :param moment: when the job ended, or was created if it has not ended; in UTC.
    """

    state: str
    text: str
    tries: int
    moment: datetime

    def sentences(self, translate: Callable[..., str] = untranslated) -> list[str]:
        """Return the result as sentences; none if the job is done.

        :param translate: a ``gettext`` that fills in placeholders.
        """
        if self.state not in JOB_STATES:
            return []
        sentences = [translate(JOB_STATES[self.state]), self.text]
        if self.tries:
            sentences.append(
                translate(ONCE if self.tries == 1 else OFTEN, number=self.tries)
            )
        return [sentence for sentence in sentences if sentence]


def latest_job(
    session: Session, models: Models, asset: AssetRef, instance: str
) -> LatestJob | None:
    """Return the latest job of an image; ``None`` if it has none, or it was purged."""
    table = models.job.__table__
    row = session.execute(
        select(table)
        .where(is_of(table, asset, instance), table.c.kind == TAG)
        .order_by(table.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    # ``failures`` does not include the try that ended the job.
    tries = row.failures + row.crashes + int(row.state == FAILED)
    moment = datetime.fromtimestamp(row.finished_at or row.created_at, UTC)
    return LatestJob(row.state, row.error_text or "", tries, moment)
