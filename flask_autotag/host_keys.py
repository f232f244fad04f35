"""Primary keys of the host's models in SQL, and the texts that name assets by them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Integer,
    String,
    Text,
    Uuid,
    cast,
    func,
    literal,
    tuple_,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

#: Where the hyphens of a UUID are, as lengths of the parts between them.
_UUID_PARTS = (8, 4, 4, 4, 12)


class _KeyText(FunctionElement[str]):
    """A key as text; how that is written is known when the database is."""

    inherit_cache = True
    type = String()


@compiles(_KeyText)
def _compile(element: _KeyText, compiler: SQLCompiler, **options: Any) -> str:
    written = _written(list(element.clauses), compiler.dialect.name)
    return compiler.process(written.self_group(), **options)


def text_of(mapper: Mapper[Any]) -> ColumnElement[str]:
    """Write an object's key as :func:`.assets.encode_key` does, but in SQL."""
    return _KeyText(*mapper.base_mapper.primary_key)


def key_of(mapper: Mapper[Any]) -> ColumnElement[Any]:
    """Give the key to compare with what :func:`keys_in` selects."""
    columns = mapper.base_mapper.primary_key
    return columns[0] if len(columns) == 1 else tuple_(*columns)


def is_number(mapper: Mapper[Any]) -> bool:
    """Tell whether a model's key is what :func:`.assets.number_of` gives."""
    columns = mapper.base_mapper.primary_key
    return len(columns) == 1 and isinstance(columns[0].type, Integer)


def keys_in(
    text: ColumnElement[str], mapper: Mapper[Any], dialect: str
) -> Sequence[ColumnElement[Any]]:
    """Read keys from the texts that name assets: :func:`.assets.decode_key` in SQL."""
    columns = mapper.base_mapper.primary_key
    if len(columns) == 1:
        return [_as_key(text, columns[0], dialect)]
    return [
        _as_key(_part(text, place, dialect), column, dialect)
        for place, column in enumerate(columns)
    ]


def _written(columns: Sequence[ColumnElement[Any]], dialect: str) -> ColumnElement[str]:
    texts = [_as_text(column, dialect) for column in columns]
    if len(columns) == 1:
        return texts[0]
    quoted = [
        _quote(text, column, dialect)
        for text, column in zip(texts, columns, strict=True)
    ]
    inside = reduce(lambda left, right: left + literal(", ") + right, quoted)
    return literal("[") + inside + literal("]")


def _as_text(column: ColumnElement[Any], dialect: str) -> ColumnElement[str]:
    if isinstance(column.type, Uuid) and dialect != "postgresql":
        return _hyphenated(func.replace(func.lower(cast(column, String(36))), "-", ""))
    if isinstance(column.type, String):
        return column
    return cast(column, String(255))


def _hyphenated(digits: ColumnElement[str]) -> ColumnElement[str]:
    parts, start = [], 1
    for length in _UUID_PARTS:
        parts.append(func.substr(digits, start, length, type_=String))
        start += length
    return reduce(lambda left, right: left + literal("-") + right, parts)


def _quote(
    text: ColumnElement[str], column: ColumnElement[Any], dialect: str
) -> ColumnElement[str]:
    if isinstance(column.type, Integer | Uuid):
        return literal('"') + text + literal('"')
    if dialect == "postgresql":
        return cast(func.to_json(cast(text, Text)), Text)
    return func.json_quote(text, type_=String)


def _part(text: ColumnElement[str], place: int, dialect: str) -> ColumnElement[str]:
    if dialect == "postgresql":
        return func.json_extract_path_text(cast(text, JSON), str(place), type_=String)
    found = func.json_extract(text, f"$[{place}]", type_=String)
    if dialect == "sqlite":
        return found
    return func.json_unquote(found, type_=String)


def _as_key(
    text: ColumnElement[str], column: ColumnElement[Any], dialect: str
) -> ColumnElement[Any]:
    """Turn a text into a value of the column's type."""
    if isinstance(column.type, Integer):
        return cast(text, Integer)
    if isinstance(column.type, Uuid) and dialect != "postgresql":
        # Stored as text without hyphens; or, on MariaDB, compared with it.
        return type_coerce(func.replace(text, "-", ""), column.type)
    if isinstance(column.type, String):
        return text
    return cast(text, column.type)
