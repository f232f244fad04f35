"""Reads the parameters and the body of a request, and refuses unknown parts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask import request

from ...settings.checks import CheckError
from .fields import MOST_TAGS, Parameter
from .problems import Problem


def read_query(fields: Sequence[Parameter]) -> dict[str, Any]:
    """Read the parameters of the address.

    :raises Problem: if a parameter is wrong, missing, unknown or repeated.
    """
    sent = request.args
    _refuse_unknown(sent, fields)
    values = {}
    for field in fields:
        found = sent.getlist(field.name)
        if field.many:
            values[field.name] = _many(field, found)
        elif len(found) > 1:
            raise Problem(400, f"{field.name} must not be repeated.", field.name)
        else:
            values[field.name] = _one(field, sent)
    return values


def read_body(fields: Sequence[Parameter]) -> dict[str, Any]:
    """Read the JSON object of the body.

    :raises Problem: if the body is not an object, or a member is wrong, missing or
        unknown.
    :raises werkzeug.exceptions.RequestEntityTooLarge: if the body is too large.
    """
    if request.mimetype != "application/json":
        raise Problem(415, "The Content-Type must be application/json.")
    sent = _parse(request.get_data())
    if not isinstance(sent, dict):
        raise Problem(400, "The body must be a JSON object.")
    _refuse_unknown(sent, fields)
    return {field.name: _one(field, sent) for field in fields}


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data.decode())
    # RecursionError: brackets are nested too deeply.
    except (ValueError, RecursionError):
        raise Problem(400, "The body must be JSON in UTF-8.") from None


def _refuse_unknown(names: Iterable[str], fields: Sequence[Parameter]) -> None:
    known = [field.name for field in fields]
    for name in names:
        if name not in known:
            listed = f"use {', '.join(known)}" if known else "there are none"
            raise Problem(400, f"There is no field {name!r:.80}: {listed}.", name[:80])


def _one(field: Parameter, sent: Mapping[str, Any]) -> Any:
    if field.name in sent:
        return _check(field, sent[field.name])
    if field.required:
        raise Problem(400, f"{field.name} is missing.", field.name)
    return field.default


def _many(field: Parameter, sent: Sequence[str]) -> list[Any]:
    if len(sent) > MOST_TAGS:
        raise Problem(
            400, f"{field.name} must not have more than {MOST_TAGS} values.", field.name
        )
    return [_check(field, each) for each in sent]


def _check(field: Parameter, value: Any) -> Any:
    try:
        return field.check(value)
    except CheckError as error:
        raise Problem(400, f"{field.name} {error}.", field.name) from None
