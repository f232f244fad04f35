"""The tags of an asset, and decisions of people about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from ...db.models import Models
from ...db.sql import lock_writers
from ...host.assets import AssetRef
from ...tags import deciding
from ...tags.queries import applied_tags
from ...tags.queries.applied_tags import AppliedTag
from ...tags.queries.instances import is_known
from ...tags.rules import APPLIED, REJECTED, SUGGESTED
from ..access import REVIEW, VIEW_TAGS
from .fields import ASSET, Parameter, choice, tag
from .operations import Call, Operation, Resource
from .problems import Problem

#: Each decision, and the state of the tag that follows.
DECISIONS = {
    "add": APPLIED,
    "accept": APPLIED,
    "reject": REJECTED,
    "remove": REJECTED,
}


def decision_field() -> Parameter:
    """Return the field for a decision."""
    return choice(
        "decision",
        "add and accept apply the tag, reject and remove take it away. No provider"
        " changes the decision.",
        *DECISIONS,
    )


def require_known(
    session: Session, models: Models, asset: AssetRef, instance: str
) -> None:
    """Refuse an asset that the instance does not know.

    :raises Problem: if the asset was never uploaded or tagged in the instance.
    """
    if not is_known(session, models, asset, instance):
        raise Problem(404, f"This instance does not know {asset}.", "id")


def _tags(call: Call) -> Mapping[str, Any]:
    models = call.state.database.models
    with call.state.database.reading() as session:
        return tags_of(session, models, call.asset, call.instance)


def _decide(call: Call) -> Mapping[str, Any]:
    models, asset, instance = call.state.database.models, call.asset, call.instance
    name, state = call.values["tag"], DECISIONS[call.values["decision"]]
    who = call.state.hooks.user_name()

    def work(session: Session) -> Mapping[str, Any]:
        lock_writers(session, models.asset.__table__)
        require_known(session, models, asset, instance)
        connection, stored = session.connection(), call.state.stored_settings()
        deciding.decide(connection, stored, asset, instance, name, state, who)
        return tags_of(session, models, asset, instance)

    return call.state.database.transact(work)


def tags_of(
    session: Session, models: Models, asset: AssetRef, instance: str
) -> Mapping[str, Any]:
    """Return the tags and suggestions of an asset as an ``AssetTags``."""
    applied, suggested = (
        applied_tags.tags_for(session, models, asset, instance, state)
        for state in (APPLIED, SUGGESTED)
    )
    return {
        "asset": {"type": asset.type, "id": asset.id},
        "tags": [_as_json(each) for each in applied],
        "suggestions": [_as_json(each) for each in suggested],
    }


def _as_json(tag: AppliedTag) -> dict[str, Any]:
    return {
        "name": tag.name,
        "source": tag.source,
        "confidence": tag.confidence,
        "provider": tag.provider,
        "providers": list(tag.providers),
        "model": tag.model,
        "person": tag.person,
        "created_at": tag.created_at.isoformat(),
        "pinned": tag.pinned,
    }


TAGS = Resource(
    "tags",
    "tags",
    {
        "GET": Operation(
            name="readTags",
            summary="The applied and the suggested tags of an asset.",
            action=VIEW_TAGS,
            answer=_tags,
            schema="AssetTags",
            query=ASSET,
        )
    },
)

DECISION = Resource(
    "decisions",
    "decisions",
    {
        "POST": Operation(
            name="decide",
            summary="Add, accept, reject or remove a tag of an asset.",
            action=REVIEW,
            answer=_decide,
            schema="AssetTags",
            body=(
                *ASSET,
                tag("tag", "The name of the tag."),
                decision_field(),
            ),
            problems={404: "No such instance, or it does not know the asset."},
        )
    },
)
