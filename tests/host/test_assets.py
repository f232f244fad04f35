from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    create_engine,
    inspect,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_autotag import AssetError, AssetRef, Upload
from flask_autotag.host.assets import (
    instance_state,
    number_of,
    ref_of,
    type_of,
)
from flask_autotag.host.keys import decode_key


class Base(DeclarativeBase):
    pass


class Photo(Base):
    __tablename__ = "photo"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "photo"}


class Portrait(Photo):
    __tablename__ = "portrait"
    id: Mapped[int] = mapped_column(ForeignKey(Photo.id), primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "portrait"}


class Page(Base):
    __tablename__ = "page"
    site: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)


@pytest.mark.parametrize(
    ("type_", "id_"), [("photo", "7"), ("x" * 350, "y" * 255), ("page", '["a", "1"]')]
)
def test_a_ref_holds_a_type_and_an_id(type_: str, id_: str) -> None:
    ref = AssetRef(type_, id_)
    assert (ref.type, ref.id) == (type_, id_)
    assert str(ref) == f"{type_} {id_}"


def test_the_id_of_a_ref_becomes_text() -> None:
    assert AssetRef("photo", 7) == AssetRef("photo", "7")  # type: ignore[arg-type]
    key = uuid.uuid4()
    assert AssetRef("photo", key).id == str(key)  # type: ignore[arg-type]


@pytest.mark.parametrize("id_", ["", "y" * 256, None])
def test_an_id_that_does_not_fit_is_refused(id_: Any) -> None:
    with pytest.raises(AssetError) as caught:
        AssetRef("photo", id_)
    assert str(caught.value) == (
        f"The id of an AssetRef is a text of 1 to 255 characters, not {id_!r:.80}."
    )


@pytest.mark.parametrize("type_", ["", "x" * 351, None, 5, b"photo"])
def test_a_type_that_does_not_fit_is_refused(type_: Any) -> None:
    with pytest.raises(AssetError) as caught:
        AssetRef(type_, "1")
    assert str(caught.value) == (
        f"The type of an AssetRef is a text of 1 to 350 characters, not {type_!r:.80}."
    )


def test_refs_are_equal_by_value_and_hashable() -> None:
    assert len({AssetRef("photo", "1"), AssetRef("photo", "1")}) == 1


def test_an_upload_does_not_show_its_image() -> None:
    shown = repr(Upload(AssetRef("photo", "1"), b"secret pixels"))
    assert "secret" not in shown
    assert "instance='default'" in shown


def test_a_ref_names_itself() -> None:
    ref = AssetRef("photo", "1")
    assert ref_of(ref) is ref


def test_an_object_is_named_by_its_table_and_key() -> None:
    assert ref_of(Photo(id=7)) == AssetRef("photo", "7")
    assert ref_of(Page(site="a", number=1)) == AssetRef("page", '["a", "1"]')


def test_a_subclass_shares_the_type_of_its_base() -> None:
    assert type_of(inspect(Portrait)) == "photo"
    assert ref_of(Portrait(id=7)) == AssetRef("photo", "7")


@pytest.mark.parametrize(
    ("bind", "schema", "expected"),
    [
        (None, None, "photo"),
        (None, "cms", "cms.photo"),
        ("media", None, "media:photo"),
        ("media", "cms", "media:cms.photo"),
    ],
)
def test_schema_and_bind_belong_to_the_type(
    bind: str | None, schema: str | None, expected: str
) -> None:
    class Other(DeclarativeBase):
        metadata = MetaData(info={"bind_key": bind})

    class Image(Other):
        __table__ = Table(
            "photo",
            Other.metadata,
            Column("id", Integer, primary_key=True),
            schema=schema,
        )

    assert ref_of(Image(id=7)) == AssetRef(expected, "7")


@pytest.mark.parametrize("asset", [Photo(), Page(site="a"), Page(number=1)])
def test_an_object_without_a_whole_key_has_no_name_yet(asset: object) -> None:
    assert ref_of(asset) is None


def test_an_expired_and_detached_object_is_named_without_a_query() -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine, [inspect(Photo).local_table])
    with Session(engine) as session:
        photo = Photo()
        session.add(photo)
        session.commit()
    engine.dispose()
    assert ref_of(photo) == AssetRef("photo", "1")


@pytest.mark.parametrize("asset", [None, "photo", 7, Photo, object()])
def test_what_is_no_mapped_object_cannot_be_named(asset: Any) -> None:
    for name in (ref_of, instance_state):
        with pytest.raises(AssetError) as caught:
            name(asset)
        assert str(caught.value) == (
            "An asset is an instance of a mapped class or an AssetRef, not "
            f"{asset!r:.80}."
        )


def test_the_key_of_a_subclass_is_that_of_its_base() -> None:
    assert decode_key(inspect(Portrait), "7") == (7,)


@given(st.integers())
def test_an_integer_key_is_a_number_if_a_column_of_64_bits_holds_it(key: int) -> None:
    fits = -(2**63) <= key < 2**63
    assert number_of(AssetRef("photo", str(key))) == (key if fits else None)


@pytest.mark.parametrize(
    "key", ["007", "+7", "-0", " 7", "1_0", "\u0667", "7.0", "x", "[]"]
)
def test_other_keys_are_no_number(key: str) -> None:
    assert number_of(AssetRef("photo", key)) is None
