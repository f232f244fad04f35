"""Photos that are managed with Flask-AppBuilder, whose models have their own base."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from io import BytesIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage

from ..hosts import ESPRESSO, ESPRESSO_TAGS, close
from .photo_admin import EXAMPLES

pytest.importorskip("flask_appbuilder", reason="Flask-AppBuilder is not installed.")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        example = importlib.import_module("photo_builder")
    app = example.create_app(
        {
            "SECRET_KEY": "for tests, and long enough for them",
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder / 'photos.sqlite'}",
            "IMG_UPLOAD_FOLDER": f"{folder / 'uploads'}/",
            "IMG_UPLOAD_URL": "/uploads/",
            "AUTOTAG_RUNNER": "inline",
            "WTF_CSRF_ENABLED": False,
        }
    )
    with app.app_context():
        security = example.appbuilder.sm
        role = security.find_role("Admin")
        security.add_user("ada", "Ada", "L", "ada@example.org", role, "password")
    yield app
    close(app, example.db)


def sign_in(app: Flask) -> FlaskClient:
    client = app.test_client()
    typed = {"username": "ada", "password": "password"}
    assert client.post("/login/", data=typed).status_code == 302
    return client


def test_a_photo_is_tagged(app: Flask) -> None:
    client = sign_in(app)
    photo = FileStorage(BytesIO(ESPRESSO.read_bytes()), "cup.jpg")
    answer = client.post("/photoview/add", data={"title": "Cup", "image": photo})
    assert answer.status_code == 302, answer.text
    assert ", ".join(ESPRESSO_TAGS) in client.get("/photoview/list/").text


def test_the_pages_are_inside_its_layout(app: Flask) -> None:
    assert app.test_client().get("/autotag/system").status_code == 403
    page = sign_in(app).get("/autotag/system").text
    assert "navbar" in page
    assert 'name="setting.max_tags"' in page
