"""Primary keys of the host's models as text: one text for each key of each type."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast
from uuid import UUID

from sqlalchemy import BINARY, CHAR, Column, Enum, TypeDecorator, Uuid
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeEngine

from ..errors import AssetError


@dataclass(frozen=True)
class _Form:
    """The canonical text of the values of one Python type.

    :param encode: takes a value and the type of its column.
    :param decode: takes a text and the type of its column.
    """

    encode: Callable[[Any, TypeEngine[Any]], str]
    decode: Callable[[str, TypeEngine[Any]], object]


def lineage(mapper: Mapper[Any]) -> Iterator[Mapper[Any]]:
    """Yield a mapper and those it inherits from, as far as they share its rows.

    A class with concrete inheritance has a table of its own, with keys of its own.
    """
    yield mapper
    while mapper.inherits is not None and not mapper.concrete:
        mapper = mapper.inherits
        yield mapper


def root_of(mapper: Mapper[Any]) -> Mapper[Any]:
    """Return the mapper of the class whose table has a row for each object."""
    *_, root = lineage(mapper)
    return root


def key_columns(mapper: Mapper[Any]) -> Sequence[Column[Any]]:
    """Return the columns of the primary key of a mapped class.

    :raises AssetError: if the values of one of them have no canonical text.
    """
    columns = cast(Sequence[Column[Any]], root_of(mapper).primary_key)
    for column in columns:
        python_type(column)
    return columns


def python_type(column: Column[Any]) -> type[Any]:
    """Return ``int``, ``str``, ``UUID``, ``bytes`` or ``date`` for a column of a key.

    A decorated type must not change the values, unless they are UUIDs: the database
    has to compute the same text.

    :raises AssetError: if the column has another type.
    """
    declared = column.type
    if isinstance(declared, Uuid):
        return UUID
    stored = declared.impl_instance if isinstance(declared, TypeDecorator) else declared
    plain = declared_type(stored)
    if plain not in _FORMS or isinstance(stored, Enum):
        raise _no_form(column)
    found = declared_type(declared)
    if found not in _FORMS:
        return plain
    if found not in (UUID, plain):
        raise _no_form(column)
    return found


def declared_type(declared: TypeEngine[Any]) -> type[Any]:
    """Return the Python type of the values, or ``object`` if it is not declared."""
    try:
        return declared.python_type
    except NotImplementedError:
        return object


def encode_key(mapper: Mapper[Any], key: Sequence[object]) -> str:
    """Return a primary key as the text of ``AssetRef.id``.

    :raises AssetError: if a value is not of its column's type, or if that type has no
        canonical text.
    """
    parts = [
        _encode(column, value)
        for column, value in zip(root_of(mapper).primary_key, key, strict=True)
    ]
    return parts[0] if len(parts) == 1 else json.dumps(parts, ensure_ascii=False)


def decode_key(mapper: Mapper[Any], text: str) -> tuple[object, ...]:
    """Return the primary key that :func:`encode_key` made a text of.

    :raises AssetError: if the text is no key of that class, or if the type of a column
        has no canonical text.
    """
    columns = key_columns(mapper)
    try:
        parts = [text] if len(columns) == 1 else json.loads(text)
        return tuple(
            _FORMS[python_type(column)].decode(part, column.type)
            for column, part in zip(columns, parts, strict=True)
        )
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise AssetError(
            f"{text!r:.80} is no primary key of {mapper.class_.__name__}."
        ) from error


def _encode(column: Any, value: object) -> str:
    kind = python_type(column)
    if isinstance(column.type, TypeDecorator) and not isinstance(value, kind):
        raise _no_form(column)
    try:
        return _FORMS[kind].encode(value, column.type)
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise AssetError(
            f"{value!r:.80} is no value of the primary key column {column}: {error}."
        ) from error


def _no_form(column: Column[Any]) -> AssetError:
    decorated = isinstance(column.type, TypeDecorator)
    hint = (
        ", define python_type on the type if its values are UUIDs" if decorated else ""
    )
    return AssetError(
        f"The primary key column {column} has the type {type(column.type).__name__},"
        " whose values have no certain form as text. Give it the type Integer, String,"
        f" Uuid, LargeBinary or Date{hint}, or pass an AssetRef instead of the object."
    )


def _encode_text(value: object, declared: TypeEngine[Any]) -> str:
    text = str.__str__(value) if isinstance(value, str) else str(value)
    # PostgreSQL fills a CHAR with blanks, MySQL removes them.
    return text.rstrip(" ") if isinstance(declared, CHAR) else text


def _decode_uuid(text: str, declared: TypeEngine[Any]) -> UUID | str:
    key = UUID(text)
    return key if getattr(declared, "as_uuid", True) else str(key)


def _encode_bytes(value: Any, declared: TypeEngine[Any]) -> str:
    data = bytes(memoryview(value))
    if isinstance(declared, BINARY) and declared.length not in (None, len(data)):
        # MySQL fills it with zeros.
        raise ValueError(f"it must have {declared.length} bytes, or use VARBINARY")
    return data.hex()


_FORMS: Mapping[type[Any], _Form] = {
    int: _Form(lambda value, _: str(int(value)), lambda text, _: int(text)),
    str: _Form(_encode_text, lambda text, _: text),
    UUID: _Form(
        lambda value, _: str(value if isinstance(value, UUID) else UUID(value)),
        _decode_uuid,
    ),
    bytes: _Form(_encode_bytes, lambda text, _: bytes.fromhex(text)),
    date: _Form(
        lambda value, _: date(value.year, value.month, value.day).isoformat(),
        lambda text, _: date.fromisoformat(text),
    ),
}
