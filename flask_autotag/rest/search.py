"""Finds assets by tags, and tags: how many assets each has, and how names go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import facets
from ..admin.access import VIEW_TAGS
from ..assets import TYPE_LENGTH
from ..completion import words_to_add
from ..questions import connection_of
from . import queries
from .fields import LARGEST_KEY, number, tag, tags, text
from .operations import Call, Operation, Resource
from .problems import Problem

#: Assets of a page, counts, and completions: what is given unless asked for, and what
#: is given at most.
_PAGE, _LARGEST_PAGE = 50, 500
_COUNTS, _MOST_COUNTS = 100, 1000
_COMPLETIONS, _MOST_COMPLETIONS = 10, 100


def _assets(call: Call) -> Mapping[str, Any]:
    values, models = call.values, call.state.database.models
    if not values["all"] and not values["any"]:
        raise Problem(400, "all or any must name a tag.", "all")
    search = queries.Search(
        values["all"],
        values["any"],
        values["none"],
        values["type"],
        values["cursor"],
        values["limit"],
    )
    with call.state.database.reading() as session:
        page = queries.find_assets(session, models, call.instance, search)
    return {
        "assets": [{"type": each.type, "id": each.id} for each in page.assets],
        "next": page.following,
    }


def _counts(call: Call) -> Mapping[str, Any]:
    models, limit = call.state.database.models, call.values["limit"]
    with call.state.database.reading() as session:
        connection = connection_of(session, models)
        counts = facets.tag_counts(connection, models, call.instance, limit)
    return {"counts": [{"name": each.name, "count": each.count} for each in counts]}


def _complete(call: Call) -> Mapping[str, Any]:
    models, values = call.state.database.models, call.values
    start, limit = values["q"].key, values["limit"]
    with call.state.database.reading() as session:
        connection = connection_of(session, models)
        words = words_to_add(connection, models, call.instance, start, limit)
    return {"completions": words}


ASSETS = Resource(
    "assets",
    "assets",
    {
        "GET": Operation(
            name="findAssets",
            summary="The assets that have tags, the latest ones first, page by page."
            " all or any must name a tag.",
            action=VIEW_TAGS,
            answer=_assets,
            schema="AssetPage",
            query=(
                tags("all", "A tag that an asset must have; may be repeated."),
                tags("any", "Tags of which it must have one."),
                tags("none", "A tag that it must not have; may be repeated."),
                text("type", "The type of the assets.", TYPE_LENGTH, required=False),
                number("cursor", "The next of the page before.", LARGEST_KEY),
                number("limit", "Assets of a page.", _LARGEST_PAGE, _PAGE),
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
            summary="On how many assets each tag is, the most used tags first.",
            action=VIEW_TAGS,
            answer=_counts,
            schema="TagCounts",
            query=(number("limit", "Tags at most.", _MOST_COUNTS, _COUNTS),),
        )
    },
)

COMPLETIONS = Resource(
    "completions",
    "completions",
    {
        "GET": Operation(
            name="completeTag",
            summary="Names that a tag to be added may have and that begin, or whose"
            " aliases do, with what was typed, the most used first.",
            action=VIEW_TAGS,
            answer=_complete,
            schema="Completions",
            query=(
                tag("q", "What was typed."),
                number("limit", "Names at most.", _MOST_COMPLETIONS, _COMPLETIONS),
            ),
        )
    },
)
