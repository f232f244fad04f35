"""Which watch an image belongs to, and watches that cannot be told apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import ForeignKey, Integer, String, Table, join
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    mapped_column,
    registry,
)

from flask_autotag import AssetError, AssetRef, AutoTag
from flask_autotag.host.assets import ref_of
from flask_autotag.host.watches import Watches

from ..hosts import close

Classes = dict[str, type[Any]]


def find(photo: Any) -> Any:
    return photo.path


def other(photo: Any) -> Any:
    return photo.other


def classes(*, discriminator: bool = True) -> Classes:
    """Return a base class, subclasses of each kind of inheritance, and one of its own.

    :param discriminator: whether a row tells its class.
    """

    class Base(DeclarativeBase):
        pass

    class Photo(Base):
        __tablename__ = "photo"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(String(20))
        path: Mapped[str] = mapped_column(String(20))
        if discriminator:
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "a"}

    class Portrait(Photo):
        __mapper_args__ = {"polymorphic_identity": "portrait"} if discriminator else {}

    class SelfPortrait(Portrait):
        __mapper_args__ = {"polymorphic_identity": "self"} if discriminator else {}

    class Scan(Photo):
        __tablename__ = "scan"
        id: Mapped[int] = mapped_column(ForeignKey("photo.id"), primary_key=True)
        __mapper_args__ = {"polymorphic_identity": "scan"} if discriminator else {}

    class Copy(Photo):
        __tablename__ = "copy"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(String(20))
        path: Mapped[str] = mapped_column(String(20))
        __mapper_args__ = {"concrete": True, "polymorphic_identity": "copy"}

    return {each.__name__: each for each in (Photo, Portrait, SelfPortrait, Scan, Copy)}


@pytest.fixture
def autotag() -> AutoTag:
    return AutoTag()


def watches(autotag: AutoTag) -> Watches:
    return autotag._hooks.watches


def images(autotag: AutoTag, target: Any) -> list[tuple[str, str]]:
    """Return the types of an object's watched images, with the class of each watch."""
    found = watches(autotag).of(target)
    return [(each.asset_type, each.model.__name__) for each in found]


def refused(work: Callable[[], object]) -> str:
    with pytest.raises(AssetError) as caught:
        work()
    return str(caught.value)


def test_an_object_belongs_to_the_nearest_watched_class(autotag: AutoTag) -> None:
    made = classes()
    for name in ("Portrait", "Photo", "Scan"):
        autotag.watch(made[name], find, name.lower())
    for name, nearest in (
        ("Photo", "Photo"),
        ("Portrait", "Portrait"),
        ("SelfPortrait", "Portrait"),
        ("Scan", "Scan"),
    ):
        target = made[name]()
        assert images(autotag, target) == [("photo", nearest)]
        assert autotag._hooks.instance_of(target, "photo") == nearest.lower()
    assert watches(autotag).models() == [made["Photo"]]


def test_classes_without_a_watched_base_class(autotag: AutoTag) -> None:
    made = classes()
    autotag.watch(made["Portrait"], find)
    autotag.watch(made["Scan"], find)
    assert images(autotag, made["Photo"]()) == []
    assert watches(autotag).models("photo") == [made["Portrait"], made["Scan"]]
    assert autotag._hooks.instance_of(made["Photo"](), "photo") == "default"


def test_a_class_with_a_table_of_its_own(autotag: AutoTag) -> None:
    """Its rows have keys of their own: a copy and a photo may both be number 1."""
    made = classes()
    assert ref_of(made["Copy"](id=1)) == AssetRef("copy", "1")
    assert ref_of(made["Scan"](id=1)) == AssetRef("photo", "1")
    autotag.watch(made["Photo"], find)
    assert images(autotag, made["Copy"]()) == []
    autotag.watch(made["Copy"], find)
    assert images(autotag, made["Copy"]()) == [("copy", "Copy")]
    assert watches(autotag).models() == [made["Photo"], made["Copy"]]


def test_each_image_of_a_row_belongs_to_a_watch(autotag: AutoTag) -> None:
    made = classes()
    autotag.watch(made["Photo"], find, name="cover")
    autotag.watch(made["Photo"], find, name="logo")
    autotag.watch(made["Portrait"], find, name="logo")
    autotag.watch(made["Scan"], find)
    cover = ("photo#cover", "Photo")
    assert images(autotag, made["Photo"]()) == [cover, ("photo#logo", "Photo")]
    assert images(autotag, made["Portrait"]()) == [cover, ("photo#logo", "Portrait")]
    assert images(autotag, made["Scan"]())[-1] == ("photo", "Scan")
    assert watches(autotag).types() == ["photo#cover", "photo#logo", "photo"]


def test_the_name_of_an_image_is_a_part_of_its_type() -> None:
    assert AssetRef("photo#cover", "1").name == "cover"
    assert AssetRef("photo", "1").name is None


@pytest.mark.parametrize("name", ["", "a b", "a#b", "é", "a\n", "x" * 41, 7, "a/b"])
def test_what_is_no_name(autotag: AutoTag, name: Any) -> None:
    photo = classes()["Photo"]
    assert refused(lambda: autotag.watch(photo, find, name=name)) == (
        "The name of an image of Photo has 1 to 40 letters, digits, underscores and"
        f" hyphens of ASCII, unlike {name!r:.80}."
    )
    assert len(watches(autotag)) == 0


def test_a_name_of_every_allowed_character(autotag: AutoTag) -> None:
    autotag.watch(classes()["Photo"], find, name="Front-cover_2")
    assert watches(autotag).types() == ["photo#Front-cover_2"]


def test_images_of_what_is_not_mapped_to_a_table(autotag: AutoTag) -> None:
    made = classes()
    photo, scan = made["Photo"].__table__, made["Scan"].__table__
    both = join(photo, scan, photo.c.id == scan.c.id).select().subquery("both")

    class Both:
        id: int

    registry().map_imperatively(Both, both, primary_key=[both.c.id])
    assert refused(lambda: autotag.watch(Both, find, name="cover")) == (
        "Both is not mapped to a table, so its images have no names: call watch without"
        " name=."
    )


def test_a_name_that_no_watch_has_given(autotag: AutoTag) -> None:
    photo = classes()["Photo"](id=1)
    assert refused(lambda: autotag.tags_for(photo, name="cover")) == (
        "Photo has no image named 'cover'. Its named images: none. Name one by"
        " autotag.watch(..., name=...)."
    )
    autotag.watch(type(photo), find, name="logo")
    autotag.watch(type(photo), find, name="cover")
    message = refused(lambda: watches(autotag).type_of_one(photo, "covr"))
    assert message.startswith(
        "Photo has no image named 'covr'. Its named images: 'logo', 'cover'."
    )


def test_a_name_beside_a_ref(autotag: AutoTag) -> None:
    ref = AssetRef("photo", "1")
    message = "photo 1 names one image already: leave out name='a', or pass the object."
    assert refused(lambda: watches(autotag).type_of_one(ref, "a")) == message
    assert refused(lambda: autotag.preload([ref], name="a")) == message


def test_the_one_image_that_is_meant(autotag: AutoTag) -> None:
    made, one = classes(), watches(autotag).type_of_one
    photo = made["Photo"](id=1)
    assert one(AssetRef("a#b", "1")) == "a#b"
    assert one(photo) == "photo"
    autotag.watch(made["Photo"], find, name="cover")
    assert one(photo) == "photo#cover"
    autotag.watch(made["Photo"], find, name="logo")
    assert refused(lambda: one(photo)) == (
        "The Photo has several images: pass name='cover' or name='logo'."
    )
    assert one(photo, "logo") == "photo#logo"
    autotag.watch(made["Photo"], find)
    assert one(photo) == "photo"


def test_the_same_image_by_another_function(autotag: AutoTag) -> None:
    photo = classes()["Photo"]
    message = (
        "Photo is watched already, with other arguments. For another image of its rows,"
        " pass watch(Photo, ..., name=...)."
    )
    autotag.watch(photo, find, "shop", columns=["path"])
    for again in (
        lambda: autotag.watch(photo, other, "shop", columns=["path"]),
        lambda: autotag.watch(photo, find, "news", columns=["path"]),
        lambda: autotag.watch(photo, find, "shop"),
        lambda: autotag.watch(photo, find, "shop", columns=["path"], when=find),
    ):
        assert refused(again) == message
    autotag.watch(photo, find, name="cover")
    assert refused(lambda: autotag.watch(photo, other, name="cover")) == message
    assert [each.image for each in watches(autotag)] == [find, find]


def test_a_factory_that_watches_the_same_model_again(autotag: AutoTag) -> None:
    photo = classes()["Photo"]
    for _ in range(2):
        autotag.watch(photo, lambda photo: photo.path, lambda photo: photo.kind)
        autotag.watch(photo, partial(getattr, "path"), name="partial")
        autotag.watch(photo, attrgetter("path"), name="getter")
    assert len(watches(autotag)) == 3
    again = lambda: autotag.watch(photo, attrgetter("kind"), name="getter")  # noqa: E731
    assert "with other arguments" in refused(again)


def find_in(folder: Any, photo: Any) -> Any:
    return f"{folder}/{photo.path}"


def find_in_either(photo: Any, folder: Any = "c", other: Any = None) -> Any:
    return find_in(folder, photo) or find_in(other, photo)


def keep(folder: Any) -> Callable[[Any], Any]:
    return lambda photo: f"{folder}/{photo.path}"


@pytest.mark.parametrize(
    "make",
    [
        keep,
        lambda folder: partial(find_in, folder),
        lambda folder: partial(find_in_either, other=folder),
        lambda folder: lambda photo, where=folder: f"{where}/{photo.path}",
    ],
)
def test_functions_of_one_definition_that_keep_other_values(
    autotag: AutoTag, make: Callable[[Any], Any]
) -> None:
    photo = classes()["Photo"]
    for _ in range(2):
        autotag.watch(photo, make("a"))
    for other_value in ("b", None, 7):
        message = refused(lambda value=other_value: autotag.watch(photo, make(value)))  # type: ignore[misc]
        assert message.startswith("Photo is watched already, with other arguments.")
    # Nobody knows whether these are equal.
    autotag.watch(photo, make(object()))
    autotag.watch(photo, make(object()))
    assert len(watches(autotag)) == 1


def test_a_function_that_keeps_what_is_not_known_yet(autotag: AutoTag) -> None:
    photo = classes()["Photo"]

    def watch() -> None:
        autotag.watch(photo, lambda _: later)
        later = "a"

    watch()
    watch()
    assert len(watches(autotag)) == 1


def test_another_application_of_the_factory_keeps_another_folder(
    autotag: AutoTag, tmp_path: Path
) -> None:
    photo = classes()["Photo"]
    for folder in ("a", "b"):
        app = Flask(folder, instance_path=str(tmp_path / folder))
        app.config["AUTOTAG_RUNNER"] = "none"
        autotag.init_app(app)
        autotag.watch(photo, keep(folder))
        assert "with other" in refused(lambda: autotag.watch(photo, keep("c")))
        close(app)
    [watch] = watches(autotag)
    assert watch.image(photo(path="1.jpg")) == "b/1.jpg"


def test_a_factory_that_defines_all_classes_again(autotag: AutoTag) -> None:
    for _ in range(2):
        made = classes()
        autotag.watch(made["Photo"], find, name="cover")
        autotag.watch(made["Portrait"], find, name="cover")
    assert {each.model for each in watches(autotag)} == {
        made["Photo"],
        made["Portrait"],
    }
    # Objects of the earlier application keep their watches.
    assert images(autotag, classes()["SelfPortrait"]()) == [("photo#cover", "Portrait")]
    autotag.watch(classes()["Photo"], find)
    assert [each.asset_type for each in watches(autotag)] == ["photo"]


def test_classes_of_rows_that_do_not_tell_their_class(autotag: AutoTag) -> None:
    made = classes(discriminator=False)
    autotag.watch(made["Scan"], find)
    for name in (None, "cover"):
        assert refused(lambda: autotag.watch(made["Photo"], find, name=name)) == (  # noqa: B023
            "Scan and Photo are classes of the table photo, whose rows do not tell"
            " their class. Set polymorphic_on for Photo, or watch only one of the two."
        )
    autotag.watch(made["Scan"], find, name="cover")
    assert images(autotag, made["Scan"]()) == [
        ("photo", "Scan"),
        ("photo#cover", "Scan"),
    ]


@pytest.mark.filterwarnings("ignore:This declarative base already contains")
def test_two_classes_of_one_name_in_one_table(autotag: AutoTag) -> None:
    made = classes()

    def portrait(identity: str) -> type[Any]:
        class Sub(made["Photo"]):  # type: ignore[name-defined, misc]
            __mapper_args__ = {"polymorphic_identity": identity}

        return Sub

    autotag.watch(portrait("one"), find)
    assert refused(lambda: autotag.watch(portrait("two"), find)) == (
        "Two watched classes of the table photo have the name Sub. Rename one of them."
    )


def test_two_classes_that_only_have_a_table_in_common(autotag: AutoTag) -> None:
    table = classes()["Photo"].__table__

    class Picture: ...

    class Image: ...

    for each in (Picture, Image):
        registry().map_imperatively(each, table)
    autotag.watch(Picture, find)
    assert refused(lambda: autotag.watch(Image, find, name="cover")) == (
        "Picture and Image are mapped to one table, photo, and have no mapped base"
        " class in common. Watch only one of the two."
    )


def test_a_table_that_is_called_like_an_image(autotag: AutoTag) -> None:
    class Base(DeclarativeBase):
        pass

    class Odd(Base):
        __table__ = Table(
            "photo#cover",
            Base.metadata,
            mapped_column("id", Integer, primary_key=True).column,
        )
        number = column_property(__table__.c.id)

    photo = classes()["Photo"]
    autotag.watch(photo, find, name="cover")
    assert refused(lambda: autotag.watch(Odd, find)) == (
        "The images of Photo and Odd would share their tags: both have the asset type"
        " 'photo#cover'. Give one of the tables another name, schema or bind key."
    )
    # A deleted row takes all its images along, watched or not.
    message = refused(lambda: autotag.watch(Odd, find, name="cover"))
    assert "both have the asset type 'photo#cover'" in message
    other = AutoTag()
    other.watch(Odd, find, name="cover")
    assert refused(lambda: other.watch(photo, find, name="cover")) == message.replace(
        "of Photo and Odd", "of Odd and Photo"
    )
