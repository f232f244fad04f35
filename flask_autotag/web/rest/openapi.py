"""The OpenAPI description, generated from the operations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ...host.assets import INSTANCE_LENGTH
from .fields import LARGEST_KEY, Parameter
from .guard import HEADER
from .operations import Operation, Resource
from .problems import MEDIA_TYPE
from .schemas import SCHEMAS

_VERSION = "3.1.0"
_CONVERTED = re.compile(r"<(?:\w+:)?(\w+)>")

#: The schemas of path parameters.
_IN_PATH = {
    "instance": {"type": "string", "minLength": 1, "maxLength": INSTANCE_LENGTH},
    "job": {"type": "integer", "minimum": 1, "maximum": LARGEST_KEY},
}

_USUAL = {
    400: "A field is wrong, missing or unknown.",
    401: "The authorizer does not know the user.",
    403: "The authorizer refuses.",
    404: "No such instance.",
    503: "The database is not available, or lacks the extension's tables.",
}
_WITH_BODY = {
    403: f"The authorizer refuses, or the header {HEADER} is missing.",
    413: "The body is too large.",
    415: "The Content-Type of the body is not application/json.",
}


def describe(
    resources: Iterable[Resource], rules: Mapping[str, str], server: str
) -> dict[str, Any]:
    """Return the description of the API.

    :param rules: the Flask rule of each resource, below *server*.
    :param server: the address of the API.
    """
    return {
        "openapi": _VERSION,
        "info": {
            "title": "Flask-AutoTag",
            "version": "1",
            "description": "Tags of images. Responses to GET have an ETag. A request"
            " with the same If-None-Match is answered with 304.",
        },
        "servers": [{"url": server}],
        "paths": {
            path_of(rules[resource.name]): _describe_resource(
                resource, rules[resource.name]
            )
            for resource in resources
        },
        "components": {"schemas": SCHEMAS},
    }


def path_of(rule: str) -> str:
    """Return a Flask rule as a path of OpenAPI."""
    return _CONVERTED.sub(r"{\1}", rule)


def _describe_resource(resource: Resource, rule: str) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": _IN_PATH[name]}
        for name in _CONVERTED.findall(rule)
    ]
    methods = {
        method.lower(): _describe(operation)
        for method, operation in resource.operations.items()
    }
    return {"parameters": in_path, **methods}


def _describe(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"The authorizer is asked about `{operation.action}`.",
        "parameters": [_describe_parameter(field) for field in operation.query],
        "responses": _describe_responses(operation),
    }
    if operation.body:
        described["parameters"].append(_HEADER)
        schema = _describe_body(operation.body)
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return described


_HEADER = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "description": "Any value, such as fetch. A form of another site cannot set it.",
    "schema": {"type": "string", "minLength": 1, "examples": ["fetch"]},
}


def _describe_parameter(field: Parameter) -> dict[str, Any]:
    return {
        "name": field.name,
        "in": "query",
        "required": field.required,
        "description": field.help,
        "schema": _with_example(field),
    }


def _describe_body(fields: Iterable[Parameter]) -> dict[str, Any]:
    fields = list(fields)
    return {
        "type": "object",
        "properties": {
            field.name: {**_with_example(field), "description": field.help}
            for field in fields
        },
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }


def _with_example(field: Parameter) -> dict[str, Any]:
    if field.example is None:
        return dict(field.schema)
    return {**field.schema, "examples": [field.example]}


def _describe_responses(operation: Operation) -> dict[str, Any]:
    problems = {
        **_USUAL,
        **(_WITH_BODY if operation.body else {}),
        **(operation.problems or {}),
    }
    schema = {"$ref": f"#/components/schemas/{operation.schema}"}
    responses: dict[str, Any] = {
        str(operation.status): {
            "description": operation.summary,
            "content": {"application/json": {"schema": schema}},
        }
    }
    if not operation.body:
        responses["304"] = {"description": "The client has the current version."}
    problem = {"$ref": "#/components/schemas/Problem"}
    for status in sorted(problems):
        responses[str(status)] = {
            "description": problems[status],
            "content": {MEDIA_TYPE: {"schema": problem}},
        }
    return responses
