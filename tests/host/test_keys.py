"""Each primary key has one text, which leads back to it."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    BINARY,
    CHAR,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    TypeDecorator,
    Uuid,
    inspect,
)
from sqlalchemy.orm import DeclarativeBase, Mapper
from sqlalchemy.types import UserDefinedType

from flask_autotag import AssetError, AutoTag
from flask_autotag.host.assets import ref_of
from flask_autotag.host.keys import decode_key, encode_key
from flask_autotag.host.sql_keys import text_of

KEY = uuid.UUID("aabbccdd-0011-4233-8455-66778899aabb")


class Guid(TypeDecorator[uuid.UUID]):
    """UUIDs as 32 digits, as SQLAlchemy's documentation shows it."""

    impl = CHAR(32)
    cache_ok = True

    @property
    def python_type(self) -> type[Any]:
        return uuid.UUID

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else uuid.UUID(str(value)).hex

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else uuid.UUID(value)


class BinaryGuid(Guid):
    impl = LargeBinary(16)  # type: ignore[assignment]
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        is_mysql = dialect.name in ("mysql", "mariadb")
        return dialect.type_descriptor(BINARY(16) if is_mysql else LargeBinary(16))

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else uuid.UUID(str(value)).bytes

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else uuid.UUID(bytes=bytes(value))


class Undeclared(Guid):
    """A type that does not declare that its values are UUIDs."""

    cache_ok = True

    @property
    def python_type(self) -> type[Any]:
        return object


class Shouting(TypeDecorator[str]):
    """Numbers that the host sees as text."""

    impl = Integer
    cache_ok = True

    @property
    def python_type(self) -> type[Any]:
        return str


class Point(UserDefinedType[Any]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "POINT"


def mapper_with(*types: Any) -> Mapper[Any]:
    """Return the mapper of a class whose key has columns of these types."""

    class Base(DeclarativeBase):
        metadata = MetaData()

    columns = [
        Column(f"part{place}", declared, primary_key=True, autoincrement=False)
        for place, declared in enumerate(types)
    ]

    class Photo(Base):
        __table__ = Table("photo", Base.metadata, *columns)

    return inspect(Photo)


#: Types of columns, and values as the host reads them.
FORMS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "integer": (Integer(), st.integers(-(2**31), 2**31 - 1)),
    "big integer": (BigInteger(), st.integers(-(2**63), 2**63 - 1)),
    "text": (String(40), st.text()),
    "filled text": (CHAR(40), st.text().map(lambda text: text.rstrip(" "))),
    "uuid": (Uuid(), st.uuids()),
    "uuid as text": (Uuid(as_uuid=False), st.uuids().map(str)),
    "guid": (Guid(), st.uuids()),
    "bytes": (LargeBinary(), st.binary(max_size=127)),
    "filled bytes": (BINARY(16), st.binary(min_size=16, max_size=16)),
    "date": (Date(), st.dates()),
}


@given(st.data(), st.lists(st.sampled_from(sorted(FORMS)), min_size=1, max_size=3))
def test_a_key_comes_back_from_its_text(data: st.DataObject, names: list[str]) -> None:
    mapper = mapper_with(*(FORMS[name][0] for name in names))
    key = tuple(data.draw(FORMS[name][1]) for name in names)
    text = encode_key(mapper, key)
    assert decode_key(mapper, text) == key
    assert encode_key(mapper, decode_key(mapper, text)) == text


@pytest.mark.parametrize(
    ("declared", "values", "text"),
    [
        (
            Uuid(as_uuid=False),
            (str(KEY), KEY.hex, KEY.hex.upper(), str(KEY).upper(), KEY),
            str(KEY),
        ),
        (CHAR(8), ("ab", "ab      "), "ab"),
        (
            LargeBinary(),
            (b"\0\xff", bytearray(b"\0\xff"), memoryview(b"\0\xff")),
            "00ff",
        ),
        (Date(), (date(2026, 1, 2), datetime(2026, 1, 2, 3)), "2026-01-02"),
        (Integer(), (7, True + 6, "7"), "7"),
    ],
)
def test_values_that_are_one_key_have_one_text(
    declared: Any, values: tuple[Any, ...], text: str
) -> None:
    mapper = mapper_with(declared)
    assert {encode_key(mapper, (value,)) for value in values} == {text}


@pytest.mark.parametrize(
    "declared",
    [
        *(Boolean(), DateTime(), Enum("a", "b"), Float(), JSON(), Numeric(), Point()),
        Shouting(),
    ],
    ids=lambda declared: type(declared).__name__,
)
def test_a_type_without_a_certain_text_is_refused(declared: Any) -> None:
    mapper = mapper_with(Integer(), declared)
    for use in (
        lambda: AutoTag().watch(mapper.class_, lambda photo: photo.path),
        lambda: ref_of(mapper.class_(part0=1, part1="a")),
        lambda: decode_key(mapper, '["1", "a"]'),
        lambda: text_of(mapper),
    ):
        with pytest.raises(AssetError) as caught:
            use()
        message, name = str(caught.value), type(declared).__name__
        assert f"column photo.part1 has the type {name}, whose values" in message
        assert "Give it the type Integer, String, Uuid, LargeBinary or Date" in message


def test_a_decorated_type_has_to_declare_that_its_values_are_uuids() -> None:
    photo = mapper_with(Undeclared()).class_(part0=KEY)
    with pytest.raises(
        AssetError, match="define python_type on the type if its values"
    ):
        ref_of(photo)


@pytest.mark.parametrize(
    ("declared", "value", "reason"),
    [
        (BINARY(16), b"x", "it must have 16 bytes, or use VARBINARY"),
        (Uuid(as_uuid=False), "cat", "badly formed hexadecimal UUID string"),
        (Date(), "2026-01-02", "'str' object has no attribute 'year'"),
        (Integer(), float("inf"), "cannot convert float infinity to integer"),
    ],
)
def test_a_value_of_another_type_is_refused(
    declared: Any, value: Any, reason: str
) -> None:
    with pytest.raises(AssetError) as caught:
        encode_key(mapper_with(declared), (value,))
    assert str(caught.value) == (
        f"{value!r} is no value of the primary key column photo.part0: {reason}."
    )


@pytest.mark.parametrize(
    ("types", "text"),
    [
        ([Integer()], "seven"),
        ([Integer()], ""),
        ([Uuid()], "7"),
        ([LargeBinary()], "xy"),
        ([Date()], "yesterday"),
        ([String(), Integer()], "a"),
        ([String(), Integer()], "5"),
        ([String(), Integer()], '["a"]'),
        ([String(), Integer()], '["a", "1", "2"]'),
        ([String(), Integer()], '["a", "one"]'),
        ([String(), Uuid()], '["a", 5]'),
        ([String(), Integer()], "[" * 255),
    ],
)
def test_a_text_that_is_no_key_is_refused(types: list[Any], text: str) -> None:
    with pytest.raises(AssetError) as caught:
        decode_key(mapper_with(*types), text)
    assert str(caught.value) == f"{text!r:.80} is no primary key of Photo."
