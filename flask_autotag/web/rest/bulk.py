"""Decisions about one tag of many assets, in one request that may be repeated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ...db.sql import lock_writers
from ...host.assets import AssetRef
from ...tags import bulk_actions, bulk_decisions
from ...tags.asset_rows import ensure_assets
from ...tags.bulk_actions import BulkAction, ItemOutcome, Request
from ...tags.queries.instances import known_in
from ..access import REVIEW
from .fields import assets, request_key, tag
from .operations import Call, Operation, Resource
from .problems import Problem
from .tags import DECISIONS, decision_field

#: The most bytes of a body: 1,000 assets with the longest names, and room for escapes.
_MOST_BYTES = 8 * 1024 * 1024

#: The outcome of an asset that the instance does not know.
UNKNOWN = "unknown"
#: All outcomes of an asset.
OUTCOMES = (ItemOutcome.CHANGED.value, ItemOutcome.UNCHANGED.value, UNKNOWN)


def _decide(call: Call) -> Mapping[str, Any]:
    models = call.state.database.models
    key = call.values["key"]
    request = None if key is None else Request(key, _digest(call))

    def work(session: Session) -> Mapping[str, Any]:
        lock_writers(session, models.asset.__table__)
        connection = session.connection()
        action = _former(connection, call, request) if request else None
        if action is not None:
            outcomes = bulk_decisions.read_outcomes(connection, models, action)
        else:
            action, outcomes = _decide_now(connection, call, request)
        return _as_json(call.values["assets"], action, outcomes)

    try:
        return call.state.database.transact(work)
    except IntegrityError:
        if request is None:
            raise
        # Another request with this key was first; now it can be read.
        return call.state.database.transact(work)


def _digest(call: Call) -> str:
    """Return the hash of what a request asks for."""
    values = call.values
    named = [[each.type, each.id] for each in values["assets"]]
    content = json.dumps([named, values["tag"].name, values["decision"]])
    return hashlib.sha256(content.encode()).hexdigest()


def _former(connection: Connection, call: Call, request: Request) -> BulkAction | None:
    """Return the action that a former request with the same key began.

    :raises Problem: if that request asked for something else.
    """
    models, instance = call.state.database.models, call.instance
    found = bulk_actions.read_by_request(connection, models, instance, request.key)
    if found is not None and found.request_digest != request.digest:
        raise Problem(
            409,
            "A request with this key asked for something else: use a new key for each"
            " request, and the same one only to repeat it.",
            "key",
        )
    return found


def _decide_now(
    connection: Connection, call: Call, request: Request | None
) -> tuple[BulkAction, dict[AssetRef, ItemOutcome]]:
    """Decide on those assets that the instance knows."""
    models, stored = call.state.database.models, call.state.stored_settings()
    instance, values = call.instance, call.values
    known = known_in(connection, models, values["assets"], instance)
    action = bulk_actions.begin(
        connection,
        stored,
        instance,
        values["tag"],
        DECISIONS[values["decision"]],
        None,
        call.state.hooks.user_name(),
        request,
    )
    rows = ensure_assets(connection, models, instance, known) if known else {}
    outcomes = bulk_decisions.decide_all(connection, stored, action, rows)
    return action, {rows[row]: outcome for row, outcome in outcomes.items()}


def _as_json(
    requested: Sequence[AssetRef],
    action: BulkAction,
    outcomes: Mapping[AssetRef, ItemOutcome],
) -> Mapping[str, Any]:
    told = {each: str(outcomes.get(each, UNKNOWN)) for each in requested}
    return {
        "id": action.id,
        **{name: [*told.values()].count(name) for name in OUTCOMES},
        "assets": [
            {"type": each.type, "id": each.id, "outcome": outcome}
            for each, outcome in told.items()
        ],
    }


BULK_DECISION = Resource(
    "bulk_decisions",
    "decisions/bulk",
    {
        "POST": Operation(
            name="decideOnMany",
            summary="Add, accept, reject or remove a tag of many assets.",
            action=REVIEW,
            answer=_decide,
            schema="BulkDecision",
            body=(
                assets(
                    "assets",
                    "The assets. Those that the instance does not know are left out.",
                ),
                tag("tag", "The name of the tag."),
                decision_field(),
                request_key(
                    "key",
                    "Chosen by you for this request. A repeated request with the same"
                    " key is answered without a second decision.",
                ),
            ),
            problems={409: "A request with this key asked for something else."},
        )
    },
    most_bytes=_MOST_BYTES,
)
