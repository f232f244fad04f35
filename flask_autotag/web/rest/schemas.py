"""The JSON Schemas of responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...db.job_states import BULK_ACTION, ENDED, QUEUED, RULES, RUNNING, TAG

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_KEY = {"type": "integer", "minimum": 1}
_MOMENT = {"type": "string", "format": "date-time"}


def _optional(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


#: The schemas by the names that operations use.
SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "Asset": _object(type=_TEXT, id=_TEXT),
    "Tag": _object(
        name=_TEXT,
        source={"type": "string", "enum": ["provider", "person"]},
        confidence=_optional({"type": "number", "minimum": 0, "maximum": 1}),
        provider=_optional(_TEXT),
        providers=_list(_TEXT),
        model=_optional(_TEXT),
        person=_optional(_TEXT),
        created_at=_MOMENT,
        pinned={"type": "boolean"},
    ),
    "AssetTags": _object(
        asset=_ref("Asset"), tags=_list(_ref("Tag")), suggestions=_list(_ref("Tag"))
    ),
    "BulkDecision": _object(
        id=_KEY,
        changed=_COUNT,
        unchanged=_COUNT,
        unknown=_COUNT,
        assets=_list(
            _object(
                type=_TEXT,
                id=_TEXT,
                outcome={"type": "string", "enum": ["changed", "unchanged", "unknown"]},
            )
        ),
    ),
    "AssetPage": _object(assets=_list(_ref("Asset")), next=_optional(_KEY)),
    "TagCounts": _object(counts=_list(_object(name=_TEXT, count=_COUNT))),
    "Completions": _object(completions=_list(_TEXT)),
    "Job": _object(
        id=_KEY,
        url={"type": "string", "format": "uri-reference"},
        kind={"type": "string", "enum": [TAG, RULES, BULK_ACTION]},
        asset=_optional(_ref("Asset")),
        state={"type": "string", "enum": [QUEUED, RUNNING, *ENDED]},
        failures=_COUNT,
        error=_optional(_TEXT),
        created_at=_MOMENT,
        finished_at=_optional(_MOMENT),
    ),
    "Problem": {
        **_object(
            type=_TEXT,
            title=_TEXT,
            status={"type": "integer"},
            detail=_TEXT,
            field=_TEXT,
        ),
        "required": ["type", "title", "status", "detail"],
    },
}
