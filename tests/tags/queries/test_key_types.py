"""Images are found by every type of primary key that the extension accepts."""

from __future__ import annotations

import uuid
from datetime import date
from itertools import product
from typing import Any

import pytest
from sqlalchemy import (
    BINARY,
    CHAR,
    BigInteger,
    Column,
    Date,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
    inspect,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Session

from flask_autotag import TaggedMixin
from flask_autotag.host.assets import ref_of
from flask_autotag.host.sql_keys import find_object
from flask_autotag.tags.queries import selection

from ...host.test_keys import BinaryGuid, Guid
from ...hosts import Host, make_host

KEY = uuid.UUID("aabbccdd-0011-4233-8455-66778899aabb")
_BYTES = LargeBinary().with_variant(BINARY(16), "mysql", "mariadb")
#: Types of a key's columns, and the key of one object as the host writes it.
KEYS: dict[str, tuple[list[Any], list[Any]]] = {
    "integer": ([BigInteger()], [2**40]),
    "text": ([String(40)], ["Ä'\"\\ b"]),
    "filled text": ([CHAR(40)], ["abc"]),
    "uuid": ([Uuid()], [KEY]),
    "uuid as text": ([Uuid(as_uuid=False)], [str(KEY)]),
    "uuid as digits": ([Uuid(as_uuid=False)], [KEY.hex]),
    "uuid in capitals": ([Uuid(as_uuid=False)], [str(KEY).upper()]),
    "guid": ([Guid()], [KEY]),
    "guid in bytes": ([BinaryGuid()], [KEY]),
    "bytes": ([_BYTES], [KEY.bytes]),
    "date": ([Date()], [date(2026, 1, 2)]),
    "text and uuid": ([String(40), Uuid(as_uuid=False)], ['"', KEY.hex.upper()]),
    "bytes and date": ([_BYTES, Date()], [b"\0" * 16, date(1, 1, 1)]),
    "guids and filled text": (
        [Guid(), BinaryGuid(), CHAR(9)],
        [KEY, uuid.UUID(int=0), "a b"],
    ),
}


def make_model(host: Host, types: list[Any]) -> type[Any]:
    """Create a table whose key has columns of these types, and map a class."""
    columns = [
        Column(f"part{place}", declared, primary_key=True, autoincrement=False)
        for place, declared in enumerate(types)
    ]
    name = f"keyed_{uuid.uuid4().hex[:8]}"
    metadata: MetaData = host.db.metadata

    class Base(DeclarativeBase):
        pass

    Base.metadata = metadata

    class Keyed(TaggedMixin, Base):
        __table__ = Table(name, metadata, *columns)

    Keyed.__table__.create(host.db.engine)
    return Keyed


def found(session: Session, host: Host, model: type[Any]) -> list[str]:
    """Return the ways in which the tagged object is found."""
    autotag, photo = host.autotag, session.scalars(select(model)).one()
    ref = ref_of(photo)
    assert ref is not None
    ways = {
        "tags_for": lambda: autotag.tags_for(photo),
        "relationship": lambda: photo.tags,
        "select": lambda: session.scalars(autotag.select(model, ["dog"])).all(),
        "without": lambda: (
            not session.scalars(autotag.select(model, none_of=["dog"])).all()
        ),
        "facets": lambda: autotag.tag_counts(within=select(model)),
        "worker": lambda: find_object(session, inspect(model), ref.id) is not None,
    }
    return [name for name, way in ways.items() if way()]


#: Rows are checked one after the other, or found by the tag.
PAGES = {"one by one": 0, "by the tag": 10**9}


def test_an_image_is_found_by_its_key(
    host_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ["tags_for", "relationship", "select", "without", "facets", "worker"]
    with make_host(host_database_url) as host, host.app.app_context():
        session = host.db.session
        ways = {}
        for name, (types, key) in KEYS.items():
            model = make_model(host, types)
            photo = model(**{f"part{place}": part for place, part in enumerate(key)})
            session.add(photo)
            session.flush()
            host.autotag.add_tag(photo, "dog")
            session.commit()
            for way, page in PAGES.items():
                monkeypatch.setattr(selection, "_PAGE", page)
                session.expunge_all()
                ways[name, way] = found(session(), host, model)
                session.rollback()
            model.__table__.drop(host.db.engine)
        assert ways == dict.fromkeys(product(KEYS, PAGES), expected)
