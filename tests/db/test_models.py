"""The tables on the host's metadata, in its migrations and in a schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_migrate import Migrate, downgrade, migrate, upgrade
from flask_migrate import init as init_migrations
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData, String, create_engine, inspect, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from flask_autotag import (
    AssetRef,
    AutoTag,
    ConfigurationError,
    JobMixin,
    TagMixin,
    create_models,
    image_uploaded,
)
from flask_autotag.db.models import models_of

from ..hosts import close, jpeg, make_db
from ..services import temporary_database

TABLES = {
    "autotag_asset",
    "autotag_assignment",
    "autotag_bulk_action",
    "autotag_bulk_item",
    "autotag_counter",
    "autotag_inquiry",
    "autotag_job",
    "autotag_prediction",
    "autotag_provider_state",
    "autotag_revision",
    "autotag_setting",
    "autotag_setting_change",
    "autotag_tag",
    "autotag_upload",
    "autotag_usage",
    "autotag_word",
}


def test_every_name_is_prefixed() -> None:
    models = create_models(MetaData())
    assert {table.name for table in models.tables} == TABLES
    for table in models.tables:
        for item in (*table.constraints, *table.indexes):
            assert item.name is None or "autotag_" in str(item.name)


def test_models_are_made_once_for_a_metadata() -> None:
    metadata = MetaData()
    models = models_of(metadata)
    assert models_of(metadata) is models
    with pytest.raises(ConfigurationError, match="exist already on this metadata"):
        create_models(metadata)


def test_a_class_of_the_hosts_own(sqlite_url: str) -> None:
    class Base(DeclarativeBase):
        pass

    class Word(TagMixin, Base):
        __tablename__ = "word"
        colour: Mapped[str | None] = mapped_column(String(20))

    models = create_models(Base.metadata, tag=Word)

    assert models.tag is Word
    [target] = {
        key.column.table.name
        for key in models.assignment.__table__.foreign_keys
        if key.parent.name == "tag_id"
    }
    assert target == "word"
    engine = create_engine(sqlite_url)
    Base.metadata.create_all(engine)
    assert "word" in inspect(engine).get_table_names()
    engine.dispose()


def test_refuses_a_table_that_does_not_exist() -> None:
    with pytest.raises(
        ConfigurationError, match="no table 'tags'; the tables are asset, tag"
    ):
        create_models(MetaData(), tags=TagMixin)


def test_refuses_a_class_without_the_mixin() -> None:
    with pytest.raises(ConfigurationError, match="needs a subclass of TagMixin"):
        create_models(MetaData(), tag=JobMixin)


def test_a_host_whose_models_are_dataclasses(sqlite_url: str) -> None:
    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    models = create_models(Base.metadata)
    engine = create_engine(sqlite_url)
    Base.metadata.create_all(engine)
    assert models.metadata is Base.metadata
    assert set(inspect(engine).get_table_names()) == TABLES
    engine.dispose()


def test_init_db_creates_only_ours_any_number_of_times(database_url: str) -> None:
    db, _ = make_db()
    app = Flask("host")
    app.config.update(SQLALCHEMY_DATABASE_URI=database_url, AUTOTAG_RUNNER="none")
    db.init_app(app)
    AutoTag(app)
    for _ in range(2):
        result = app.test_cli_runner().invoke(args=["autotag", "init-db"])
        assert (result.exit_code, result.output) == (
            0,
            "The tables of Flask-AutoTag exist.\n",
        )
    with app.app_context():
        assert set(inspect(db.engine).get_table_names()) == TABLES
    close(app, db)


def test_a_schema(tmp_path: Path) -> None:
    with temporary_database("postgresql", tmp_path) as url:
        db, _ = make_db()
        app = Flask("host")
        app.config.update(SQLALCHEMY_DATABASE_URI=url, AUTOTAG_RUNNER="inline")
        db.init_app(app)
        autotag = AutoTag(app, models=create_models(db.metadata, schema="media"))
        with app.app_context():
            db.session.execute(text("CREATE SCHEMA media"))
            db.session.commit()
            autotag.create_tables()
            image_uploaded.send(app, asset=AssetRef("photo", "1"), image=jpeg())
            states = db.session.scalars(select(autotag.models.job.state)).all()
            assert set(inspect(db.engine).get_table_names("media")) == TABLES
        assert states == ["done"]
        close(app, db)


# Flask-Migrate's env.py uses a deprecated way to get the engine.
@pytest.mark.filterwarnings("ignore:'get_engine' is deprecated:DeprecationWarning")
@pytest.mark.usefixtures("quiet_logging")
@pytest.mark.parametrize(
    "conventions",
    [{}, {"fk": "fk_%(table_name)s_%(column_0_name)s", "uq": "uq_%(column_0_name)s"}],
    ids=["plain", "with naming conventions"],
)
def test_flask_migrate_sees_them(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    conventions: dict[str, Any],
) -> None:
    folder = str(tmp_path / "migrations")
    db = SQLAlchemy(metadata=MetaData(naming_convention=conventions))
    app = Flask("host")
    app.config.update(SQLALCHEMY_DATABASE_URI=database_url, AUTOTAG_RUNNER="inline")
    db.init_app(app)
    autotag = AutoTag(app)
    Migrate(app, db, directory=folder)
    monkeypatch.chdir(tmp_path)
    with app.app_context():
        init_migrations(folder)
        migrate(folder, message="auto tagging")
        upgrade(folder)
        assert set(inspect(db.engine).get_table_names()) >= TABLES

        image_uploaded.send(app, asset=AssetRef("photo", "1"), image=jpeg())
        assert db.session.scalars(select(autotag.models.job.state)).all() == ["done"]
        db.session.rollback()

        # A second migration finds no difference.
        migrate(folder, message="again")
        versions = sorted(
            (tmp_path / "migrations" / "versions").glob("*.py"),
            key=lambda path: path.name.endswith("_again.py"),
        )
        assert [path.name.split("_", 1)[1] for path in versions] == ["auto_tagging.py"]

        downgrade(folder, revision="base")
        assert set(inspect(db.engine).get_table_names()) == {"alembic_version"}
    close(app, db)
