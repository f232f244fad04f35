"""Jobs for images that are known already: to be classified once more."""

from __future__ import annotations

import os

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..assets import AssetRef
from ..errors import ImageMissing
from ..models import Models
from ..sources import Captured, capture, read
from ..state import State
from .loading import load_asset
from .queue import Intent

#: Stands for the content of an image that nobody looks at before its worker does, so
#: that one live job an asset is enough.
UNSEEN = "again"


def last_path(session: Session, models: Models, asset: AssetRef) -> str | None:
    """Find the file of an asset that came as one, if it is still there.

    Jobs remember it until they are purged.
    """
    job = models.job.__table__
    path: str | None = session.execute(
        select(job.c.path)
        .where(job.c.asset_type == asset.type, job.c.asset_id == asset.id)
        .order_by(job.c.id.desc())
        .limit(1)
    ).scalar()
    return path if path is not None and os.access(path, os.R_OK) else None


def path_again(session: Session, state: State, asset: AssetRef) -> str | None:
    """Find out where a worker can read the image of an asset once more.

    :return: the file; ``None`` if the host's own code finds the image.
    :raises ImageMissing: if nothing does.
    """
    if state.hooks.can_load(asset.type):
        return None
    path = last_path(session, state.database.models, asset)
    if path is None:
        raise ImageMissing(
            f"Nothing tells where the image of {asset} is: register an image_loader."
        )
    return path


def load_again(state: State, asset: AssetRef, path: str | None) -> bytes:
    """Read the image of an asset once more. Call it as :func:`.loading.load`.

    :param path: what :func:`path_again` gave.
    :raises TaggingError: as :func:`.loading.load` does.
    """
    if path is None:
        return load_asset(state, asset)
    return read(path, state.config.max_image_bytes)


def intent_again(
    session: Session, state: State, asset: AssetRef, instance: str
) -> Intent:
    """Say what is to be queued to classify a known asset once more.

    :raises ImageMissing: if its image cannot be read any more.
    """
    path = path_again(session, state, asset)
    if path is None:
        image = Captured(content=UNSEEN)
    else:
        image = capture(path, loadable=False, most=state.config.max_image_bytes)
    return Intent(asset, instance, image)
