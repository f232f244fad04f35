"""Sessions of the host that are not ``db.session``, and tables in another database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, String, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_autotag import AssetRef, AutoTag, create_models, image_uploaded

from ..hosts import Host, close, jpeg, make_host, store_labels

PHOTO = AssetRef("photo", "1")


def tags(host: Host) -> list[str]:
    return [tag.name for tag in host.autotag.tags_for(PHOTO)]


@pytest.fixture
def watched(any_host: Host) -> Iterator[Host]:
    """A host with one photo that has tags, and no job."""
    any_host.autotag.watch(any_host.Photo, lambda photo: photo.path, columns=["path"])
    with any_host.app.app_context():
        any_host.add_photo()
        any_host.db.session.remove()
        any_host.autotag.forget(PHOTO)
        store_labels(any_host, PHOTO, [("dog", 0.9)])
        yield any_host


def delete_at_second_try(watched: Host, session: Session) -> None:
    """Delete the photo and roll back, which keeps its tags; delete it again."""
    session.delete(session.get(watched.Photo, 1))
    session.flush()
    session.rollback()
    assert tags(watched) == ["dog"]
    watched.db.session.rollback()
    session.delete(session.get(watched.Photo, 1))
    session.commit()


def test_a_delete_in_another_session(watched: Host) -> None:
    start = time.monotonic()
    with Session(watched.db.engine) as session:
        delete_at_second_try(watched, session)
    assert tags(watched) == []
    assert watched.failures == []
    assert time.monotonic() - start < 4


def test_a_delete_through_another_engine(watched: Host) -> None:
    """As in a script of the host: another engine for the same database."""
    engine = create_engine(watched.db.engine.url)
    with Session(engine) as session:
        delete_at_second_try(watched, session)
    engine.dispose()
    assert tags(watched) == []


def test_inserts_and_updates_in_another_session(watched: Host) -> None:
    with Session(watched.db.engine) as session:
        session.get(watched.Photo, 1).path = "b.jpg"  # type: ignore[union-attr]
        session.add(watched.Photo(path="c.jpg"))
        session.flush()
        session.rollback()
        assert watched.jobs() == []
        session.get(watched.Photo, 1).path = "b.jpg"  # type: ignore[union-attr]
        session.add(watched.Photo(path="c.jpg"))
        session.commit()
    assert len(watched.jobs()) == 2


def test_what_is_asked_of_an_object_of_another_session(watched: Host) -> None:
    with Session(watched.db.engine) as session:
        photo = session.get(watched.Photo, 1)
        assert photo is not None
        photo.tenant = "acme"
        session.flush()
        watched.autotag.forget(photo)
        session.rollback()
        assert tags(watched) == ["dog"]
        watched.db.session.rollback()

        photo = session.get(watched.Photo, 1)
        assert photo is not None
        photo.tenant = "acme"
        session.flush()
        watched.autotag.add_tag(photo, "cat")
        session.commit()
    assert sorted(tags(watched)) == ["cat", "dog"]


def test_a_delete_tells_that_it_could_not_forget(
    watched: Host, caplog: pytest.LogCaptureFixture
) -> None:
    watched.models.metadata.drop_all(watched.db.engine, tables=watched.models.tables)
    watched.db.session.delete(watched.db.session.get(watched.Photo, 1))
    watched.db.session.commit()
    assert watched.db.session.scalar(select(func.count(watched.Photo.id))) == 0
    [failure] = watched.failures
    assert (failure["asset"], failure["code"]) == (PHOTO, "not_forgotten")
    assert failure["message"].startswith("The tags could not be deleted (")
    assert "photo 1 was deleted, but its tags were not." in caplog.text
    assert "queue" not in caplog.text


def test_a_host_whose_statements_commit_at_once(database_url: str) -> None:
    options = {"isolation_level": "AUTOCOMMIT"}
    with make_host(database_url, SQLALCHEMY_ENGINE_OPTIONS=options) as host:
        host.autotag.watch(host.Photo, lambda photo: photo.path)
        with host.app.app_context():
            photo = host.add_photo()
            host.db.session.add(host.Photo(path="b.jpg"))
            host.db.session.flush()
            image_uploaded.send(host.app, asset=PHOTO, image=jpeg())
            host.autotag.add_tag(PHOTO, "dog")
            assert tags(host) == ["dog"]
            host.db.session.delete(photo)
            host.db.session.commit()
            assert tags(host) == []
        assert len(host.jobs()) == 1
        assert host.failures == []


class HostBase(DeclarativeBase):
    pass


class Picture(HostBase):
    __tablename__ = "picture"
    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(String(40))


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[tuple[Flask, AutoTag, Engine]]:
    """A host with plain SQLAlchemy: our tables are in a separate file."""
    app = Flask("host", instance_path=str(tmp_path))
    app.config["AUTOTAG_RUNNER"] = "none"
    autotag = AutoTag(app)
    autotag.watch(Picture, lambda _: jpeg())
    engine = create_engine(f"sqlite:///{tmp_path / 'plain.sqlite'}")
    HostBase.metadata.create_all(engine)
    with app.app_context():
        yield app, autotag, engine
    engine.dispose()
    autotag.state_of(app).database.engine.dispose()
    close(app)


def jobs(autotag: AutoTag, app: Flask) -> int:
    table = autotag.models.job.__table__
    with autotag.state_of(app).database.begin() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_tables_in_another_database_follow_the_commit(
    plain: tuple[Flask, AutoTag, Engine],
) -> None:
    app, autotag, engine = plain
    with Session(engine) as session:
        session.add(Picture(path="a"))
        session.flush()
        assert jobs(autotag, app) == 0
        session.rollback()
        assert jobs(autotag, app) == 0

        picture = Picture(path="a")
        session.add(picture)
        session.commit()
        assert jobs(autotag, app) == 1

        image_uploaded.send(app, asset=picture, image=jpeg("blue"))
        assert jobs(autotag, app) == 2

        session.delete(picture)
        session.flush()
        session.rollback()
        assert jobs(autotag, app) == 2

        session.delete(picture)
        session.commit()
        assert jobs(autotag, app) == 0


def test_tables_on_a_bind_of_their_own(tmp_path: Path) -> None:
    db = SQLAlchemy()
    app = Flask("host")
    app.config.update(
        AUTOTAG_RUNNER="none",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.sqlite'}",
        SQLALCHEMY_BINDS={"tags": f"sqlite:///{tmp_path / 'tags.sqlite'}"},
    )
    db.init_app(app)
    db.metadatas["tags"] = type(db.metadata)(info={"bind_key": "tags"})
    autotag = AutoTag(app, models=create_models(db.metadatas["tags"]))

    class Photo(db.Model):  # type: ignore[name-defined,misc]
        id: Any = db.Column(db.Integer, primary_key=True)

    autotag.watch(Photo, lambda _: jpeg())
    with app.app_context():
        db.create_all()
        db.session.add(Photo())
        db.session.flush()
        db.session.rollback()
        assert jobs(autotag, app) == 0
        photo = Photo()
        db.session.add(photo)
        db.session.commit()
        assert jobs(autotag, app) == 1
        db.session.delete(photo)
        db.session.commit()
        assert jobs(autotag, app) == 0
    close(app, db)
