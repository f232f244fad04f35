"""Primary keys of the host's models in SQL, and the texts that name assets by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import reduce
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CHAR,
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    Dialect,
    Integer,
    String,
    Text,
    TypeDecorator,
    Uuid,
    cast,
    func,
    literal,
    select,
    tuple_,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from ..errors import AssetError
from .keys import (
    declared_type,
    decode_key,
    encode_key,
    key_columns,
    python_type,
    root_of,
)

#: The lengths of the parts of a UUID between its hyphens.
_UUID_PARTS = (8, 4, 4, 4, 12)
#: Above the integers of 64 bits.
_BIGINT = 2**63


class _KeyText(FunctionElement[str]):
    """A key as text, compiled for each database."""

    inherit_cache = True
    type = String()


@compiles(_KeyText)
def _compile(element: _KeyText, compiler: SQLCompiler, **options: Any) -> str:
    written = _written(list(element.clauses), compiler.dialect)
    return compiler.process(written.self_group(), **options)


def text_of(mapper: Mapper[Any]) -> ColumnElement[str]:
    """Return :func:`.keys.encode_key` of an object, in SQL.

    :raises AssetError: if the type of a column has no canonical text.
    """
    return _KeyText(*key_columns(mapper))


def key_of(mapper: Mapper[Any]) -> ColumnElement[Any]:
    """Return the key, to compare with :func:`keys_in`."""
    columns = root_of(mapper).primary_key
    return columns[0] if len(columns) == 1 else tuple_(*columns)


def is_number(mapper: Mapper[Any]) -> bool:
    """Return whether :func:`.assets.number_of` returns the keys of a model."""
    columns = root_of(mapper).primary_key
    return len(columns) == 1 and isinstance(columns[0].type, Integer)


def can_decode(mapper: Mapper[Any]) -> bool:
    """Return whether :func:`keys_in` finds every key of a model on every database.

    :raises AssetError: as :func:`text_of` does.
    """
    return all(_is_stored_canonically(column) for column in key_columns(mapper))


def find_object(session: Session, mapper: Mapper[Any], text: str) -> Any:
    """Return the object that a text names, or ``None`` if there is none.

    Read all keys if the database may hold the same key in other forms: SQLite compares
    the digits of ``Uuid(as_uuid=False)`` as the host wrote them.

    :raises AssetError: as :func:`text_of` does.
    """
    has_forms = has_other_forms(mapper)
    try:
        key: Any = decode_key(mapper, text)
    except AssetError:
        return None
    found = session.get(mapper.class_, key)
    if found is None and has_forms:
        statement = select(mapper.class_).where(text_of(mapper) == text)
        found = session.scalars(statement).unique().one_or_none()
    return found


def find_missing(
    connection: Connection, mapper: Mapper[Any], texts: Iterable[str]
) -> set[str]:
    """Return the texts that could name rows of a model, and name none.

    A text that cannot be a key of the model is not among them.

    :raises AssetError: as :func:`text_of` does.
    """
    keys = {
        text: key for text in texts if (key := _canonical_key(mapper, text)) is not None
    }
    missing = keys.keys() - _read_texts(connection, mapper, keys)
    if not _read_texts(connection, mapper, {text: keys[text] for text in missing}):
        return missing
    # The database finds a text in another case, or with blanks after it.
    return {
        text
        for text in missing
        if not _read_texts(connection, mapper, {text: keys[text]})
    }


def _read_texts(
    connection: Connection, mapper: Mapper[Any], keys: Mapping[str, tuple[object, ...]]
) -> set[str]:
    """Return the texts of the rows that the database finds by some keys."""
    if not keys:
        return set()
    wanted = select(*key_columns(mapper)).where(_is_one_of(mapper, keys))
    return {encode_key(mapper, tuple(row)) for row in connection.execute(wanted)}


def _canonical_key(mapper: Mapper[Any], text: str) -> tuple[object, ...] | None:
    """Return the key whose :func:`.keys.encode_key` is *text*, if there is one."""
    try:
        key = decode_key(mapper, text)
        is_canonical = encode_key(mapper, key) == text
    except AssetError:
        return None
    fits = all(-_BIGINT <= part < _BIGINT for part in key if isinstance(part, int))
    return key if is_canonical and fits else None


def _is_one_of(
    mapper: Mapper[Any], keys: Mapping[str, tuple[object, ...]]
) -> ColumnElement[bool]:
    """Return the condition that a row has one of *keys*, by their texts."""
    if has_other_forms(mapper):
        return text_of(mapper).in_([*keys])
    # PostgreSQL refuses a number that does not fit into the column's type.
    columns = [
        type_coerce(column, BigInteger) if isinstance(column.type, Integer) else column
        for column in key_columns(mapper)
    ]
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys.values()])
    return tuple_(*columns).in_([*keys.values()])


def has_other_forms(mapper: Mapper[Any]) -> bool:
    """Return whether the database may hold one key in several ways.

    :raises AssetError: as :func:`text_of` does.
    """
    return any(_has_other_forms(column) for column in key_columns(mapper))


def keys_in(
    text: ColumnElement[str], mapper: Mapper[Any], dialect: str
) -> Sequence[ColumnElement[Any]]:
    """Return :func:`.keys.decode_key` of the texts that name assets, in SQL.

    The columns must be those of a model that :func:`can_decode` accepts.
    """
    columns = root_of(mapper).primary_key
    if len(columns) == 1:
        return [_as_key(text, columns[0], dialect)]
    return [
        _as_key(_part(text, place, dialect), column, dialect)
        for place, column in enumerate(columns)
    ]


def _is_stored_canonically(column: ColumnElement[Any]) -> bool:
    if isinstance(column.type, TypeDecorator):
        return False
    return isinstance(column.type, Integer | String) or (
        isinstance(column.type, Uuid) and not _has_other_forms(column)
    )


def _has_other_forms(column: Any) -> bool:
    """Return whether the host may write one UUID in several ways."""
    return python_type(column) is UUID and not getattr(column.type, "as_uuid", False)


def _written(
    columns: Sequence[ColumnElement[Any]], dialect: Dialect
) -> ColumnElement[str]:
    texts = [_as_text(column, dialect) for column in columns]
    if len(columns) == 1:
        return texts[0]
    quoted = [
        _quote(text, column, dialect.name)
        for text, column in zip(texts, columns, strict=True)
    ]
    inside = reduce(lambda left, right: left + literal(", ") + right, quoted)
    return literal("[") + inside + literal("]")


def _as_text(column: Any, dialect: Dialect) -> ColumnElement[str]:
    kind = python_type(column)
    if kind is str:
        plain = type_coerce(column, String)
        return func.rtrim(plain) if _is_filled(column) else plain
    if kind is UUID:
        return _uuid_text(column, dialect)
    if kind is bytes:
        return _hex(column, dialect.name)
    if kind is date and dialect.name == "postgresql":
        # A cast would follow the session's DateStyle.
        return func.to_char(column, "YYYY-MM-DD", type_=String)
    return cast(column, String(255))


def _is_filled(column: ColumnElement[Any]) -> bool:
    return isinstance(column.type, CHAR)


def _uuid_text(column: ColumnElement[Any], dialect: Dialect) -> ColumnElement[str]:
    stored = _stored_type(column, dialect)
    if declared_type(stored) is bytes:
        return _hyphenated(_hex(column, dialect.name))
    if dialect.name == "postgresql" and not isinstance(stored, String):
        return cast(column, String(255))
    return _hyphenated(func.replace(func.lower(cast(column, String(36))), "-", ""))


def _stored_type(column: ColumnElement[Any], dialect: Dialect) -> TypeEngine[Any]:
    """Return the type that a database knows for a column."""
    if isinstance(column.type, TypeDecorator):
        return column.type.load_dialect_impl(dialect)
    return column.type


def _hex(column: ColumnElement[Any], dialect: str) -> ColumnElement[str]:
    if dialect == "postgresql":
        return func.encode(column, "hex", type_=String)
    return func.lower(func.hex(column), type_=String)


def _hyphenated(digits: ColumnElement[str]) -> ColumnElement[str]:
    parts, start = [], 1
    for length in _UUID_PARTS:
        parts.append(func.substr(digits, start, length, type_=String))
        start += length
    return reduce(lambda left, right: left + literal("-") + right, parts)


def _quote(text: ColumnElement[str], column: Any, dialect: str) -> ColumnElement[str]:
    if python_type(column) is not str:
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
    if isinstance(column.type, Integer):
        return cast(text, Integer)
    if isinstance(column.type, Uuid) and dialect != "postgresql":
        # Stored as text without hyphens, or comparable with it on MariaDB.
        return type_coerce(func.replace(text, "-", ""), column.type)
    if isinstance(column.type, String):
        return text
    return cast(text, column.type)
