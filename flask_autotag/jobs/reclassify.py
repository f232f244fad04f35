"""Finding the images of known assets once more, to classify them again."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from sqlalchemy import ColumnElement, Connection, Table, func, select
from sqlalchemy.orm import Session

from ..db.models import Models
from ..host.assets import AssetRef
from ..host.image_source import Captured, capture
from ..runtime.state import State
from ..tags.asset_rows import is_named
from .image_loading import unknown_image
from .queue import Intent

#: Stands for the content of an image that is read by its worker only: one live job an
#: asset is enough.
UNREAD = "unread"

#: Instance and asset.
Key = tuple[str, AssetRef]


def last_path(
    session: Session | Connection, models: Models, asset: AssetRef, instance: str
) -> str | None:
    """Return the file that an asset was last uploaded from; see :func:`last_paths`."""
    key = (instance, asset)
    return last_paths(session, models, [key]).get(key)


def last_paths(
    session: Session | Connection, models: Models, keys: Collection[Key]
) -> dict[Key, str]:
    """Return the files that assets were last uploaded from, in one query.

    Jobs keep the path until they are purged. A file of another instance that has an
    asset of the same name is never returned.

    :return: absolute paths; assets without a readable file are left out.
    """
    if not keys:
        return {}
    job = models.job.__table__
    latest = (
        select(func.max(job.c.id).label("id"))
        .where(among(job, keys))
        .group_by(job.c.instance, job.c.asset_type, job.c.asset_id)
        .subquery()
    )
    rows = session.execute(
        select(job.c.instance, job.c.asset_type, job.c.asset_id, job.c.path)
        .join(latest, job.c.id == latest.c.id)
        .where(job.c.path.is_not(None))
    )
    paths = {
        (row.instance, AssetRef(row.asset_type, row.asset_id)): row.path for row in rows
    }
    return {
        key: paths[key]
        for key in keys
        if key in paths and os.access(paths[key], os.R_OK)
    }


def among(table: Table, keys: Collection[Key]) -> ColumnElement[bool]:
    """Return the condition of :func:`.is_named` for the rows of *keys*."""
    return is_named(table, [(instance, each.type, each.id) for instance, each in keys])


def source_paths(
    session: Session | Connection, state: State, keys: Collection[Key]
) -> dict[Key, str | None]:
    """Find where workers can read the images of known assets again, in one query.

    :return: the file; ``None`` if the host's own code loads the image. Assets whose
        image cannot be found are left out.
    """
    loadable = {key for key in keys if state.hooks.can_load(key[1].type)}
    stored = last_paths(session, state.database.models, set(keys) - loadable)
    return {**dict.fromkeys(loadable), **stored}


def require_path(paths: Mapping[Key, str | None], key: Key) -> str | None:
    """Look up an asset in the answer of :func:`source_paths`.

    :raises ImageMissing: if its image cannot be found.
    """
    if key not in paths:
        raise unknown_image(key[1])
    return paths[key]


def make_intent(state: State, paths: Mapping[Key, str | None], key: Key) -> Intent:
    """Make the intent to classify a known asset again.

    :param paths: the answer of :func:`source_paths`.
    :raises ImageMissing: if its image cannot be found.
    """
    path = require_path(paths, key)
    if path is None:
        image = Captured(content=UNREAD)
    else:
        image = capture(path, loadable=False, most=state.config.max_image_bytes)
    return Intent(key[1], key[0], image)


def intent_again(
    session: Session | Connection, state: State, asset: AssetRef, instance: str
) -> Intent:
    """Make the intent to classify one known asset again.

    :raises ImageMissing: if its image cannot be found.
    """
    key = (instance, asset)
    return make_intent(state, source_paths(session, state, [key]), key)
