"""Deletes what is stored under the name of an asset, in the caller's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, bindparam, exists, select

from ..db.models import Models
from ..host.assets import AssetRef
from ..tags import store
from ..tags.asset_rows import NAME_COLUMNS
from . import queue


def forget(
    connection: Connection, models: Models, asset: AssetRef, instance: str
) -> None:
    """Delete the jobs, predictions, tags and decisions of an asset of an instance."""
    queue.forget(connection, models, asset, instance)
    store.forget(connection, models, asset, instance)


def forget_former(
    connection: Connection, models: Models, asset: AssetRef, instance: str
) -> None:
    """Forget the former image of a new row's key: one SELECT if there is none.

    The caller's transaction has written before, or called :func:`.lock_writers`.
    """
    name = dict(zip(NAME_COLUMNS, (instance, asset.type, asset.id), strict=True))
    found = connection.execute(models.statement(_look_up), name).one()
    # A DELETE that finds no row would lock out uploads on MariaDB.
    if found.has_jobs:
        queue.forget(connection, models, asset, instance)
    if found.has_row:
        store.forget(connection, models, asset, instance)


def _look_up(models: Models) -> Select[Any]:
    """Return the statement that looks for jobs and for a row of an asset."""
    columns: list[Any] = [
        exists()
        .where(*(table.c[name] == bindparam(name) for name in NAME_COLUMNS))
        .label(label)
        for label, table in (
            ("has_jobs", models.job.__table__),
            ("has_row", models.asset.__table__),
        )
    ]
    return select(*columns)
