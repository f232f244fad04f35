"""The progress of tagging, for host code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final, Literal

from sqlalchemy import (
    Connection,
    Double,
    Row,
    Select,
    Text,
    null,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import Session

from ...db.job_states import DONE, FAILED, QUARANTINED, QUEUED, RUNNING, TAG
from ...db.models import Models
from ...db.sql import in_batches
from ...host.assets import AssetRef, ByAsset
from ...host.images import assets_of_images
from .applied_tags import is_about

#: The states besides :data:`.job_states.FAILED`.
PENDING: Final = "pending"
TAGGED: Final = "tagged"
UNTAGGED: Final = "untagged"
#: The state of an asset is the first of these that one of its images has.
_ORDER = (PENDING, FAILED, TAGGED, UNTAGGED)


@dataclass(frozen=True)
class Progress:
    """The progress of tagging one asset.

    :param state: ``"pending"`` while a job waits or runs; ``"tagged"`` once the asset
        was classified, whatever the result; ``"failed"`` if the last job failed and is
        not tried again; ``"untagged"`` in all other cases.
        An asset with several images is ``"pending"`` while one of them is, then
        ``"failed"`` if one of them failed, then ``"tagged"`` if one of them was.
    :param error: the last error as a sentence for an administrator; ``None`` if there
        was none. While a job is pending, it is why the job is tried again.
    """

    state: Literal["pending", "tagged", "failed", "untagged"]
    error: str | None = None


def progress(
    session: Session | Connection,
    models: Models,
    images: Mapping[AssetRef, Iterable[AssetRef]],
    instance: str | None,
) -> ByAsset[Progress]:
    """Return the progress of several assets, with one query for each batch of them.

    :param images: the images of each asset.
    """
    rows = defaultdict[AssetRef, list[Row[Any]]](list)
    for some in in_batches(assets_of_images(images)):
        for row in session.execute(_rows(models, some, instance)):
            rows[AssetRef(row.asset_type, row.asset_id)].append(row)
    return ByAsset(
        {
            asset: _of_all(_sum_up(rows[image]) for image in of_asset)
            for asset, of_asset in images.items()
        }
    )


def _of_all(images: Iterable[Progress]) -> Progress:
    """Return the progress of an asset from that of its images."""
    return min(images, key=lambda each: (_ORDER.index(each.state), each.error is None))


def _rows(models: Models, refs: Sequence[AssetRef], instance: str | None) -> Any:
    """Select the unfinished and failed jobs of assets, and when each was tagged."""
    job, asset = models.job, models.asset
    jobs: Select[Any] = select(
        job.asset_type,
        job.asset_id,
        job.state,
        job.error_text,
        job.finished_at,
        type_coerce(null(), asset.__table__.c.tagged_at.type).label("tagged_at"),
    ).where(job.kind == TAG, job.state != DONE, is_about(job, refs))
    assets: Select[Any] = select(
        asset.asset_type,
        asset.asset_id,
        null(),
        type_coerce(null(), Text),
        type_coerce(null(), Double),
        asset.tagged_at,
    ).where(asset.tagged_at.is_not(None), is_about(asset, refs))
    if instance is not None:
        jobs = jobs.where(job.instance == instance)
        assets = assets.where(asset.instance == instance)
    return union_all(jobs, assets)


def _sum_up(rows: Sequence[Row[Any]]) -> Progress:
    """Derive the progress of one asset from its rows."""
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
    """Return the seconds since 1970; 0 if the row has no time."""
    return row.tagged_at.replace(tzinfo=UTC).timestamp() if row.tagged_at else 0.0
