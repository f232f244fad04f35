"""How a worker finds the image of a job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from ..assets import AssetRef, decode_key
from ..database import Database
from ..errors import ImageMissing, LoaderError, TaggingError
from ..hooks import Watch
from ..sources import read
from ..state import State
from . import queue
from .queue import Job


def load(state: State, job: Job) -> bytes:
    """Read the image of a job: what travelled with it, its path, or by the host's code.

    Call it in an application context of its own, and leave that before anything
    slow: the host's loader may have left its session in a transaction.

    :raises ImageMissing: if there is none any more.
    :raises LoaderError: if the host's code raised.
    """
    data = queue.read_data(state.database, job) if job.path is None else None
    if data is not None:
        return data
    if job.path is not None:
        try:
            return read(job.path, state.config.max_image_bytes)
        except ImageMissing:
            if not state.hooks.can_load(job.asset.type):
                raise
    return load_asset(state, job.asset)


def load_asset(state: State, asset: AssetRef) -> bytes:
    """Read the image of an asset by the host's own code.

    :raises ImageMissing: if the host says that it is gone, or has no such code.
    :raises LoaderError: if the host's code raised anything but ``LookupError``.
    """
    try:
        return _load_by_host(state, asset)
    except TaggingError:
        raise
    except LookupError:
        raise ImageMissing(f"The application says that {asset} is gone.") from None
    except Exception as error:
        raise LoaderError(
            f"{_loader_of(state, asset)} raised {type(error).__name__}."
        ) from error


def _loader_of(state: State, asset: AssetRef) -> str:
    watch = state.hooks.watches.get(asset.type)
    if watch is None:
        return "The application's image loader"
    return f"The function of the watched model {watch.model.__name__} for its image"


def _load_by_host(state: State, asset: AssetRef) -> bytes:
    most = state.config.max_image_bytes
    watch = state.hooks.watches.get(asset.type)
    if watch is not None:
        return _load_watched(state, watch, asset, most)
    loader = state.hooks.image_loader
    if loader is not None:
        # As a function, for what that opens is closed.
        return read(lambda: loader(asset), most)
    raise ImageMissing(
        f"Nothing tells where the image of {asset} is: register an image_loader."
    )


def _load_watched(state: State, watch: Watch, asset: AssetRef, most: int) -> bytes:
    key: Any = decode_key(inspect(watch.model), asset.id)
    with session_for_objects(state.database) as session:
        found = session.get(watch.model, key)
        if found is None:
            raise LookupError(asset)
        return read(lambda: watch.image(found), most)


@contextlib.contextmanager
def session_for_objects(database: Database) -> Iterator[Session]:
    """Give a session that finds objects of the host's models, for the block.

    It is the host's, where it has one, and ends with the application context.
    """
    session = database.host_session()
    if session is not None:
        yield session
    else:
        with Session(database.engine) as own:
            yield own
