"""In which instances something is known of an image, and which of them is meant."""

from __future__ import annotations

from sqlalchemy import Connection, select, union
from sqlalchemy.orm import Session

from .assets import AssetRef
from .errors import AssetError
from .jobs.queue import TAG
from .models import Models


def instances_of(
    session: Session | Connection, models: Models, asset: AssetRef
) -> list[str]:
    """List the instances that have tags or jobs of an asset, or had some."""
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


def instance_meant(
    session: Session | Connection, models: Models, asset: AssetRef, usual: str
) -> str:
    """Say which instance somebody means who names none.

    :param usual: it is this one, unless only others know the asset.
    :raises AssetError: if several others do.
    """
    known = instances_of(session, models, asset)
    if not known or usual in known:
        return usual
    if len(known) == 1:
        return known[0]
    raise AssetError(
        f"{asset} is an image of {', '.join(known)}, and not of {usual}: say which is"
        " meant, with instance=."
    )
