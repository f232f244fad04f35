"""Reads the parameters and the body of a request completely, or refuses them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask import request

from ..checks import CheckError
from .fields import MOST_TAGS, Field
from .problems import Problem

#: Bytes of a body: an asset, a tag, and room for escapes.
MOST_BYTES = 16 * 1024


def read_query(fields: Sequence[Field]) -> dict[str, Any]:
    """Read the parameters of the address.

    :raises Problem: for one that is wrong, missing, unknown or there twice.
    """
    sent = request.args
    _refuse_unknown(sent, fields)
    values = {}
    for field in fields:
        found = sent.getlist(field.name)
        if field.many:
            values[field.name] = _many(field, found)
        elif len(found) > 1:
            raise Problem(400, f"{field.name} is there twice.", field.name)
        else:
            values[field.name] = _one(field, sent)
    return values


def read_body(fields: Sequence[Field]) -> dict[str, Any]:
    """Read the JSON object that was sent.

    :raises Problem: if it is none, too large, or has a member that is wrong, missing
        or unknown.
    """
    if request.mimetype != "application/json":
        raise Problem(415, "The Content-Type must be application/json.")
    sent = _parse(_read())
    if not isinstance(sent, dict):
        raise Problem(400, "The body must be a JSON object.")
    _refuse_unknown(sent, fields)
    return {field.name: _one(field, sent) for field in fields}


def _read() -> bytes:
    data = b""
    if (request.content_length or 0) <= MOST_BYTES:
        data = request.stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES or (request.content_length or 0) > MOST_BYTES:
        raise Problem(413, f"The body must have at most {MOST_BYTES:,} bytes.")
    return data


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data.decode())
    # The latter where brackets are nested without end.
    except (ValueError, RecursionError):
        raise Problem(400, "The body must be JSON in UTF-8.") from None


def _refuse_unknown(names: Iterable[str], fields: Sequence[Field]) -> None:
    known = [field.name for field in fields]
    for name in names:
        if name not in known:
            listed = f"there are {', '.join(known)}" if known else "there are none"
            raise Problem(400, f"There is no field {name!r:.80}: {listed}.", name[:80])


def _one(field: Field, sent: Mapping[str, Any]) -> Any:
    if field.name in sent:
        return _check(field, sent[field.name])
    if field.required:
        raise Problem(400, f"{field.name} is missing.", field.name)
    return field.default


def _many(field: Field, sent: Sequence[str]) -> list[Any]:
    if len(sent) > MOST_TAGS:
        raise Problem(
            400, f"{field.name} must be there at most {MOST_TAGS} times.", field.name
        )
    return [_check(field, each) for each in sent]


def _check(field: Field, value: Any) -> Any:
    try:
        return field.check(value)
    except CheckError as error:
        raise Problem(400, f"{field.name} {error}.", field.name) from None
