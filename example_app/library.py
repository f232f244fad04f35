"""Photos: finding, adding and deleting them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask_sqlalchemy.pagination import Pagination
from sqlalchemy import Select
from werkzeug.datastructures import FileStorage

from . import (
    tagging,
    uploads,
)
from .models import Photo, User, db
from .uploads import UploadError, title_of_upload


@dataclass(frozen=True)
class Refused:
    """A file that was refused, with the reason."""

    name: str
    sentence: str


@dataclass(frozen=True)
class Neighbours:
    """The photos before and after one, in the order of the gallery."""

    previous: Photo | None
    next: Photo | None


def page_of(photos: Select[Any], size: int) -> Pagination:
    """Return the requested page of photos, newest first."""
    return db.paginate(
        photos.order_by(Photo.id.desc()), per_page=size, max_per_page=size
    )


def neighbours(photo: Photo, photos: Select[Any]) -> Neighbours:
    """Return the photos before and after *photo* among *photos*."""
    newer = photos.where(Photo.id > photo.id).order_by(Photo.id).limit(1)
    older = photos.where(Photo.id < photo.id).order_by(Photo.id.desc()).limit(1)
    return Neighbours(db.session.scalar(newer), db.session.scalar(older))


def add_photos(
    files: Iterable[FileStorage], instance: str, uploader: User
) -> tuple[list[Photo], list[Refused]]:
    """Save uploaded files. An invalid file does not affect the others.

    :return: the photos, and the refused files.
    """
    kept, refused = _keep(files)
    photos = [
        Photo(instance=instance, title=title, filename=filename, uploader=uploader)
        for title, filename in kept
    ]
    save_photos(photos)
    return photos, refused


def save_photos(photos: Sequence[Photo]) -> None:
    """Save photos whose files are stored already; all or none."""
    try:
        for photo in photos:
            db.session.add(photo)
            tagging.announce(photo)
        db.session.commit()
    except BaseException:
        db.session.rollback()
        for photo in photos:
            uploads.discard(photo.filename)
        raise


def delete_photo(photo: Photo) -> None:
    """Delete a photo and its file."""
    filename = photo.filename
    db.session.delete(photo)
    tagging.autotag.forget(photo)
    db.session.commit()
    uploads.discard(filename)


def _keep(
    files: Iterable[FileStorage],
) -> tuple[list[tuple[str, str]], list[Refused]]:
    kept: list[tuple[str, str]] = []
    refused: list[Refused] = []
    for file in files:
        title = title_of_upload(file)
        try:
            kept.append((title, uploads.keep_upload(file)))
        except UploadError as error:
            refused.append(Refused(title, str(error)))
    return kept, refused
