from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.datastructures import FileStorage
from werkzeug.security import generate_password_hash
from werkzeug.test import encode_multipart

import example_app
from example_app import create_app, models
from example_app.models import Photo, db
from example_app.seed import DEMO_ACCOUNTS

from .. import servers

EXAMPLE_PHOTOS = Path(example_app.__file__).parent / "photos"
ESPRESSO = EXAMPLE_PHOTOS / "espresso.jpg"

PASSWORDS = {account.name: account.password for account in DEMO_ACCOUNTS}

MakeApp = Callable[..., Flask]


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> Iterator[None]:
    """Hash passwords in one round: each test creates all accounts and signs in."""
    quick = partial(generate_password_hash, method="pbkdf2:sha256:1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "generate_password_hash", quick)
        yield


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Create the example on a shared database and folder."""
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
    """Stop the threads and processes of the example, and close its database."""
    state = app.extensions["autotag"].state_of(app)
    state.runner.stop()
    state.close_children()
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """The example without photos; uploads are tagged before the request returns."""
    return make_app()


@dataclass
class Browser:
    """A test client of a user who is signed in."""

    client: FlaskClient

    def get(self, path: str, **arguments: Any) -> Any:
        # Buffered, so that served files are closed.
        return self.client.get(path, buffered=True, **arguments)

    def page(self, path: str) -> str:
        response = self.get(path)
        assert response.status_code == 200, response.status
        return response.text

    def post(self, path: str, **arguments: Any) -> Any:
        return self.client.post(path, **arguments)

    def upload(self, *files: tuple[bytes, str], instance: str = "news") -> Any:
        """Submit the form like a browser without scripts."""
        # The client would not close a file that it created itself.
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
    """Return the titles of the photos on a page of the gallery."""
    return re.findall(r"<h3>(.*?)</h3>", page)


@dataclass
class Served:
    """The example behind an HTTP server."""

    app: Flask
    url: str


@pytest.fixture
def served(make_app: MakeApp, tmp_path: Path) -> Iterator[Served]:
    """The example with a few photos and a tagging thread, on a free port."""
    photos = tmp_path / "photos"
    photos.mkdir()
    # Assigned in turn: castle and mountains belong to news.
    for name in ("castle", "horse", "mountains"):
        shutil.copy(EXAMPLE_PHOTOS / f"{name}.jpg", photos)
    app = make_app(
        AUTOTAG_RUNNER="thread",
        WTF_CSRF_ENABLED=True,
        EXAMPLE_PHOTOS=str(photos),
        # Only tags of the photos.
        AUTOTAG_SUGGESTION_THRESHOLD=1,
    )
    with serve(app) as made:
        yield made


@contextmanager
def serve(app: Flask) -> Iterator[Served]:
    """Serve the example on a free port."""
    with servers.serve(app) as url:
        yield Served(app, url)


# Not session-scoped: Playwright keeps an event loop, and other tests run their own.
@pytest.fixture(scope="package")
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
