"""Loading the image of a job or an asset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from ..errors import ImageMissing, LoaderError, NoImage, TaggingError
from ..host.assets import AssetRef, ImageSource
from ..host.image_source import read
from ..host.keys import root_of
from ..host.sql_keys import find_object
from ..host.watches import Watch
from ..runtime.state import State
from . import queue
from .queue import Job


def load(state: State, job: Job, *, is_stored: bool) -> bytes:
    """Load the image of a job: its stored bytes, its file, or by the host's code.

    Call it in a new application context and leave that before anything slow: the host's
    loader may leave its session in a transaction.

    :param is_stored: whether its bytes are stored; see :func:`.queue.jobs_with_data`.
    :raises ImageMissing: if the image is gone.
    :raises NoImage: if the host's code returned ``None``.
    :raises LoaderError: if the host's code raised an exception.
    """
    data = queue.read_data(state.database, job) if is_stored else None
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
    """Load the image of an asset by the host's code.

    :raises ImageMissing: if the code raised ``LookupError``, or there is no such code.
    :raises NoImage: if the code returned ``None``.
    :raises LoaderError: if the code raised another exception.
    """
    watches = state.hooks.watches
    if watches.has(asset.type):
        with (
            _host_errors(asset, f"Reading the row of {asset}"),
            state.database.reading() as session,
        ):
            target = _find_target(state, session, asset)
            watch = None if target is None else watches.find(target, asset.type)
            if watch is not None:
                return _load_watched(state, watch, target, asset)
    return _load_by_loader(state, asset)


@contextmanager
def _host_errors(asset: AssetRef, what: str) -> Iterator[None]:
    """Turn the errors of the host's code into those of :func:`load_asset`."""
    try:
        yield
    except TaggingError:
        raise
    except LookupError:
        raise ImageMissing(f"The application reports that {asset} is gone.") from None
    except Exception as error:
        raise LoaderError(f"{what} raised {type(error).__name__}.") from error


def _find_target(state: State, session: Session, asset: AssetRef) -> Any:
    """Return the object of an image.

    :return: ``None`` if it may be of a class that is not watched, of a table with
        watched classes, so that the image loader has to be asked.
    :raises LookupError: if there is no object.
    """
    mappers = [inspect(model) for model in state.hooks.watches.models(asset.type)]
    for mapper in mappers:
        found = find_object(session, mapper, asset.id)
        if found is not None:
            return found
    if state.hooks.image_loader is None or root_of(mappers[0]) in mappers:
        raise LookupError(asset)
    return None


def _load_watched(state: State, watch: Watch, target: Any, asset: AssetRef) -> bytes:
    what = f"The image function of the watched model {watch.model.__name__}"
    with _host_errors(asset, what):
        return _read_found(state, asset, watch.image(target))


def _load_by_loader(state: State, asset: AssetRef) -> bytes:
    loader = state.hooks.image_loader
    if loader is None:
        raise unknown_image(asset)
    with _host_errors(asset, "The application's image loader"):
        return _read_found(state, asset, loader(asset))


def unknown_image(asset: AssetRef) -> ImageMissing:
    """Return the error for an asset with neither a loader nor a known file."""
    return ImageMissing(
        f"The image of {asset} cannot be found: register an image_loader."
    )


def _read_found(state: State, asset: AssetRef, image: ImageSource | None) -> bytes:
    """Read the image that the host's code found, and close its file."""
    if image is None:
        raise NoImage(f"The application has no image of {asset} now.")
    # Passed as a function: read() closes the file that it returns.
    return read(lambda: image, state.config.max_image_bytes)
