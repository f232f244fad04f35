"""Small hosts to install the extension in."""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from PIL import Image, ImageDraw
from sqlalchemy import String, inspect, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_autotag import AssetRef, AutoTag, Models, image_tagged, tagging_failed
from flask_autotag.classification.request import Classified
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.tags.store import Entry, store

EXAMPLES = Path(__file__).parent.parent / "example_app" / "photos"
ESPRESSO = EXAMPLES / "espresso.jpg"
#: The tags of the bundled model for it, highest confidence first.
ESPRESSO_TAGS = ["drink", "espresso", "food"]
#: Broader tags, and their concepts in WordNet: an animal is above a dog.
ANIMALS = {"dog": "n02084071", "animal": "n00015388"}


class Base(DeclarativeBase):
    pass


@dataclass
class Host:
    """An application with a table of photos, and the extension in it."""

    app: Flask
    db: SQLAlchemy
    Photo: type[Any]
    autotag: AutoTag
    failures: list[dict[str, Any]] = field(default_factory=list)
    tagged: list[dict[str, Any]] = field(default_factory=list)

    @property
    def models(self) -> Models:
        return self.autotag.models

    def jobs(self) -> list[Any]:
        """Read the jobs that are committed, oldest first."""
        with self.app.app_context(), self.db.engine.connect() as connection:
            table = self.models.job.__table__
            return list(connection.execute(select(table).order_by(table.c.id)))

    def add_photo(self, path: str = "photo.jpg") -> Any:
        """Commit a photo and return it."""
        photo = self.Photo(path=path)
        self.db.session.add(photo)
        self.db.session.commit()
        return photo


def make_db() -> tuple[SQLAlchemy, type[Any]]:
    """Return a Flask-SQLAlchemy object with a model."""
    db = SQLAlchemy()

    class Photo(db.Model):  # type: ignore[name-defined]
        id: Mapped[int] = mapped_column(primary_key=True)
        path: Mapped[str] = mapped_column(String(500))
        tenant: Mapped[str] = mapped_column(String(50), default="default")

    return db, Photo


@contextmanager
def make_host(url: str, **config: Any) -> Iterator[Host]:
    """Run a host on the database at *url*, with all its tables."""
    host = _install(url, config)
    app, db = host.app, host.db

    def failed(_sender: Flask, **arguments: Any) -> None:
        host.failures.append(arguments)

    def tagged(_sender: Flask, **arguments: Any) -> None:
        host.tagged.append(arguments)

    with (
        tagging_failed.connected_to(failed, app),
        image_tagged.connected_to(tagged, app),
    ):
        with app.app_context():
            _create_tables(db)
        yield host
        close(app, db)


def _install(url: str, config: Mapping[str, Any]) -> Host:
    db, photo = make_db()
    app = Flask("host")
    app.config.update(SQLALCHEMY_DATABASE_URI=url, AUTOTAG_RUNNER="none")
    app.config.update(config)
    db.init_app(app)
    return Host(app, db, photo, AutoTag(app))


def _create_tables(db: SQLAlchemy) -> None:
    """Make all tables; a new SQLite file is copied, which takes a tenth of the time."""
    path = db.engine.url.database
    if db.engine.dialect.name != "sqlite":
        if not inspect(db.engine).has_table("photo"):
            db.create_all()
    elif path and not Path(path).exists():
        Path(path).write_bytes(_empty_sqlite_file())
    else:
        db.create_all()


@cache
def _empty_sqlite_file() -> bytes:
    """Make a SQLite file with all tables of a host."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "host.sqlite"
        host = _install(f"sqlite:///{path}", {})
        with host.app.app_context():
            host.db.create_all()
        close(host.app, host.db)
        return path.read_bytes()


def close(app: Flask, *dbs: SQLAlchemy) -> None:
    """Close what the host has open."""
    state = app.extensions["autotag"].state_of(app)
    state.runner.stop()
    state.close_children()
    with app.app_context():
        for db in dbs:
            db.session.remove()
            for engine in db.engines.values():
                engine.dispose()


def store_labels(
    host: Host,
    asset: AssetRef,
    labels: Sequence[tuple[str, float]],
    instance: str = "default",
    provider: str = "tensorflow",
    concepts: Mapping[str, str] = MappingProxyType({}),
    parts: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Store a prediction with these names and confidences, and its tags.

    :param concepts: ids of labels by their names, such as :data:`ANIMALS`.
    :param parts: the parts of the model by the names of labels.
    """
    state = host.autotag.state_of(host.app)
    made = tuple(
        Label(
            concepts.get(name, f"n{number:08}"), name, confidence, parts.get(name, "")
        )
        for number, (name, confidence) in enumerate(labels)
    )
    entry = Entry(
        asset,
        instance,
        Classified("0" * 64, [Prediction(provider, "model 1", made)]),
        state.settings_for(instance),
    )
    with state.database.begin() as session:
        store(session, host.models, [entry])


def jpeg(color: str = "red", size: tuple[int, int] = (64, 48)) -> bytes:
    """Make a small image."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "JPEG")
    return file.getvalue()


def chart() -> bytes:
    """Make a chart, whose curve the bundled network takes for a worm."""
    image = Image.new("RGB", (400, 400), "white")
    draw = ImageDraw.Draw(image)
    curve = [(20 + 4 * step, 200 + 100 * math.sin(step / 8)) for step in range(90)]
    draw.line(curve, "blue", 4)
    draw.line((20, 20, 20, 380), "black", 2)
    draw.line((20, 380, 390, 380), "black", 2)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
