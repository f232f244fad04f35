"""The instances that know an image, and the one that a caller means."""

from __future__ import annotations

from sqlalchemy import Connection, select, union
from sqlalchemy.orm import Session

from ...db.job_states import TAG
from ...db.models import Models
from ...errors import AssetError
from ...host.assets import DEFAULT_INSTANCE, AssetRef
from ..asset_rows import find_row, is_of


def instances_of(
    session: Session | Connection, models: Models, asset: AssetRef
) -> list[str]:
    """List the instances with a row or a job of an asset."""
    rows, jobs = models.asset.__table__, models.job.__table__
    of_rows = select(rows.c.instance).where(
        rows.c.asset_type == asset.type, rows.c.asset_id == asset.id
    )
    of_jobs = select(jobs.c.instance).where(
        jobs.c.asset_type == asset.type,
        jobs.c.asset_id == asset.id,
        jobs.c.kind == TAG,
    )
    return sorted(session.execute(union(of_rows, of_jobs)).scalars())


def is_known(session: Session, models: Models, asset: AssetRef, instance: str) -> bool:
    """Whether the instance has a row or a job of an asset."""
    if find_row(session, models, asset, instance) is not None:
        return True
    job = models.job.__table__
    jobs = select(job.c.id).where(is_of(job, asset, instance), job.c.kind == TAG)
    return session.scalar(jobs.limit(1)) is not None


def resolve_instance(
    session: Session | Connection, models: Models, asset: AssetRef, usual: str | None
) -> str:
    """Find the instance of an asset if the caller names none.

    :param usual: returned if it knows the asset or no instance does. If only one other
        instance knows the asset, that one is returned. ``None`` stands for
        :data:`.DEFAULT_INSTANCE` where no instance knows the asset.
    :raises AssetError: if several others know it.
    """
    known = instances_of(session, models, asset)
    if not known or usual in known:
        return usual or DEFAULT_INSTANCE
    if len(known) == 1:
        return known[0]
    others = "" if usual is None else f", and not of {usual}"
    raise AssetError(
        f"{asset} is an image of {', '.join(known)}{others}. Pass one of them as"
        " the argument instance."
    )
