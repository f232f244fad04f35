"""Installing the extension, in one application and in several."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
from blinker import Signal
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_autotag import (
    AssetError,
    AssetRef,
    AutoTag,
    ConfigurationError,
    TransactionError,
    Upload,
    create_models,
    image_uploaded,
)
from flask_autotag.errors import ImageMissing

from .hosts import ESPRESSO, ESPRESSO_TAGS, Host, close, jpeg, make_db


def job_count(app: Flask) -> int:
    autotag: AutoTag = app.extensions["autotag"]
    database = autotag.state_of(app).database
    with app.app_context(), database.begin() as session:
        return session.query(database.models.job).count()


def make_app(url: str | None = None, **config: Any) -> Flask:
    app = Flask("host", instance_path=config.pop("instance_path", None))
    app.config["AUTOTAG_RUNNER"] = "none"
    if url is not None:
        app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config.update(config)
    return app


def test_finds_the_hosts_flask_sqlalchemy(host: Host) -> None:
    with host.app.app_context():
        assert host.models.metadata is host.db.metadata
        assert "autotag_job" in inspect(host.db.engine).get_table_names()


def test_takes_an_explicit_db(sqlite_url: str) -> None:
    db, _ = make_db()
    app = make_app(sqlite_url)
    db.init_app(app)
    autotag = AutoTag()
    autotag.init_app(app, db=db)
    with app.app_context():
        assert autotag.models.metadata is db.metadata
    close(app, db)


def test_wants_the_db_first(sqlite_url: str) -> None:
    db, _ = make_db()
    with pytest.raises(ConfigurationError, match=r"call db\.init_app\(app\) before"):
        AutoTag(db=db).init_app(make_app(sqlite_url))


def test_works_with_flask_sqlalchemy_lite(sqlite_url: str) -> None:
    lite = pytest.importorskip("flask_sqlalchemy_lite", reason="It needs Flask 3.")

    class Base(DeclarativeBase):
        pass

    class Photo(Base):
        __tablename__ = "photo"
        id: Mapped[int] = mapped_column(primary_key=True)

    app = make_app(SQLALCHEMY_ENGINES={"default": sqlite_url})
    db = lite.SQLAlchemy(app)
    autotag = AutoTag(app, models=create_models(Base.metadata))
    with app.app_context():
        Base.metadata.create_all(db.engine)
        photo = Photo()
        db.session.add(photo)
        image_uploaded.send(app, asset=photo, image=jpeg())
        db.session.rollback()
        db.session.add(Photo(id=3))
        image_uploaded.send(app, asset=AssetRef("photo", "3"), image=jpeg())
        db.session.commit()
        assert autotag.tags_for(AssetRef("photo", "3")) == []
    assert job_count(app) == 1
    with app.app_context():
        db.engine.dispose()


def test_flask_sqlalchemy_lite_needs_the_models(sqlite_url: str) -> None:
    lite = pytest.importorskip("flask_sqlalchemy_lite", reason="It needs Flask 3.")
    app = make_app(SQLALCHEMY_ENGINES={"default": sqlite_url})
    db = lite.SQLAlchemy(app)
    with pytest.raises(ConfigurationError, match=r"create_models\(Base\.metadata\)"):
        AutoTag(app)
    with app.app_context():
        db.engine.dispose()


def test_keeps_a_file_of_its_own_where_the_host_has_no_database(
    tmp_path: Path,
) -> None:
    app = make_app(instance_path=str(tmp_path / "instance"), AUTOTAG_RUNNER="inline")
    autotag = AutoTag(app)
    file = tmp_path / "instance" / "autotag.sqlite"
    assert not file.exists()

    image_uploaded.send(app, asset=AssetRef("page", "a/b.jpg"), image=ESPRESSO)

    assert file.exists()
    with app.app_context():
        tags = autotag.tags_for(AssetRef("page", "a/b.jpg"))
        autotag.forget(AssetRef("page", "a/b.jpg"))
        assert autotag.tag_counts() == []
    assert {tag.name for tag in tags} == set(ESPRESSO_TAGS)
    state = autotag.state_of(app)
    state.close_children()
    state.database.engine.dispose()


def test_a_database_that_comes_after_it_is_no_surprise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise its tables would be in our own file, not in the host's database."""
    app = make_app(f"sqlite:///{tmp_path / 'cms.sqlite'}", instance_path=str(tmp_path))
    autotag = AutoTag(app)
    db, Photo = make_db()
    db.init_app(app)
    message = "SQLAlchemy was initialised for this app after AutoTag"
    with app.app_context():
        db.create_all()
        photo = Photo(path="a")
        db.session.add(photo)
        image_uploaded.send(app, asset=photo, image=ESPRESSO)
        db.session.commit()
        assert photo.id == 1
        with pytest.raises(ConfigurationError, match=message):
            autotag.tags_for(photo)
    assert message in caplog.text
    for command in ("doctor", "init-db", "status"):
        result = app.test_cli_runner().invoke(args=["autotag", command])
        assert result.exit_code == 1
        assert result.output.count(message) == 1
    assert not (tmp_path / "autotag.sqlite").exists()
    close(app, db)


def test_two_applications_with_one_db_stay_apart(tmp_path: Path) -> None:
    db, Photo = make_db()
    autotag = AutoTag(db=db)
    apps = []
    for name in ("one", "two"):
        app = make_app(f"sqlite:///{tmp_path / name}.sqlite")
        db.init_app(app)
        autotag.init_app(app)
        with app.app_context():
            db.create_all()
        apps.append(app)
    one, two = apps

    with one.app_context():
        photo = Photo(path="a")
        db.session.add(photo)
        image_uploaded.send(one, asset=photo, image=jpeg())
        db.session.commit()

    assert (job_count(one), job_count(two)) == (1, 0)
    for app in apps:
        close(app, db)


def test_two_extensions_with_one_db_share_its_models(tmp_path: Path) -> None:
    db, _ = make_db()
    apps = [make_app(f"sqlite:///{tmp_path / name}.sqlite") for name in "ab"]
    extensions = []
    for app in apps:
        db.init_app(app)
        extensions.append(AutoTag(app))
        with app.app_context():
            db.create_all()

    image_uploaded.send(apps[1], asset=AssetRef("photo", "1"), image=jpeg())

    assert [job_count(app) for app in apps] == [0, 1]
    for app in apps:
        close(app, db)


def test_the_application_is_not_kept_alive(sqlite_url: str) -> None:
    db, _ = make_db()
    app = make_app(sqlite_url)
    db.init_app(app)
    autotag = AutoTag(app)
    gone = weakref.ref(app)
    close(app, db)

    del app, db
    gc.collect()

    assert gone() is None
    assert len(autotag._applications._states) == 0


def test_refuses_a_second_registration(host: Host) -> None:
    with pytest.raises(ConfigurationError, match="was called for this app before"):
        AutoTag(host.app)


def test_says_that_init_app_was_forgotten() -> None:
    with (
        Flask("bare").app_context(),
        pytest.raises(ConfigurationError, match="forget to call init_app"),
    ):
        AutoTag().tag_counts()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"AUTOTAG_RUNER": "thread"},
            "Flask-AutoTag has no key AUTOTAG_RUNER. Did you mean AUTOTAG_RUNNER?",
        ),
        ({"AUTOTAG_RUNNER": "threads"}, "AUTOTAG_RUNNER must be one of 'thread'"),
        (
            {"AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD": 50},
            "AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD must be a number from 0 to 1",
        ),
        (
            {"AUTOTAG_TENSORFLOW_MODEL": "inception"},
            "AUTOTAG_TENSORFLOW_MODEL must be one of efficientnet-lite0",
        ),
        ({"AUTOTAG_MODEL_DIR": "/nowhere"}, "AUTOTAG_MODEL_DIR must be the path"),
    ],
)
def test_refuses_a_wrong_configuration(
    sqlite_url: str, config: dict[str, Any], message: str
) -> None:
    app = make_app(sqlite_url, **config)
    with pytest.raises(ConfigurationError, match=message):
        AutoTag(app)
    assert "autotag" not in app.extensions


def test_tags_now(host: Host) -> None:
    with host.app.app_context():
        photo = host.add_photo(str(ESPRESSO))
        tags = host.autotag.tag_now(photo, image=ESPRESSO)
        assert host.autotag.tags_for(photo) == tags

    assert [tag.name for tag in tags] == ESPRESSO_TAGS
    tag = tags[1]
    assert (tag.name, tag.provider, tag.source) == (
        "espresso",
        "tensorflow",
        "provider",
    )
    assert tag.model == "efficientnet-lite0 2"
    assert tag.confidence is not None
    assert 0.5 <= tag.confidence <= 1.0
    assert tag.created_at.utcoffset() is not None
    assert host.jobs() == []


def test_tag_now_wants_the_upload_committed(host: Host) -> None:
    with host.app.app_context():
        photo = host.Photo(path="a.jpg")
        host.db.session.add(photo)
        host.db.session.flush()
        with pytest.raises(TransactionError, match="commit the upload before tag_now"):
            host.autotag.tag_now(photo, image=ESPRESSO)


def test_an_unsaved_object_has_no_tags_to_ask_for(host: Host) -> None:
    with (
        host.app.app_context(),
        pytest.raises(AssetError, match="The Photo was not saved yet: flush it first"),
    ):
        host.autotag.tags_for(host.Photo(path="a.jpg"))


def test_another_signal_through_an_adapter(inline_host: Host) -> None:
    saved = Signal()

    def adapter(_sender: object, files: list[Path]) -> list[Upload]:
        return [Upload(AssetRef("file", file.name), file, "wiki") for file in files]

    inline_host.autotag.connect(saved, adapter)
    with inline_host.app.app_context():
        saved.send("anything", files=[ESPRESSO])
        tags = inline_host.autotag.tags_for(AssetRef("file", "espresso.jpg"), "wiki")
    assert {tag.name for tag in tags} == set(ESPRESSO_TAGS)


def test_an_adapter_has_an_application_context(host: Host) -> None:
    """The host may send the signal in another thread."""
    signal = Signal()
    host.autotag.connect(
        signal, lambda app: host.autotag.forget(AssetRef("photo", "1"))
    )
    signal.send(host.app)
    assert host.failures == []


@pytest.mark.parametrize(
    "adapted",
    [None, Upload(AssetRef("file", "1"), b"x"), [Upload(AssetRef("f", "1"), b"x")]],
)
def test_an_adapter_may_return_nothing_one_or_several(host: Host, adapted: Any) -> None:
    signal = Signal()
    host.autotag.connect(signal, lambda _sender: adapted)
    signal.send(host.app)
    assert len(host.jobs()) == (0 if adapted is None else 1)


def test_an_adapter_that_raises_is_reported(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    signal = Signal()
    host.autotag.connect(signal, lambda _sender: {}["missing"])
    signal.send(host.app)
    [failure] = host.failures
    assert failure["message"] == "The upload could not be queued (KeyError)."
    assert "was not queued for tagging" in caplog.text


def test_watches_a_model(inline_host: Host) -> None:
    host = inline_host
    host.autotag.watch(
        host.Photo, image=lambda photo: photo.path, instance=lambda photo: photo.tenant
    )
    with host.app.app_context():
        photo = host.Photo(path=str(ESPRESSO), tenant="acme")
        host.db.session.add(photo)
        host.db.session.commit()

        tags = host.autotag.tags_for(photo, "acme")
        assert {tag.name for tag in tags} == set(ESPRESSO_TAGS)

        host.db.session.add(host.Photo(path=str(ESPRESSO)))
        host.db.session.rollback()
        assert len(host.jobs()) == 1

        host.db.session.delete(photo)
        host.db.session.commit()
        assert host.autotag.tag_counts() == []
        assert host.jobs() == []


def test_watches_for_an_image_that_replaces_another(host: Host) -> None:
    host.autotag.watch(host.Photo, image=lambda photo: photo.path, columns=["path"])
    with host.app.app_context():
        photo = host.add_photo(str(ESPRESSO))
        with host.db.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM autotag_job")
        photo.tenant = "acme"
        host.db.session.commit()
        assert host.jobs() == []

        photo.path = "another.jpg"
        host.db.session.rollback()
        assert host.jobs() == []

        photo.path = "another.jpg"
        host.db.session.commit()
        [job] = host.jobs()
        assert (job.asset_type, job.asset_id) == ("photo", str(photo.id))


def test_watch_refuses_attributes_that_are_not_there(host: Host) -> None:
    with pytest.raises(
        AssetError,
        match="Photo has no mapped attribute 'file'; it has id, path, tenant",
    ):
        host.autotag.watch(host.Photo, image=lambda _: b"", columns="file")


def test_watch_refuses_what_is_no_model(host: Host) -> None:
    with pytest.raises(AssetError, match="is no mapped class"):
        host.autotag.watch(dict, image=lambda photo: "x")


def test_an_asset_gone_before_its_turn_is_a_failed_job(host: Host) -> None:
    host.autotag.watch(host.Photo, image=lambda photo: photo.path)
    with host.app.app_context():
        host.add_photo(str(ESPRESSO))
        # Not through the session, so that the extension gets no event.
        with host.db.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM photo")
        with pytest.raises(
            Exception, match="The application reports that photo 1 is gone"
        ):
            host.autotag.tag_now(AssetRef("photo", "1"))


def test_a_name_that_is_no_key_of_the_watched_model_is_a_missing_image(
    host: Host,
) -> None:
    host.autotag.watch(host.Photo, image=lambda photo: photo.path)
    with host.app.app_context(), pytest.raises(ImageMissing, match="photo one is gone"):
        host.autotag.tag_now(AssetRef("photo", "one"))


def test_forget_joins_the_hosts_transaction(inline_host: Host) -> None:
    host = inline_host
    with host.app.app_context():
        photo = host.add_photo()
        image_uploaded.send(host.app, asset=photo, image=ESPRESSO)
        host.db.session.delete(photo)
        host.autotag.forget(photo)
        host.db.session.rollback()
        assert host.autotag.tags_for(photo)

        host.db.session.delete(photo)
        host.autotag.forget(photo)
        host.db.session.commit()
        assert host.autotag.tag_counts() == []
        assert host.jobs() == []


def test_a_bind_of_its_own(tmp_path: Path) -> None:
    db = SQLAlchemy()
    app = make_app(
        f"sqlite:///{tmp_path / 'host.sqlite'}",
        SQLALCHEMY_BINDS={"tags": f"sqlite:///{tmp_path / 'tags.sqlite'}"},
    )
    db.init_app(app)
    db.metadatas.setdefault("tags", type(db.metadata)(info={"bind_key": "tags"}))
    autotag = AutoTag(app, models=create_models(db.metadatas["tags"]))
    with app.app_context():
        autotag.create_tables()
        image_uploaded.send(app, asset=AssetRef("photo", "1"), image=jpeg())
        assert autotag.tag_counts() == []
        assert "autotag_job" in inspect(db.engines["tags"]).get_table_names()
        assert inspect(db.engine).get_table_names() == []
    assert job_count(app) == 1
    close(app, db)
