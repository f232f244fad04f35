"""How far the tagging of assets is, as host code reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final, Literal

from sqlalchemy import Double, Row, Select, Text, null, select, type_coerce, union_all
from sqlalchemy.orm import Session

from .assets import AssetRef, ByAsset
from .jobs.queue import DONE, FAILED, QUARANTINED, QUEUED, RUNNING, TAG
from .models import Models
from .query import named

#: How far it is; a failure is called as in :mod:`.jobs.queue`.
PENDING: Final = "pending"
TAGGED: Final = "tagged"
UNTAGGED: Final = "untagged"


@dataclass(frozen=True)
class Progress:
    """How far the tagging of an asset is.

    :param state: ``"pending"`` while a job waits or runs; ``"tagged"`` once it was
        classified, with whatever result; ``"failed"`` if that did not work the last
        time and is not tried again; ``"untagged"`` if there is neither.
    :param error: what went wrong last, a sentence for an administrator; ``None`` if
        nothing did. While a job is pending, it is why the job is tried again.
    """

    state: Literal["pending", "tagged", "failed", "untagged"]
    error: str | None = None


def progress(
    session: Session, models: Models, assets: Iterable[AssetRef], instance: str | None
) -> ByAsset[Progress]:
    """Tell how far several assets are, in one query."""
    refs = tuple(dict.fromkeys(assets))
    if not refs:
        return ByAsset({})
    rows = defaultdict[AssetRef, list[Row[Any]]](list)
    for row in session.execute(_rows(models, refs, instance)):
        rows[AssetRef(row.asset_type, row.asset_id)].append(row)
    return ByAsset({ref: _sum_up(rows[ref]) for ref in refs})


def _rows(models: Models, refs: Sequence[AssetRef], instance: str | None) -> Any:
    """Select the jobs of assets that are not done, and when each was tagged."""
    job, asset = models.job, models.asset
    jobs: Select[Any] = select(
        job.asset_type,
        job.asset_id,
        job.state,
        job.error_text,
        job.finished_at,
        type_coerce(null(), asset.__table__.c.tagged_at.type).label("tagged_at"),
    ).where(job.kind == TAG, job.state != DONE, named(job, refs))
    assets: Select[Any] = select(
        asset.asset_type,
        asset.asset_id,
        null(),
        type_coerce(null(), Text),
        type_coerce(null(), Double),
        asset.tagged_at,
    ).where(asset.tagged_at.is_not(None), named(asset, refs))
    if instance is not None:
        jobs = jobs.where(job.instance == instance)
        assets = assets.where(asset.instance == instance)
    return union_all(jobs, assets)


def _sum_up(rows: Sequence[Row[Any]]) -> Progress:
    """Join the jobs of one asset, and when it was tagged."""
    jobs = [row for row in rows if row.state is not None]
    for job in jobs:
        if job.state in (QUEUED, RUNNING):
            return Progress(PENDING, job.error_text)
    tagged_at = max(map(_tagged_at, rows), default=0.0)
    ended = sorted(jobs, key=lambda job: job.finished_at)
    failed = [job for job in ended if job.state in (FAILED, QUARANTINED)]
    if failed and failed[-1].finished_at > tagged_at:
        return Progress(FAILED, failed[-1].error_text)
    if tagged_at:
        return Progress(TAGGED)
    return Progress(UNTAGGED, ended[-1].error_text if ended else None)


def _tagged_at(row: Row[Any]) -> float:
    """Give the seconds since the epoch; 0 if the row does not tell."""
    return row.tagged_at.replace(tzinfo=UTC).timestamp() if row.tagged_at else 0.0
