"""Finds assets by tags, counts the assets of tags, and completes names of tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...host.assets import TYPE_LENGTH
from ...tags.queries import asset_search, tag_counts
from ...tags.queries.autocomplete import words_to_add
from ...tags.queries.reading import reading
from ..access import VIEW_TAGS
from .fields import LARGEST_KEY, number, tag, tags, text
from .operations import Call, Operation, Resource
from .problems import Problem

#: The default and the largest numbers of assets on a page, of counts and of
#: completions.
_PAGE, _LARGEST_PAGE = 50, 500
_COUNTS, _MOST_COUNTS = 100, 1000
_COMPLETIONS, _MOST_COMPLETIONS = 10, 100


def _assets(call: Call) -> Mapping[str, Any]:
    values, models = call.values, call.state.database.models
    if not values["all"] and not values["any"]:
        raise Problem(400, "all or any must name a tag.", "all")
    search = asset_search.Search(
        values["all"],
        values["any"],
        values["none"],
        values["type"],
        values["cursor"],
        values["limit"],
    )
    with call.state.database.reading() as session:
        page = asset_search.find_assets(session, models, call.instance, search)
    return {
        "assets": [{"type": each.type, "id": each.id} for each in page.assets],
        "next": page.following,
    }


def _counts(call: Call) -> Mapping[str, Any]:
    models, limit = call.state.database.models, call.values["limit"]
    with reading(call.state.database) as connection:
        counts = tag_counts.tag_counts(connection, models, call.instance, limit)
    return {"counts": [{"name": each.name, "count": each.count} for each in counts]}


def _complete(call: Call) -> Mapping[str, Any]:
    models, values = call.state.database.models, call.values
    start, limit = values["q"].key, values["limit"]
    with reading(call.state.database) as connection:
        words = words_to_add(connection, models, call.instance, start, limit)
    return {"completions": words}


ASSETS = Resource(
    "assets",
    "assets",
    {
        "GET": Operation(
            name="findAssets",
            summary="The assets with certain tags, the latest first, page by page. all"
            " or any must name a tag.",
            action=VIEW_TAGS,
            answer=_assets,
            schema="AssetPage",
            query=(
                tags("all", "A tag that an asset must have; may be repeated."),
                tags(
                    "any",
                    "A tag of which an asset needs at least one; may be repeated.",
                ),
                tags("none", "A tag that an asset must not have; may be repeated."),
                text("type", "The type of the assets.", TYPE_LENGTH, required=False),
                number(
                    "cursor", "The value of next on the previous page.", LARGEST_KEY
                ),
                number("limit", "The most assets on a page.", _LARGEST_PAGE, _PAGE),
            ),
        )
    },
)

COUNTS = Resource(
    "counts",
    "counts",
    {
        "GET": Operation(
            name="countTags",
            summary="The number of assets of each tag, the most used tags first.",
            action=VIEW_TAGS,
            answer=_counts,
            schema="TagCounts",
            query=(number("limit", "The most tags.", _MOST_COUNTS, _COUNTS),),
        )
    },
)

COMPLETIONS = Resource(
    "completions",
    "completions",
    {
        "GET": Operation(
            name="completeTag",
            summary="Names for a new tag of an asset that begin with a text, or have an"
            " alias that does, the most used first.",
            action=VIEW_TAGS,
            answer=_complete,
            schema="Completions",
            query=(
                tag("q", "The beginning of the name."),
                number("limit", "The most names.", _MOST_COMPLETIONS, _COMPLETIONS),
            ),
        )
    },
)
