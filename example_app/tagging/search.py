"""Finding photos by their tags: those that an address asks for, and photos alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import request
from sqlalchemy import Select, false

from flask_autotag import AppliedTag, TagCount

from ..models import Photo, db
from .extension import autotag

#: Tags that can be filtered by at the same time.
MOST_TAGS = 8
#: Tags that the gallery offers to filter by, the most used ones.
OFFERED_TAGS = 40
#: Photos, the latest ones, whose tags are counted: a page is not to take the longer,
#: the more photos there are.
COUNTED = 1000
#: Photos, the latest ones, among which those that share most tags are looked for.
_CANDIDATES = 200
#: How many of them are shown.
_SIMILAR = 6
#: Pages that show the photos that were chosen, or one among them.
_PAGES = ("photos.gallery", "photos.photo", "photos.delete")


def chosen_tags() -> list[str]:
    """Give the tags that the address asks to filter by, each once."""
    names = (" ".join(name.split()) for name in request.args.getlist("tag"))
    chosen = {name.casefold(): name for name in names if name}
    return list(chosen.values())[:MOST_TAGS]


def keep_chosen(endpoint: str, values: dict[str, Any]) -> None:
    """Let links from page to page stay among the chosen photos.

    A link that names an instance leads to all of its photos.
    """
    if endpoint in _PAGES and "instance" not in values:
        values.setdefault("tag", chosen_tags())


def narrowed(photos: Select[Any], instance: str) -> Select[Any]:
    """Leave those of an instance's photos that have all of the chosen tags."""
    try:
        has_tags = autotag.tagged(Photo, all_of=chosen_tags(), instance=instance)
    except ValueError:
        # Somebody typed into the address what cannot be the name of any tag.
        return photos.where(false())
    return photos.where(has_tags)


def offered_tags(instance: str) -> list[TagCount]:
    """Count the tags of the photos that are left, the most frequent first.

    With tags chosen, of the latest :data:`COUNTED` of these photos.
    """
    if not chosen_tags():
        return autotag.tag_counts(instance, OFFERED_TAGS)
    left = narrowed(Photo.of(instance), instance)
    latest = left.order_by(Photo.id.desc()).limit(COUNTED)
    return autotag.tag_counts(instance, OFFERED_TAGS, latest)


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
    found = list(db.session.scalars(sharing))
    theirs = autotag.preload(found)
    found.sort(key=lambda one: -len(names & {tag.name for tag in theirs[one]}))
    return found[:_SIMILAR]
