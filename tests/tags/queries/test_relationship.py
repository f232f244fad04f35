"""``photo.tags`` of the host's own models."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, String, event, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    joinedload,
    mapped_column,
    raiseload,
    selectinload,
    subqueryload,
)

from flask_autotag import AppliedTag, AssetRef, AutoTag, TaggedMixin, create_models

from ...hosts import Host, close
from ...services import temporary_database
from .test_applied_tags import tag


@contextmanager
def host_with(url: str, db: Any, photo: type[Any], **made: Any) -> Iterator[Host]:
    """Run a host whose model has the attribute."""
    app = Flask("host")
    app.config.update(SQLALCHEMY_DATABASE_URI=url, AUTOTAG_RUNNER="none")
    db.init_app(app)
    host = Host(app, db, photo, AutoTag(app, **made))
    with app.app_context():
        db.create_all()
        yield host
    close(app, db)


def make_model() -> tuple[SQLAlchemy, type[Any]]:
    db = SQLAlchemy()

    class Photo(TaggedMixin, db.Model):  # type: ignore[name-defined]
        id: Mapped[int] = mapped_column(primary_key=True)
        path: Mapped[str] = mapped_column(String(500))

    return db, Photo


@pytest.fixture
def tagged(database_url: str) -> Iterator[Host]:
    with host_with(database_url, *make_model()) as host:
        for path, names in (("a", ["dog", "grass"]), ("b", ["cat"]), ("c", [])):
            tag(host, host.add_photo(path), *names)
        yield host


@pytest.fixture
def host(sqlite_url: str) -> Iterator[Host]:
    with host_with(sqlite_url, *make_model()) as host:
        yield host


def names(photo: Any) -> list[str]:
    return [each.name for each in photo.tags]


def test_a_photo_has_the_tags_that_tags_for_gives(tagged: Host) -> None:
    photo = tagged.db.session.get(tagged.Photo, 1)
    tagged.autotag.add_tag(photo, "Rex")
    tagged.autotag.reject_tag(photo, "grass")
    tagged.autotag.pin_tags(photo, ["Rex"])
    tag(tagged, AssetRef("photo", "1"), "dog", "lawn", instance="acme")

    expected = tagged.autotag.tags_for(photo)
    assert [each.name for each in expected] == ["Rex", "dog", "dog", "lawn"]
    for field in fields(AppliedTag):
        of_photo = [getattr(each, field.name) for each in photo.tags]
        assert of_photo == [getattr(each, field.name) for each in expected]
    assert photo.tags[0].instance == "default"
    assert {each.instance for each in photo.tags} == {"default", "acme"}


@pytest.mark.parametrize(
    ("load", "statements"), [(selectinload, 2), (subqueryload, 2), (joinedload, 1)]
)
def test_the_tags_of_a_page_are_loaded_at_once(
    tagged: Host, load: Any, statements: int
) -> None:
    asked: list[str] = []
    page = select(tagged.Photo).options(load(tagged.Photo.tags), raiseload("*"))
    event.listen(
        tagged.db.engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: asked.append(statement),
    )
    found = tagged.db.session.scalars(page.order_by(tagged.Photo.id)).unique().all()
    assert [names(photo) for photo in found] == [["dog", "grass"], ["cat"], []]
    assert len(asked) == statements


def test_photos_are_found_by_what_their_tags_are_called(tagged: Host) -> None:
    photo = tagged.Photo
    cats = select(photo.path).where(photo.tags.any(name="cat"))
    assert tagged.db.session.scalars(cats).all() == ["b"]
    untagged = select(photo.path).where(~photo.tags.any())
    assert tagged.db.session.scalars(untagged).all() == ["c"]


def test_what_may_not_load_by_itself_says_so(host: Host) -> None:
    host.add_photo()
    [photo] = host.db.session.scalars(
        select(host.Photo).options(raiseload(host.Photo.tags))
    )
    with pytest.raises(InvalidRequestError, match=r"Photo\.tags"):
        assert photo.tags


def test_tags_added_since_are_seen_after_a_refresh(host: Host) -> None:
    photo = host.add_photo()
    assert photo.tags == []
    host.autotag.add_tag(photo, "Rex")
    host.db.session.refresh(photo, ["tags"])
    assert names(photo) == ["Rex"]


def test_nobody_can_write_to_it(host: Host) -> None:
    photo = host.add_photo()
    host.autotag.add_tag(photo, "Rex")
    host.db.session.refresh(photo)
    [rex] = photo.tags
    message = r"autotag\.add_tag\(asset, tag\) or autotag\.remove_tag\(asset, tag\)"
    for change in (
        lambda: photo.tags.append(rex),
        lambda: photo.tags.remove(rex),
        lambda: setattr(photo, "tags", []),
        lambda: host.Photo(path="b", tags=[rex]),
    ):
        with pytest.raises(AttributeError, match=message):
            change()
    host.db.session.rollback()

    rex.confidence = 0.5
    with pytest.raises(AttributeError, match=message):
        host.db.session.flush()
    host.db.session.rollback()
    host.db.session.delete(rex)
    with pytest.raises(AttributeError, match=message):
        host.db.session.flush()
    host.db.session.rollback()
    assert [each.name for each in host.autotag.tags_for(photo)] == ["Rex"]


def test_a_photo_can_be_deleted_with_its_tags_loaded(host: Host) -> None:
    photo = host.add_photo()
    host.autotag.add_tag(photo, "Rex")
    assert names(photo) == ["Rex"]
    host.db.session.delete(photo)
    host.db.session.commit()
    assert host.db.session.get(host.Photo, 1) is None


KEYS = [
    pytest.param({"id": uuid.UUID}, [(uuid.UUID(int=7),), (uuid.uuid4(),)], id="uuid"),
    pytest.param({"id": str}, [("one",), ('"té" \\',)], id="text"),
    pytest.param(
        {"site": str, "number": int}, [("a", 1), ('a "b"\\ é\n', 12)], id="composite"
    ),
    pytest.param({"a": uuid.UUID, "b": int}, [(uuid.UUID(int=7), 1)], id="mixed"),
]


@pytest.mark.parametrize(("columns", "keys"), KEYS)
def test_any_primary_key(
    database_url: str, columns: dict[str, type[Any]], keys: list[tuple[Any, ...]]
) -> None:
    db, _ = make_model()
    fields = {
        name: mapped_column(String(40) if kind is str else None, primary_key=True)
        for name, kind in columns.items()
    }
    annotations = {name: Mapped[kind] for name, kind in columns.items()}  # type: ignore[valid-type]
    page = type(
        "Page", (TaggedMixin, db.Model), {**fields, "__annotations__": annotations}
    )
    with host_with(database_url, db, page) as host:
        for number, key in enumerate(keys):
            made = page(**dict(zip(columns, key, strict=True)))
            host.db.session.add(made)
            host.db.session.commit()
            host.autotag.add_tag(made, f"tag {number}")
        for options in ([], [selectinload(page.tags)], [joinedload(page.tags)]):
            host.db.session.expunge_all()
            for number, key in enumerate(keys):
                one = host.db.session.get(page, key, options=options)
                assert names(one) == [f"tag {number}"]
        [first] = host.db.session.scalars(
            select(page).where(page.tags.any(name="tag 0"))
        )
        assert names(first) == ["tag 0"]


def test_subclasses_have_it_too(database_url: str) -> None:
    db, _ = make_model()

    class Media(TaggedMixin, db.Model):  # type: ignore[name-defined]
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(String(20))
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "media"}

    class Film(Media):
        id: Mapped[int] = mapped_column(ForeignKey("media.id"), primary_key=True)
        __mapper_args__ = {"polymorphic_identity": "film"}

    class Clip(Media):
        __mapper_args__ = {"polymorphic_identity": "clip"}

    with host_with(database_url, db, Media) as host:
        for number, model in enumerate((Media, Film, Clip)):
            made = model()
            host.db.session.add(made)
            host.db.session.commit()
            host.autotag.add_tag(made, f"tag {number}")
        host.db.session.commit()
        every = select(Media).order_by(Media.id)
        for statement in (every, every.options(selectinload(Media.tags))):
            found = [names(media) for media in host.db.session.scalars(statement)]
            assert found == [["tag 0"], ["tag 1"], ["tag 2"]]
            host.db.session.expunge_all()
        [film] = host.db.session.scalars(
            select(Film).options(selectinload(Film.tags)).where(Film.tags.any())
        )
        assert names(film) == ["tag 1"]


def test_of_a_subclass_alone(sqlite_url: str) -> None:
    db, _ = make_model()

    class Media(db.Model):  # type: ignore[name-defined]
        key: Mapped[int] = mapped_column(primary_key=True)

    class Film(TaggedMixin, Media):
        id: Mapped[int] = mapped_column(ForeignKey("media.key"), primary_key=True)

    with host_with(sqlite_url, db, Film) as host:
        film = Film()
        host.db.session.add(film)
        host.db.session.commit()
        host.autotag.add_tag(film, "Rex")
        assert names(film) == ["Rex"]
        loaded = select(Film).options(selectinload(Film.tags))
        assert names(host.db.session.scalars(loaded).one()) == ["Rex"]


def test_a_model_made_after_the_extension(host: Host) -> None:
    class Picture(TaggedMixin, host.db.Model):  # type: ignore[name-defined]
        id: Mapped[int] = mapped_column(primary_key=True)

    host.db.create_all()
    picture = Picture()
    host.db.session.add(picture)
    host.db.session.commit()
    host.autotag.add_tag(picture, "Rex")
    photo = host.add_photo()
    host.autotag.add_tag(photo, "lawn")
    assert (names(picture), names(photo)) == (["Rex"], ["lawn"])


def test_two_applications_with_one_model_each(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / name}.sqlite" for name in ("a", "b")]
    with host_with(urls[0], *make_model()) as first:
        photo = first.add_photo()
        first.autotag.add_tag(photo, "Rex")
        with host_with(urls[1], *make_model()) as second:
            other = second.add_photo()
            second.autotag.add_tag(other, "lawn")
            assert names(other) == ["lawn"]
        assert names(photo) == ["Rex"]


def test_tables_in_a_database_of_their_own(tmp_path: Path) -> None:
    """The query goes to the database of the bind, not to the default one."""
    db, _ = make_model()

    class Media(TaggedMixin, db.Model):  # type: ignore[name-defined]
        __bind_key__ = "media"
        id: Mapped[int] = mapped_column(primary_key=True)

    app = Flask("host")
    app.config.update(
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'a.sqlite'}",
        SQLALCHEMY_BINDS={"media": f"sqlite:///{tmp_path / 'b.sqlite'}"},
        AUTOTAG_RUNNER="none",
    )
    db.init_app(app)
    autotag = AutoTag(app, models=create_models(db.metadatas["media"]))
    with app.app_context():
        db.create_all()
        media = Media()
        db.session.add(media)
        db.session.commit()
        autotag.add_tag(media, "Rex")
        assert names(media) == ["Rex"]
        for load in (selectinload, joinedload):
            db.session.expunge_all()
            page = select(Media).options(load(Media.tags))
            assert names(db.session.scalars(page).unique().one()) == ["Rex"]
    close(app, db)


@pytest.mark.skipif(
    version("flask-sqlalchemy").startswith("3.0."),
    reason="Flask-SQLAlchemy 3.0 does not know DeclarativeBase.",
)
def test_a_model_that_is_a_dataclass(sqlite_url: str) -> None:
    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Picture(MappedAsDataclass, TaggedMixin, db.Model):  # type: ignore[name-defined]
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        path: Mapped[str] = mapped_column(String(500))

    with host_with(sqlite_url, db, Picture) as host:
        picture = host.add_photo("a")
        host.autotag.add_tag(picture, "Rex")
        assert names(picture) == ["Rex"]


def make_plain() -> tuple[type[Any], type[Any]]:
    class Base(DeclarativeBase):
        pass

    class Photo(TaggedMixin, Base):
        __tablename__ = "photo"
        id: Mapped[int] = mapped_column(primary_key=True)

    return Base, Photo


def test_with_flask_sqlalchemy_lite(sqlite_url: str) -> None:
    lite = pytest.importorskip("flask_sqlalchemy_lite", reason="It needs Flask 3.")
    base, photo_class = make_plain()
    app = Flask("host")
    app.config.update(SQLALCHEMY_ENGINES={"default": sqlite_url}, AUTOTAG_RUNNER="none")
    db = lite.SQLAlchemy(app)
    autotag = AutoTag(app, models=create_models(base.metadata))
    with app.app_context():
        base.metadata.create_all(db.engine)
        photo = photo_class()
        db.session.add(photo)
        db.session.commit()
        autotag.add_tag(photo, "Rex")
        assert names(photo) == ["Rex"]
        db.session.close()
        db.engine.dispose()
    app.extensions["autotag"].state_of(app).close_children()


def test_in_an_asynchronous_session(tmp_path: Path) -> None:
    async def find(url: str, photo: type[Any]) -> list[list[str]]:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            page = select(photo).options(selectinload(photo.tags))
            found = [names(each) for each in await session.scalars(page)]
        await engine.dispose()
        return found

    with (
        temporary_database("postgresql", tmp_path) as url,
        host_with(url, *make_model()) as host,
    ):
        tag(host, host.add_photo("a"), "dog")
        assert asyncio.run(find(url, host.Photo)) == [["dog"]]
