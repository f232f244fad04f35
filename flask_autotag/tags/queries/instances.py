"""The instances that know an image, and the one that a caller means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import CompoundSelect, Connection, select, union
from sqlalchemy.orm import Session

from ...db.job_states import TAG
from ...db.models import Models
from ...db.sql import in_batches
from ...errors import AssetError
from ...host.assets import DEFAULT_INSTANCE, AssetRef
from ..asset_rows import find_row, is_of
from .applied_tags import is_about


def instances_of(
    session: Session | Connection, models: Models, assets: Iterable[AssetRef]
) -> dict[AssetRef, list[str]]:
    """List the instances with a row or a job of each asset, by batches of assets."""
    known: dict[AssetRef, list[str]] = {asset: [] for asset in assets}
    for some in in_batches(known):
        for row in session.execute(_rows_and_jobs(models, some)):
            asset = AssetRef(row.asset_type, row.asset_id)
            # MariaDB ignores spaces at the end of an id.
            if asset in known:
                known[asset].append(row.instance)
    return known


def known_in(
    connection: Connection, models: Models, assets: Iterable[AssetRef], instance: str
) -> list[AssetRef]:
    """Return those of some assets of which an instance has a row or a job.

    Each is returned once, in the order in which they are passed.
    """
    wanted, known = dict.fromkeys(assets), set[AssetRef]()
    for some in in_batches(wanted):
        rows = connection.execute(_rows_and_jobs(models, some, instance))
        known |= {AssetRef(row.asset_type, row.asset_id) for row in rows}
    return [asset for asset in wanted if asset in known]


def _rows_and_jobs(
    models: Models, assets: Sequence[AssetRef], instance: str | None = None
) -> CompoundSelect[Any]:
    """Select the instances and names of all rows and jobs of some assets.

    :param instance: only this instance; ``None`` for all.
    """
    rows, jobs = models.asset.__table__, models.job.__table__
    return union(
        *(
            select(table.c.instance, table.c.asset_type, table.c.asset_id).where(
                is_about(table.c, assets),
                *only,
                *(() if instance is None else (table.c.instance == instance,)),
            )
            for table, only in ((rows, ()), (jobs, (jobs.c.kind == TAG,)))
        )
    )


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

    See :func:`choose_instance` for the parameters and the error.
    """
    return choose_instance(asset, instances_of(session, models, [asset])[asset], usual)


def choose_instance(asset: AssetRef, known: Sequence[str], usual: str | None) -> str:
    """Choose the instance of an asset if the caller names none.

    :param known: the instances that know the asset, from :func:`instances_of`.
    :param usual: returned if it knows the asset or no instance does. If only one other
        instance knows the asset, that one is returned. ``None`` stands for
        :data:`.DEFAULT_INSTANCE` where no instance knows the asset.
    :raises AssetError: if several others know it.
    """
    if not known or usual in known:
        return usual or DEFAULT_INSTANCE
    if len(known) == 1:
        return known[0]
    others = "" if usual is None else f", and not of {usual}"
    raise AssetError(
        f"{asset} is an image of {', '.join(sorted(known))}{others}. Pass one of them"
        " as the argument instance."
    )
