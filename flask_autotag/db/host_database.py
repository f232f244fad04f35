"""Finds the database of an application: the host's, or a file of our own."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData

from ..errors import ConfigurationError
from .database import Database, HostDatabase, OwnDatabase
from .host_writes import track_writes
from .models import Models, create_models, models_of

if TYPE_CHECKING:
    from flask import Flask


def find_database(app: Flask, db: Any, models: Models | None) -> Database:
    """Return the database that holds the tables of an application.

    :param db: the host's extension object; by default the one on the application.
    :param models: by default those of the metadata of *db*.
    :raises ConfigurationError: if *db* is not initialised for *app*, or has no
        metadata.
    """
    db = db or app.extensions.get("sqlalchemy")
    if db is None:
        path = os.path.join(app.instance_path, "autotag.sqlite")
        if models is not None:
            return OwnDatabase(path, models)
        return OwnDatabase(path, create_models(MetaData()), _refuse_late(app))
    database = HostDatabase(db, models or models_of(_metadata(db)))
    try:
        with app.app_context():
            track_writes(database.engine)
    except (KeyError, RuntimeError) as error:
        raise ConfigurationError(
            "The database is not set up for this app yet: call db.init_app(app) before"
            " AutoTag.init_app(app)."
        ) from error
    return database


def _refuse_late(app: Flask) -> Callable[[], None]:
    """Return a check that refuses our own file if the host has a database after all."""
    held = weakref.ref(app)

    def check() -> None:
        late = held()
        if late is not None and "sqlalchemy" in late.extensions:
            raise ConfigurationError(
                "SQLAlchemy was initialised for this app after AutoTag, which therefore"
                " knows nothing of the host's database: call AutoTag(app) or"
                " autotag.init_app(app) after db.init_app(app)."
            )

    return check


def _metadata(db: Any) -> MetaData:
    metadata = getattr(db, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise ConfigurationError(
            f"{type(db).__name__} has no metadata to put the tables on: pass"
            " AutoTag(models=create_models(Base.metadata))."
        )
    return metadata
