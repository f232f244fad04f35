"""The environments of the documents' code: a CMS, with a photo."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flask import Flask, abort, g, has_app_context, redirect, request, session, url_for
from flask.globals import app_ctx
from flask_sqlalchemy import SQLAlchemy
from moto.server import ThreadedMotoServer
from sqlalchemy import select

import flask_autotag
from flask_autotag import AssetRef

from ..hosts import ESPRESSO, close, make_db, make_host, store_labels

Names = dict[str, Any]
#: Prepares the folder in which the code runs, and yields variables.
Stage = Callable[[Path], AbstractContextManager[Names]]


@contextmanager
def bare_stage(_folder: Path) -> Iterator[Names]:
    """Only a picture: the document creates ``app`` and ``db``."""
    names = _imports()
    try:
        yield names
    finally:
        # Code that failed may have left a context, which the next test would use.
        if has_app_context():
            app_ctx.pop()
        if "autotag" in names:
            close(names["app"], names["db"])


@contextmanager
def celery_stage(folder: Path) -> Iterator[Names]:
    """A CMS before the extension is installed, and a function that creates another."""
    with cms_stage(folder) as names:

        def new_app() -> Flask:
            app = Flask("cms", instance_path=str(folder))
            app.config |= names["app"].config
            names["db"].init_app(app)
            return app

        yield names | {"new_app": new_app}


@contextmanager
def cms_stage(folder: Path) -> Iterator[Names]:
    """A CMS before the extension is installed."""
    db, photo_model = make_db()
    app = Flask("cms", root_path=str(folder), instance_path=str(folder))
    app.config.update(
        SECRET_KEY="of the CMS, and long enough for it",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder / 'cms.sqlite'}",
        AUTOTAG_RUNNER="inline",
    )
    db.init_app(app)
    # Requests share the context of the document's code, so the user would stay.
    app.teardown_request(lambda _error: g.pop("_login_user", None))
    with app.app_context():
        db.create_all()
        names = _imports() | {"app": app, "db": db, "Photo": photo_model}
        yield names | {"photo": _add_photo(db, photo_model)}
    close(app, db)


@contextmanager
def tagging_stage(folder: Path) -> Iterator[Names]:
    """A CMS with the extension, and a photo of a dog that it has tagged."""
    url = f"sqlite:///{folder / 'cms.sqlite'}"
    with (
        make_host(url, AUTOTAG_RUNNER="inline", SECRET_KEY="x" * 32) as host,
        host.app.app_context(),
    ):
        photo = _add_photo(host.db, host.Photo)
        labels = [("dog", 0.9), ("sunset", 0.6), ("wolf", 0.55)]
        ref = AssetRef("photo", str(photo.id))
        for instance in ("default", "acme"):
            store_labels(host, ref, labels, instance)
        yield _imports() | {
            "app": host.app,
            "db": host.db,
            "autotag": host.autotag,
            "Photo": host.Photo,
            "photo": photo,
        }


@contextmanager
def recipe_stage(folder: Path) -> Iterator[Names]:
    """The same without imports, so that a recipe can be copied unchanged."""
    with cms_stage(folder) as names:
        there = ("__name__", "app", "db", "Photo", "photo", "path")
        yield {name: names[name] for name in there}


@contextmanager
def s3_stage(folder: Path) -> Iterator[Names]:
    """A CMS before the extension is installed, and a server with S3's protocol."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "of the CMS",
        "AWS_SECRET_ACCESS_KEY": "of the CMS too",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        with patch.dict(os.environ, environment), recipe_stage(folder) as names:
            yield names
            names["s3"].close()
    finally:
        server.stop()


#: Stages of documents that need another one than :func:`tagging_stage`.
STAGES: dict[str, Stage] = {
    "README": cms_stage,
    "celery": celery_stage,
    "json": cms_stage,
    "quickstart": bare_stage,
    "recipes/binds": bare_stage,
    "recipes/s3": s3_stage,
}


def stage_of(document: str) -> Stage:
    """Return the stage of a document."""
    usual = recipe_stage if document.startswith("recipes/") else tagging_stage
    return STAGES.get(document, usual)


def _imports() -> Names:
    """Return the names that an application with these libraries imports."""
    ours = {name: getattr(flask_autotag, name) for name in flask_autotag.__all__}
    return ours | {
        "__name__": "cms",
        "abort": abort,
        "path": "photo.jpg",
        "redirect": redirect,
        "request": request,
        "select": select,
        "session": session,
        "url_for": url_for,
    }


def _add_photo(db: SQLAlchemy, model: Any) -> Any:
    photo = model(path="photo.jpg")
    db.session.add(photo)
    db.session.commit()
    return photo


def prepare_folder(folder: Path) -> None:
    """Copy the picture that documents call ``path`` into the folder."""
    shutil.copy(ESPRESSO, folder / "photo.jpg")
