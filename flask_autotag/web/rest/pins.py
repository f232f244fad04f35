"""The tags that a person pins to the front of an asset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from ...db.sql import lock_writers
from ...tags import pins
from ..access import REVIEW
from .fields import ASSET, tag_list
from .operations import Call, Operation, Resource
from .tags import require_known, tags_of


def _pin(call: Call) -> Mapping[str, Any]:
    models, asset, instance = call.state.database.models, call.asset, call.instance
    who = call.state.hooks.user_name()

    def work(session: Session) -> Mapping[str, Any]:
        lock_writers(session, models.asset.__table__)
        require_known(session, models, asset, instance)
        connection, stored = session.connection(), call.state.stored_settings()
        pins.pin(connection, stored, asset, instance, call.values["tags"], who)
        return tags_of(session, models, asset, instance)

    return call.state.database.transact(work)


PINS = Resource(
    "pins",
    "pins",
    {
        "PUT": Operation(
            name="pinTags",
            summary="Pin tags to the front of an asset, and no others.",
            action=REVIEW,
            answer=_pin,
            schema="AssetTags",
            body=(
                *ASSET,
                tag_list(
                    "tags",
                    "The tags in their order. Each counts as added by a person, if it"
                    " is not yet. An empty list unpins all.",
                ),
            ),
            problems={404: "No such instance, or it does not know the asset."},
        )
    },
)
