"""The example of the documentation with Flask-Admin, and its users."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

from bs4 import BeautifulSoup
from flask import Flask
from flask.testing import FlaskClient
from flask_login import login_user
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from ..hosts import close
from ..web.admin.conftest import filled_in

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"


def example() -> ModuleType:
    """Import the example."""
    if str(EXAMPLES) not in sys.path:
        sys.path.append(str(EXAMPLES))
    return importlib.import_module("photo_admin")


@contextmanager
def library(folder: Path, **config: Any) -> Iterator[Flask]:
    """Run the example with two users; only user 1 is an administrator."""
    module = example()
    (folder / "uploads").mkdir()
    app: Flask = module.create_app(
        {
            "SECRET_KEY": "for tests",
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder / 'photos.sqlite'}",
            "UPLOAD_FOLDER": str(folder / "uploads"),
            "AUTOTAG_RUNNER": "inline",
            **config,
        }
    )

    @app.get("/sign-in/<int:user_id>")
    def sign_in(user_id: int) -> str:
        login_user(module.db.session.get(module.User, user_id))
        return "signed in"

    with app.app_context():
        module.db.session.add_all([module.User(is_admin=True), module.User()])
        module.db.session.commit()
    yield app
    close(app, module.db)


def visitor(app: Flask, user: int | None = None) -> FlaskClient:
    """Return a browser, signed in if a user is named."""
    client = app.test_client()
    if user is not None:
        assert client.get(f"/sign-in/{user}").status_code == 200
    return client


def send(client: FlaskClient, path: str, **typed: Any) -> TestResponse:
    """Submit the form at *path*; bytes are a photo."""
    soup = BeautifulSoup(client.get(path, buffered=True).text, "html.parser")
    fields: dict[str, Any] = {
        str(control["name"]): str(control.get("value", ""))
        for control in soup.select("form[method=POST] input[name][type=hidden]")
    }
    fields.update(filled_in(soup))
    for name, value in typed.items():
        is_photo = isinstance(value, bytes)
        fields[name] = FileStorage(BytesIO(value), "p.jpg") if is_photo else value
    # The client would not close a file that it created itself.
    boundary, body = encode_multipart(fields)
    kind = f'multipart/form-data; boundary="{boundary}"'
    return client.post(path, data=body, content_type=kind, buffered=True)
