"""The configuration: defaults, the environment, and arguments of the factory."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

MIB = 2**20


def configure(app: Flask, config: Mapping[str, Any]) -> None:
    """Set the configuration of *app*, and create its folders."""
    instance_folder = Path(app.instance_path)
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{instance_folder / 'picture-desk.sqlite'}",
        # The uploaded files, under random names.
        UPLOAD_FOLDER=str(instance_folder / "uploads"),
        # The initial photos; None for an empty library.
        EXAMPLE_PHOTOS=str(Path(app.root_path) / "photos"),
        PHOTOS_PER_PAGE=24,
        MAX_PHOTO_BYTES=25 * MIB,
        # For one request, which may contain several photos.
        MAX_CONTENT_LENGTH=100 * MIB,
        SESSION_COOKIE_SAMESITE="Lax",
        # Forms expire with the session, so that a gallery can stay open for hours.
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.config.from_prefixed_env()
    app.config.update(config)
    Path(app.config["UPLOAD_FOLDER"]).mkdir(parents=True, exist_ok=True)
    if app.config["SQLALCHEMY_DATABASE_URI"].startswith(f"sqlite:///{instance_folder}"):
        instance_folder.mkdir(parents=True, exist_ok=True)
    if not app.config["SECRET_KEY"]:
        app.config["SECRET_KEY"] = _stored_secret(instance_folder / "secret-key")


def _stored_secret(path: Path) -> str:
    """Return the secret that signs sessions; create it on the first start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        # Exclusively, because several processes may start at once.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    for _ in range(50):
        if secret := path.read_text().strip():
            return secret
        # Another process has created the file and is about to write it.
        time.sleep(0.1)
    raise RuntimeError(f"{path} is empty. Delete it to create a new secret.")
