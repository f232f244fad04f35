"""Models and the extension's tables in several databases of one application."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Integer, event, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    configure_mappers,
    mapped_column,
)

from flask_autotag import (
    AssetError,
    AutoTag,
    ConfigurationError,
    TaggedMixin,
    create_models,
    image_uploaded,
)

from .hosts import close, jpeg


@dataclass
class Site:
    """A host with a table ``photo`` in its default database, and one in another."""

    app: Flask
    db: SQLAlchemy
    Photo: type[Any]
    Media: type[Any]
    autotag: AutoTag

    def add(self, model: type[Any]) -> Any:
        """Commit an object and return it."""
        photo = model()
        self.db.session.add(photo)
        self.db.session.commit()
        return photo


@pytest.fixture(params=[None, "media"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A host with the extension's tables in either database."""
    db = SQLAlchemy(model_class=type("Base", (DeclarativeBase,), {}))

    class Photo(db.Model):  # type: ignore[name-defined]
        id: Mapped[int] = mapped_column(primary_key=True)

    class Media(db.Model):  # type: ignore[name-defined]
        __tablename__ = "photo"
        __bind_key__ = "media"
        id: Mapped[int] = mapped_column(Integer, primary_key=True)

    app = Flask("host")
    app.config.update(
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.sqlite'}",
        SQLALCHEMY_BINDS={"media": f"sqlite:///{tmp_path / 'media.sqlite'}"},
        AUTOTAG_RUNNER="none",
    )
    db.init_app(app)
    models = create_models(db.metadatas[request.param])
    with app.app_context():
        made = Site(app, db, Photo, Media, AutoTag(app, models=models))
        db.create_all()
        yield made
    close(app, db)


def beside(site: Site) -> type[Any]:
    """Return the model in the database of the extension's tables."""
    is_default = site.autotag.models.metadata is site.db.metadata
    return site.Photo if is_default else site.Media


def names(site: Site, photo: Any) -> list[str]:
    return [tag.name for tag in site.autotag.tags_for(photo)]


def test_tables_of_one_name_share_no_tags(site: Site) -> None:
    photo, media = site.add(site.Photo), site.add(site.Media)
    site.autotag.add_tag(photo, "dog")
    site.autotag.add_tag(media, "cat")
    assert (names(site, photo), names(site, media)) == (["dog"], ["cat"])
    site.autotag.forget(media)
    assert (names(site, photo), names(site, media)) == (["dog"], [])


def test_the_tables_and_a_model_in_one_database(site: Site) -> None:
    model = beside(site)
    photo = site.add(model)
    site.autotag.add_tag(photo, "dog")
    found = site.db.session.scalars(site.autotag.select(model, ["dog"])).all()
    assert found == [photo]
    counts = site.autotag.tag_counts(within=select(model))
    assert [(each.name, each.count) for each in counts] == [("dog", 1)]


def test_a_model_in_another_database_is_refused_before_any_statement(
    site: Site,
) -> None:
    model = site.Photo if beside(site) is site.Media else site.Media
    statements: list[str] = []
    for engine in site.db.engines.values():
        event.listen(
            engine,
            "before_cursor_execute",
            lambda _c, _cursor, statement, *_: statements.append(statement),
        )
    for ask in (
        lambda: site.autotag.select(model, ["dog"]),
        lambda: site.autotag.tagged(model, none_of=["dog"], session=site.db.session()),
        lambda: site.autotag.tag_counts(within=select(model)),
    ):
        with pytest.raises(AssetError) as caught:
            ask()
        metadata = "db.metadatas['media']" if model is site.Media else "Photo.metadata"
        assert str(caught.value) == (
            f"{model.__name__} is in another database than the tables of the extension,"
            " so that no statement can read both. Put these tables beside it:"
            f" AutoTag(models=create_models({metadata})). tags_for, preload and"
            " progress work without that."
        )
    assert statements == []


def test_what_needs_no_join_works_across_databases(site: Site) -> None:
    photos = [site.add(site.Photo), site.add(site.Media)]
    for photo in photos:
        image_uploaded.send(site.app, asset=photo, image=jpeg())
        site.autotag.add_tag(photo, "dog")
        site.db.session.commit()
    progress = site.autotag.progress(photos)
    assert [progress[photo].state for photo in photos] == ["pending", "pending"]
    preloaded = site.autotag.preload(photos)
    assert [preloaded[photo][0].name for photo in photos] == ["dog", "dog"]
    assert [names(site, photo) for photo in photos] == [["dog"], ["dog"]]


def test_a_session_of_another_engine_for_all_models(site: Site) -> None:
    """As for a copy of the database that is only read."""
    model, database = beside(site), site.autotag.state_of(site.app).database
    site.autotag.add_tag(site.add(model), "dog")
    with Session(database.engine) as session:
        chosen = site.autotag.select(model, ["dog"], session=session)
        assert len(session.scalars(chosen).all()) == 1


def test_the_attribute_of_a_model_in_another_database_is_refused() -> None:
    db = SQLAlchemy(model_class=type("Base", (DeclarativeBase,), {}))
    app = Flask("host")
    app.config.update(
        SQLALCHEMY_DATABASE_URI="sqlite://",
        SQLALCHEMY_BINDS={"media": "sqlite://"},
        AUTOTAG_RUNNER="none",
    )
    db.init_app(app)
    AutoTag(app)

    class Picture(TaggedMixin, db.Model):  # type: ignore[name-defined]
        __bind_key__ = "media"
        id: Mapped[int] = mapped_column(primary_key=True)

    with pytest.raises(ConfigurationError) as caught:
        configure_mappers()
    assert str(caught.value) == (
        "Picture.tags needs the tables of the extension in the database of Picture:"
        " call create_models(db.metadatas['media']) before the models are used, and"
        " pass the result as AutoTag(models=...)."
    )
    assert list(db.metadatas["media"].tables) == ["picture"]
    Picture.registry.dispose()
    close(app, db)
