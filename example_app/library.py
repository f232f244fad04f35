"""Photos: finding them by their tags, adding and deleting them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask_sqlalchemy.pagination import Pagination
from sqlalchemy import Select, false, select
from werkzeug.datastructures import FileStorage

from flask_autotag import AppliedTag, TagCount

from . import uploads
from .models import Photo, User, db
from .tagging import announce, autotag
from .uploads import UploadError, title_of_upload

#: Tags that can be filtered by at the same time.
MOST_TAGS = 8
#: Photos, the latest ones, among which those that share most tags are looked for.
_CANDIDATES = 200
#: How many of them are shown.
_SIMILAR = 6


@dataclass(frozen=True)
class Shown:
    """A photo as pages show it: with its tags, those of people and surest first."""

    photo: Photo
    tags: Sequence[AppliedTag]


@dataclass(frozen=True)
class Refused:
    """A file that was not accepted, and why."""

    name: str
    sentence: str


@dataclass(frozen=True)
class Neighbours:
    """The photos before and after one, in the order of the gallery."""

    previous: Photo | None
    next: Photo | None


def page_of(instance: str, tags: Sequence[str], size: int) -> Pagination:
    """Give the page of the gallery that the request asks for.

    :param tags: what each photo must have.
    """
    return db.paginate(
        _photos(instance, tags).order_by(Photo.id.desc()),
        per_page=size,
        max_per_page=size,
    )


def with_tags(photos: Iterable[Photo]) -> list[Shown]:
    """Look up the tags of photos, in one query."""
    listed = list(photos)
    tags = autotag.preload(listed)
    return [Shown(photo, tags[photo]) for photo in listed]


def tag_counts(instance: str, tags: Sequence[str], limit: int) -> list[TagCount]:
    """Count the tags of the photos that have *tags*, the most frequent first."""
    within = _photos(instance, tags) if tags else None
    return autotag.tag_counts(instance, limit, within)


def similar(photo: Photo, tags: Iterable[AppliedTag]) -> list[Photo]:
    """Find the photos that share most tags with one, of equals the latest."""
    names = {tag.name for tag in tags}
    if not names:
        return []
    sharing = (
        autotag.select(Photo, any_of=names, instance=photo.instance)
        .where(Photo.instance == photo.instance, Photo.id != photo.id)
        .order_by(Photo.id.desc())
        .limit(_CANDIDATES)
    )
    shown = with_tags(db.session.scalars(sharing))
    shown.sort(key=lambda one: -len(names & {tag.name for tag in one.tags}))
    return [one.photo for one in shown[:_SIMILAR]]


def find(instance: str, ids: Iterable[int]) -> list[Photo]:
    """Find photos of an instance by their keys."""
    statement = select(Photo).where(Photo.instance == instance, Photo.id.in_(ids))
    return list(db.session.scalars(statement))


def neighbours(photo: Photo, tags: Sequence[str]) -> Neighbours:
    """Find the photos beside one, among those that have *tags*."""
    photos = _photos(photo.instance, tags).limit(1)
    newer = photos.where(Photo.id > photo.id).order_by(Photo.id)
    older = photos.where(Photo.id < photo.id).order_by(Photo.id.desc())
    return Neighbours(db.session.scalar(newer), db.session.scalar(older))


def add_photos(
    files: Iterable[FileStorage], instance: str, uploader: User
) -> tuple[list[Photo], list[Refused]]:
    """Save uploaded files and have them tagged. A bad file does not cost the others.

    :return: the photos, and the files that were not accepted.
    """
    kept, refused = _keep(files)
    photos = [
        Photo(instance=instance, title=title, filename=filename, uploader=uploader)
        for title, filename in kept
    ]
    save_photos(photos)
    return photos, refused


def save_photos(photos: Sequence[Photo]) -> None:
    """Save photos, whose files are in place, and announce them; all or none."""
    try:
        db.session.add_all(photos)
        db.session.flush()
        for photo in photos:
            announce(photo)
        db.session.commit()
    except BaseException:
        db.session.rollback()
        for photo in photos:
            uploads.discard(photo.filename)
        raise


def delete_photo(photo: Photo) -> None:
    """Delete a photo, its tags and its file."""
    filename = photo.filename
    db.session.delete(photo)
    # It joins the transaction: row and tags go together.
    autotag.forget(photo)
    db.session.commit()
    uploads.discard(filename)


def _photos(instance: str, tags: Sequence[str]) -> Select[Any]:
    """Select the photos of an instance that have all of *tags*."""
    try:
        tagged = autotag.select(Photo, all_of=tags, instance=instance)
    except ValueError:
        # Somebody typed into the address what cannot be the name of any tag.
        return select(Photo).where(false())
    return tagged.where(Photo.instance == instance)


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
