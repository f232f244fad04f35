"""The fields of requests, each with its check and its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...host.assets import ID_LENGTH, NAME_LENGTH, TYPE_LENGTH, UNFIT, AssetRef
from ...settings.checks import Check, CheckError, one_of, shown
from ...settings.tag_names import TagName, tag_name

#: The most tags in each list of a search.
MOST_TAGS = 20
#: The most assets in a list.
MOST_ASSETS = 1000
#: The largest key of a row: the column has 64 bits.
LARGEST_KEY = 2**63 - 1

_REQUEST_KEY = re.compile(r"[!-~]{1,64}")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True)
class Parameter:
    """A parameter of the address, or a member of a body.

    :param check: returns the value, or raises :exc:`.CheckError`.
    :param schema: the JSON Schema of accepted values.
    :param many: whether it is a list: a parameter that may be repeated.
    """

    name: str
    help: str
    check: Check
    schema: Mapping[str, Any]
    required: bool = True
    default: Any = None
    many: bool = False
    example: Any = field(default=None, compare=False)


def text(name: str, help: str, most: int, **options: Any) -> Parameter:
    """Return a field for a text of 1 to *most* characters."""
    return Parameter(name, help, _text(most), _text_schema(most), **options)


def number(name: str, help: str, most: int, default: int | None = None) -> Parameter:
    """Return an optional parameter for a whole number from 1 to *most*."""

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
    return Parameter(name, help, check, schema, required=False, default=default)


def choice(name: str, help: str, *choices: str) -> Parameter:
    """Return a field for one of a few words."""
    schema = {"type": "string", "enum": list(choices)}
    return Parameter(name, help, one_of(*choices), schema)


def tag(name: str, help: str) -> Parameter:
    """Return a field for the name of a tag, with a :class:`.TagName` as value."""
    return Parameter(name, help, _tag, _text_schema(NAME_LENGTH), example="dog")


def tags(name: str, help: str) -> Parameter:
    """Return an optional parameter for several tags."""
    schema = {
        "type": "array",
        "items": _text_schema(NAME_LENGTH),
        "maxItems": MOST_TAGS,
    }
    return Parameter(name, help, _tag, schema, required=False, default=(), many=True)


def tag_list(name: str, help: str) -> Parameter:
    """Return a member of a body for several tags, each a :class:`.TagName`."""
    schema = {
        "type": "array",
        "items": _text_schema(NAME_LENGTH),
        "maxItems": MOST_TAGS,
    }
    check = _list_of(_tag, "tags", MOST_TAGS)
    return Parameter(name, help, check, schema, example=["dog", "beach"])


def assets(name: str, help: str) -> Parameter:
    """Return a member of a body for many assets, each an :class:`.AssetRef`."""
    schema = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {each.name: each.schema for each in ASSET},
            "required": [each.name for each in ASSET],
            "additionalProperties": False,
        },
        "minItems": 1,
        "maxItems": MOST_ASSETS,
    }
    check = _list_of(_asset, "assets", MOST_ASSETS, least=1)
    example = [{"type": "photo", "id": "7"}]
    return Parameter(name, help, check, schema, example=example)


def request_key(name: str, help: str) -> Parameter:
    """Return an optional member of a body for a key that a client chooses."""
    schema = {"type": "string", "pattern": f"^{_REQUEST_KEY.pattern}$"}
    return Parameter(name, help, _request_key, schema, required=False)


def _request_key(value: Any) -> str:
    # MariaDB ignores spaces at the end of a text.
    if not isinstance(value, str) or not _REQUEST_KEY.fullmatch(value):
        raise CheckError(
            "must have 1 to 64 ASCII characters without spaces, not %(value)s",
            value=shown(value),
        )
    return value


def _list_of(check: Check, nouns: str, most: int, least: int = 0) -> Check:
    """Return the check of a list, whose items another one checks."""

    def check_all(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise CheckError("must be a list, not %(value)s", value=shown(value))
        if not least <= len(value) <= most:
            raise CheckError(
                "must have %(least)s to %(most)s %(nouns)s, not %(number)s",
                least=least,
                most=f"{most:,}",
                nouns=nouns,
                number=f"{len(value):,}",
            )
        return [_check_item(check, place, item) for place, item in enumerate(value)]

    return check_all


def _check_item(check: Check, place: int, item: Any) -> Any:
    try:
        return check(item)
    except CheckError as error:
        raise CheckError(
            "has a wrong item at index %(place)s, which %(why)s",
            place=place,
            why=error,
        ) from None


def _asset(value: Any) -> AssetRef:
    names = [each.name for each in ASSET]
    if not isinstance(value, dict) or {*value} != {*names}:
        raise CheckError(
            "must be an object with %(names)s, not %(value)s",
            names=" and ".join(names),
            value=shown(value),
        )
    return AssetRef(*(_member(each, value[each.name]) for each in ASSET))


def _member(field: Parameter, value: Any) -> Any:
    try:
        return field.check(value)
    except CheckError as error:
        raise CheckError(
            "has a wrong %(name)s: it %(why)s", name=field.name, why=error
        ) from None


def _text(most: int) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise CheckError(
                "must be a text of 1 to %(most)s characters, not %(value)s",
                most=most,
                value=shown(value),
            )
        if UNFIT.search(value):
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
        raise CheckError("is not the name of a tag: %(why)s", why=error) from None


#: The fields that name an asset; see :class:`.AssetRef`.
ASSET = (
    text(
        "type",
        "The type of the asset: for a model, the name of its table.",
        TYPE_LENGTH,
        example="photo",
    ),
    text("id", "The key of the asset, as text.", ID_LENGTH, example="7"),
)
