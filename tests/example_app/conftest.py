from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

import example_app
from example_app import create_app
from example_app.models import Photo, db
from example_app.seed import DEMO_ACCOUNTS

from .. import servers

EXAMPLE_PHOTOS = Path(example_app.__file__).parent / "photos"
ESPRESSO = EXAMPLE_PHOTOS / "espresso.jpg"

PASSWORDS = {account.name: account.password for account in DEMO_ACCOUNTS}

MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Make the example on a database and a folder that all its makes share."""
    made: list[Flask] = []

    def make(**config: Any) -> Flask:
        app = create_app(
            {
                "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path / 'example.sqlite'}",
                "UPLOAD_FOLDER": str(tmp_path / "uploads"),
                "SECRET_KEY": "for tests",
                "EXAMPLE_PHOTOS": None,
                "AUTOTAG_RUNNER": "inline",
                "WTF_CSRF_ENABLED": False,
                "TESTING": True,
                **config,
            }
        )
        made.append(app)
        return app

    yield make
    for app in made:
        end(app)


def end(app: Flask) -> None:
    """Stop what the example keeps running, and close its database."""
    state = app.extensions["autotag"].state_of(app)
    state.runner.stop()
    state.pool.close()
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """The example without photos; uploads are tagged before they return."""
    return make_app()


@dataclass
class Browser:
    """A test client that somebody is signed in with."""

    client: FlaskClient

    def get(self, path: str, **arguments: Any) -> Any:
        # Buffered, so that the files that are served are closed.
        return self.client.get(path, buffered=True, **arguments)

    def page(self, path: str) -> str:
        response = self.get(path)
        assert response.status_code == 200, response.status
        return response.text

    def post(self, path: str, **arguments: Any) -> Any:
        return self.client.post(path, **arguments)

    def upload(self, *files: tuple[bytes, str], instance: str = "news") -> Any:
        """Send the form that browsers without scripts send."""
        # Not left to the client, which does not close the file that it would make.
        boundary, body = encode_multipart(
            {"photos": [FileStorage(BytesIO(data), name) for data, name in files]}
        )
        return self.post(
            f"/{instance}/upload",
            data=body,
            content_type=f'multipart/form-data; boundary="{boundary}"',
        )


SignIn = Callable[..., Browser]


@pytest.fixture
def sign_in() -> SignIn:
    def sign(name: str, app: Flask) -> Browser:
        client = app.test_client()
        data = {"name": name, "password": PASSWORDS[name]}
        response = client.post("/sign-in", data=data)
        assert response.status_code == 302, response.text
        return Browser(client)

    return sign


@pytest.fixture
def nora(app: Flask, sign_in: SignIn) -> Browser:
    """The editor of news."""
    return sign_in("nora", app)


@pytest.fixture
def sam(app: Flask, sign_in: SignIn) -> Browser:
    """The editor of shop."""
    return sign_in("sam", app)


def photos_of(app: Flask) -> list[Photo]:
    with app.app_context():
        return list(db.session.scalars(select(Photo).order_by(Photo.id)))


def espresso() -> bytes:
    return ESPRESSO.read_bytes()


def titles_in(page: str) -> list[str]:
    """The titles of the photos on a page of the gallery."""
    return re.findall(r"<h3>(.*?)</h3>", page)


@dataclass
class Served:
    """The example behind an HTTP server."""

    app: Flask
    url: str


@pytest.fixture
def served(make_app: MakeApp, tmp_path: Path) -> Iterator[Served]:
    """The example with a few photos, tagging in a thread, on a port of its own."""
    photos = tmp_path / "photos"
    photos.mkdir()
    # Dealt out in turn: castle and mountains to news.
    for name in ("castle", "horse", "mountains"):
        shutil.copy(EXAMPLE_PHOTOS / f"{name}.jpg", photos)
    app = make_app(
        AUTOTAG_RUNNER="thread",
        WTF_CSRF_ENABLED=True,
        EXAMPLE_PHOTOS=str(photos),
        # No tags but those of the photos.
        AUTOTAG_SUGGESTION_THRESHOLD=1,
    )
    with serve(app) as made:
        yield made


@contextmanager
def serve(app: Flask) -> Iterator[Served]:
    """Put the example on a port of its own."""
    with servers.serve(app) as url:
        yield Served(app, url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from .browsers import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    made = browser.new_context(viewport={"width": 1280, "height": 900})
    made.set_default_timeout(20_000)
    yield made
    made.close()
