"""Pages for the tags of an instance: the cloud, and answers for scripts."""

from __future__ import annotations

import math
from collections.abc import Iterable

from flask import Blueprint, g, render_template, request
from flask.typing import ResponseReturnValue

from flask_autotag import TagCount

from ..models import Photo, db
from .extension import autotag
from .shown import described, shown

#: Number of tags in the cloud, the most used ones.
CLOUD_TAGS = 200
#: Tags offered while a user types into the search, and characters that are read.
OFFERED_WORDS, MOST_CHARACTERS = 10, 100
#: Photos in one request for their tags.
MOST_IDS = 100

#: Nested in the blueprint of an instance, which checks the user.
pages = Blueprint("tagging", __name__)


@pages.get("/photos/tags")
def tags() -> ResponseReturnValue:
    """Return the progress of some photos; ``tags.js`` requests it repeatedly."""
    photos = Photo.of(g.instance.key).where(Photo.id.in_(_asked_ids()))
    found = list(db.session.scalars(photos))
    among = shown(found)
    template = "field" if "field" in request.args else "chips"
    return {
        "photos": [{"id": one.id, **described(one, among, template)} for one in found],
        "filters": render_template("tagging/filters.html", tagging=among),
    }


@pages.get("/tags")
def cloud() -> ResponseReturnValue:
    """Show all tags; frequent ones are larger."""
    counts = autotag.tag_counts(g.instance.key, limit=CLOUD_TAGS)
    counts.sort(key=lambda tag: tag.name.casefold())
    return render_template("tagging/cloud.html", counts=counts, sizes=_sizes(counts))


@pages.get("/words")
def words() -> ResponseReturnValue:
    """Return tags that begin with the typed text, for ``search.js``."""
    text = request.args.get("q", "")[:MOST_CHARACTERS]
    found = autotag.complete(text, g.instance.key, OFFERED_WORDS)
    return {"words": [tag.name for tag in found]}


@pages.app_template_filter()
def percent(confidence: float) -> int:
    """Return a confidence in whole percent; only 1.0 is 100."""
    return min(99, round(confidence * 100)) if confidence < 1 else 100


@pages.app_template_filter()
def without(names: Iterable[str], name: str) -> list[str]:
    """Return *names* without one tag, ignoring case."""
    return [one for one in names if one.casefold() != name.casefold()]


def _asked_ids() -> list[int]:
    words = request.args.get("ids", "").split(",")[:MOST_IDS]
    # Longer numbers are not keys, and exceed the database's integers.
    return [int(word) for word in words if word.isdecimal() and len(word) < 10]


def _sizes(counts: Iterable[TagCount]) -> dict[str, int]:
    """Return the size of each tag in the cloud, from 1 to 5, by its number of photos.

    The scale is logarithmic, because a few tags are on many more photos than the rest.
    """
    logs = {tag.name: math.log(tag.count) for tag in counts}
    most = max(logs.values(), default=0) or 1
    return {name: 1 + round(4 * log / most) for name, log in logs.items()}
