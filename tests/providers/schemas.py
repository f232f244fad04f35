"""JSON schemas of the vendors' responses, from their own descriptions.

Google's schema comes from the discovery document in its API client, Microsoft's from
the models of its clients. Unknown fields are refused.
"""

from __future__ import annotations

import json
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

from azure.ai.vision.imageanalysis.models import ImageAnalysisResult, _models
from azure.cognitiveservices.vision.computervision import models as computer_vision
from googleapiclient.discovery_cache import get_static_doc

SIMPLE = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_BY_TYPE = {str: "string", int: "integer", float: "number", bool: "boolean"}


def google() -> dict[str, Any]:
    """The response of ``images:annotate``, version 1."""
    document = json.loads(get_static_doc("vision", "v1"))
    definitions = {
        name: _of_discovery(schema) for name, schema in document["schemas"].items()
    }
    return {
        "$ref": "#/$defs/BatchAnnotateImagesResponse",
        "$defs": definitions,
    }


def _of_discovery(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    if schema["type"] == "any":
        return {}
    made: dict[str, Any] = {"type": schema["type"]}
    if "items" in schema:
        made["items"] = _of_discovery(schema["items"])
    if schema["type"] == "object":
        made["properties"] = {
            name: _of_discovery(each)
            for name, each in schema.get("properties", {}).items()
        }
        more = schema.get("additionalProperties")
        made["additionalProperties"] = _of_discovery(more) if more else False
    return made


def azure_4() -> dict[str, Any]:
    """The response of Image Analysis 4.0."""
    return _of_model(ImageAnalysisResult)


def _of_model(model: Any) -> dict[str, Any]:
    model.__new__(model)  # Which collects its fields.
    hints = get_type_hints(model, localns={"_models": _models})
    properties, required = {}, []
    for name, field in model._attr_to_rest_field.items():
        parts = get_args(hints[name])
        optional = type(None) in parts
        properties[field._rest_name] = _of_type(hints[name])
        if not optional:
            required.append(field._rest_name)
    return _object(properties, required)


def _of_type(hint: Any) -> dict[str, Any]:
    if get_origin(hint) in (Union, types.UnionType):
        [hint] = [each for each in get_args(hint) if each is not type(None)]
    if get_origin(hint) is list:
        return {"type": "array", "items": _of_type(get_args(hint)[0])}
    if hint in _BY_TYPE:
        return {"type": _BY_TYPE[hint]}
    return _of_model(hint)


def azure_3() -> dict[str, Any]:
    """The tags in the response of Computer Vision 3.2."""
    return _of_msrest("TagResult")


def _of_msrest(name: str) -> dict[str, Any]:
    if name.startswith("["):
        return {"type": "array", "items": _of_msrest(name.strip("[]"))}
    if name in SIMPLE:
        return {"type": SIMPLE[name]}
    attributes = getattr(computer_vision, name)._attribute_map.values()
    properties = {each["key"]: _of_msrest(each["type"]) for each in attributes}
    return _object(properties, [])


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
