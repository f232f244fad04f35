"""Texts that name rows are looked up in the host's tables."""

from __future__ import annotations

import uuid
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Date,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Uuid,
    create_engine,
    insert,
    inspect,
)
from sqlalchemy.orm import DeclarativeBase, Mapper

from flask_autotag.host.keys import encode_key
from flask_autotag.host.sql_keys import find_missing

from ..services import temporary_database
from .test_keys import Guid

UUIDS = [uuid.UUID(int=number) for number in range(3)]
#: Types of the columns, keys with rows, a key without, and texts that are no keys.
CASES: dict[str, tuple[list[Any], list[Any], Any, list[str]]] = {
    "integer": ([Integer], [(1,), (2,)], (3,), ["x", "01", " 1", str(2**70), "1.0"]),
    "big": ([SmallInteger], [(1,), (2,)], (2**40,), [str(-(2**63) - 1)]),
    "text": ([String(40)], [("a",), ("b/é.jpg",)], ("c",), []),
    "uuid": ([Uuid()], [(UUIDS[0],), (UUIDS[1],)], (UUIDS[2],), [UUIDS[1].hex]),
    "uuid as text": (
        [Uuid(as_uuid=False)],
        [(str(UUIDS[0]),), (str(UUIDS[1]),)],
        (str(UUIDS[2]),),
        ["x"],
    ),
    "guid": ([Guid()], [(UUIDS[0],), (UUIDS[1],)], (UUIDS[2],), []),
    "bytes": ([LargeBinary(20)], [(b"a",), (b"\0b",)], (b"c",), ["xyz"]),
    "date": ([Date], [(date(2026, 1, 2),)], (date(2026, 2, 1),), ["2026-13-01"]),
    "several": (
        [Integer, String(40), Uuid()],
        [(1, "a", UUIDS[0]), (1, "b", UUIDS[1])],
        (1, "b", UUIDS[0]),
        ["1", '["1"]', '["1", "a"]', "[]"],
    ),
}


def make_model(name: str, types: list[Any]) -> type[Any]:
    class Base(DeclarativeBase):
        metadata = MetaData()

    class Photo(Base):
        __table__ = Table(
            name,
            Base.metadata,
            *(
                Column(f"part{place}", each, primary_key=True, autoincrement=False)
                for place, each in enumerate(types)
            ),
        )

    return Photo


def missing(connection: Connection, mapper: Mapper[Any], *texts: str) -> set[str]:
    return find_missing(connection, mapper, texts)


def test_keys_of_each_type(database_url: str) -> None:
    engine = create_engine(database_url)
    for number, (types, keys, other, wrong) in enumerate(CASES.values()):
        if engine.dialect.name in ("mysql", "mariadb") and isinstance(
            types[0], LargeBinary
        ):
            # MariaDB has no index on a BLOB.
            continue
        model = make_model(f"photo_{number}", types)
        model.metadata.create_all(engine)
        mapper = inspect(model)
        with engine.begin() as connection:
            names = mapper.primary_key
            rows = [
                {column.name: part for column, part in zip(names, key, strict=True)}
                for key in keys
            ]
            connection.execute(insert(model), rows)
            texts = [encode_key(mapper, key) for key in keys]
            gone = encode_key(mapper, other)
            assert missing(connection, mapper, *texts, gone, *wrong) == {gone}
            assert missing(connection, mapper, *texts) == set()
            assert missing(connection, mapper, *wrong) == set()
            assert missing(connection, mapper) == set()
    engine.dispose()


def test_a_database_that_ignores_case(tmp_path: Path) -> None:
    """A text that the database finds names a row, also if it is written otherwise."""
    with temporary_database("mariadb", tmp_path) as url:
        engine = create_engine(url)
        model = make_model("photo", [String(40)])
        model.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(insert(model), [{"part0": "a.jpg"}])
            texts = ("A.JPG", "a.jpg", "b.jpg")
            assert missing(connection, inspect(model), *texts) == {"b.jpg"}
        engine.dispose()
