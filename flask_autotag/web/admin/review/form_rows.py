"""The rows of the images that a form on a page of the host names."""

from __future__ import annotations

import logging
from collections.abc import Collection

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ....db.database import Database
from ....db.errors import is_transient
from ....host.assets import AssetRef
from ....tags.asset_rows import ensure_assets, find_rows

logger = logging.getLogger(__name__)

#: Seconds that a page waits for a busy database to insert the rows of images.
_PATIENCE = 0.5


def form_rows(
    database: Database, instance: str, assets: Collection[AssetRef]
) -> dict[AssetRef, int]:
    """Return the keys of the rows of images, and insert those that are missing.

    :return: without the missing ones if the database is too busy for the insert.
    """
    with database.reading() as session:
        rows = find_rows(session, database.models, assets, instance)
    missing = [asset for asset in assets if asset not in rows]
    return rows | (make_rows(database, instance, missing) if missing else {})


def make_rows(
    database: Database, instance: str, assets: Collection[AssetRef]
) -> dict[AssetRef, int]:
    """Insert rows, in the host's transaction if that has uncommitted writes.

    :return: the keys of the rows; empty if the database is too busy for the insert.
    """

    def make(connection: Connection) -> dict[AssetRef, int]:
        rows = ensure_assets(connection, database.models, instance, assets)
        return {asset: row for row, asset in rows.items()}

    of_host = database.writing_connection(database.host_session())
    if of_host is not None:
        return make(of_host)
    try:
        return database.transact(lambda session: make(session.connection()), _PATIENCE)
    except (DBAPIError, PoolTimeout) as error:
        if not is_transient(error):
            raise
        logger.warning(
            "The form for the tags of %s was left out: the database is busy (%s).",
            *(", ".join(map(str, assets)), type(error).__name__),
        )
        return {}
