"""What a request may say: each field with its check and its JSON Schema together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..assets import ID_LENGTH, TYPE_LENGTH
from ..checks import Check, CheckError, one_of, shown
from ..vocabulary import NAME_LENGTH, TagName, tag_name

#: Tags that one question names in each of its lists.
MOST_TAGS = 20
#: The largest key of a row: that of a column of 64 bits.
LARGEST_KEY = 2**63 - 1

#: What not every database stores, and what no UTF-8 text has.
_UNFIT = re.compile("[\0\ud800-\udfff]")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True)
class Field:
    """A parameter of the address, or a member of a body.

    :param check: returns the value, or raises :exc:`.CheckError`.
    :param schema: the JSON Schema of what is accepted.
    :param many: whether it is a list; in an address, a parameter that is repeated.
    """

    name: str
    help: str
    check: Check
    schema: Mapping[str, Any]
    required: bool = True
    default: Any = None
    many: bool = False
    example: Any = field(default=None, compare=False)


def text(name: str, help: str, most: int, **options: Any) -> Field:
    """Make a field for a text of 1 to *most* characters."""
    return Field(name, help, _text(most), _text_schema(most), **options)


def number(name: str, help: str, most: int, default: int | None = None) -> Field:
    """Make a parameter for a whole number from 1 to *most*, which may be left out."""

    def check(value: Any) -> int:
        if not _WHOLE_NUMBER.fullmatch(value) or not 1 <= int(value) <= most:
            raise CheckError(
                "must be a whole number from 1 to %(most)s, not %(value)s",
                most=most,
                value=shown(value),
            )
        return int(value)

    schema: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": most}
    if default is not None:
        schema["default"] = default
    return Field(name, help, check, schema, required=False, default=default)


def choice(name: str, help: str, *choices: str) -> Field:
    """Make a field for one of a few words."""
    schema = {"type": "string", "enum": list(choices)}
    return Field(name, help, one_of(*choices), schema)


def tag(name: str, help: str) -> Field:
    """Make a field for the name of a tag; its value is a :class:`.TagName`."""
    return Field(name, help, _tag, _text_schema(NAME_LENGTH), example="dog")


def tags(name: str, help: str) -> Field:
    """Make a parameter for several tags, which may be left out."""
    schema = {
        "type": "array",
        "items": _text_schema(NAME_LENGTH),
        "maxItems": MOST_TAGS,
    }
    return Field(name, help, _tag, schema, required=False, default=(), many=True)


def _text(most: int) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise CheckError(
                "must be a text of 1 to %(most)s characters, not %(value)s",
                most=most,
                value=shown(value),
            )
        if _UNFIT.search(value):
            raise CheckError("must be a text without NUL or lone surrogates")
        return value

    return check


def _text_schema(most: int) -> Mapping[str, Any]:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": most,
        "pattern": r"^[^\u0000]*$",
    }


def _tag(value: Any) -> TagName:
    name = _text(NAME_LENGTH)(value)
    try:
        return tag_name(name)
    except ValueError as error:
        raise CheckError("is no name of a tag: %(why)s", why=error) from None


#: Names an asset; see :class:`.AssetRef`.
ASSET = (
    text(
        "type",
        "The type of the asset; of a model, its table's name.",
        TYPE_LENGTH,
        example="photo",
    ),
    text("id", "The key of the asset, as text.", ID_LENGTH, example="7"),
)
