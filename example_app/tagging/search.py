"""Finding photos: by the tags in the URL, and photos similar to one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import request
from sqlalchemy import Select, false

from flask_autotag import AppliedTag, TagCount

from ..models import Photo, db
from .extension import autotag

#: Tags in one filter.
MOST_TAGS = 8
#: Tags that the gallery offers as filters, the most used ones.
OFFERED_TAGS = 40
#: Tags are counted on this number of the latest photos, so that the time of a page does
#: not grow with the number of photos.
COUNTED = 1000
#: Similar photos are searched among this number of the latest photos.
_CANDIDATES = 200
#: Similar photos that are shown.
_SIMILAR = 6
#: Pages that show the filtered photos, or one of them.
_PAGES = ("photos.gallery", "photos.photo", "photos.delete")


def chosen_tags() -> list[str]:
    """Return the tags in the URL, each once."""
    names = (" ".join(name.split()) for name in request.args.getlist("tag"))
    chosen = {name.casefold(): name for name in names if name}
    return list(chosen.values())[:MOST_TAGS]


def keep_chosen(endpoint: str, values: dict[str, Any]) -> None:
    """Keep the filter in links between pages.

    A link that names an instance leads to all of its photos.
    """
    if endpoint in _PAGES and "instance" not in values:
        values.setdefault("tag", chosen_tags())


def narrowed(photos: Select[Any], instance: str) -> Select[Any]:
    """Restrict the photos of an instance to those with all chosen tags."""
    try:
        has_tags = autotag.tagged(Photo, all_of=chosen_tags(), instance=instance)
    except ValueError:
        # The URL contains text that cannot be the name of a tag.
        return photos.where(false())
    return photos.where(has_tags)


def offered_tags(instance: str) -> list[TagCount]:
    """Count the tags of the filtered photos, the most frequent first.

    If tags are chosen, only the latest :data:`COUNTED` of these photos count.
    """
    if not chosen_tags():
        return autotag.tag_counts(instance, OFFERED_TAGS)
    left = narrowed(Photo.of(instance), instance)
    latest = left.order_by(Photo.id.desc()).limit(COUNTED)
    return autotag.tag_counts(instance, OFFERED_TAGS, latest)


def similar(photo: Photo, tags: Iterable[AppliedTag]) -> list[Photo]:
    """Return the photos that share most tags with one; among equals, the latest."""
    names = {tag.name for tag in tags}
    if not names:
        return []
    sharing = (
        autotag.select(Photo, any_of=names, instance=photo.instance)
        .where(Photo.instance == photo.instance, Photo.id != photo.id)
        .order_by(Photo.id.desc())
        .limit(_CANDIDATES)
    )
    found = list(db.session.scalars(sharing))
    theirs = autotag.preload(found)
    found.sort(key=lambda one: -len(names & {tag.name for tag in theirs[one]}))
    return found[:_SIMILAR]
