"""The extension, its hooks, and the report of uploads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Flask, current_app, flash, has_request_context, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from flask_autotag import (
    AssetRef,
    AutoTag,
    Upload,
    image_uploaded,
    tagging_failed,
)

from ..models import INSTANCES, Photo, db

autotag = AutoTag(db=db)


@autotag.authorizer
def _may(action: str, instance: str | None) -> ResponseReturnValue | bool:
    """Allow administrators all settings, and managers those of their instance.

    Users who may change the photos of an instance may review their tags too.
    """
    if not current_user.is_authenticated:
        return current_app.login_manager.unauthorized()  # type: ignore[attr-defined, no-any-return]
    if action == "review_tags":
        return instance is not None and bool(current_user.may_use(instance))
    return bool(current_user.may_manage(instance))


@autotag.instance_lister
def _instances() -> dict[str, str]:
    return {instance.key: instance.title for instance in INSTANCES.values()}


@autotag.asset_lister
def _images() -> Iterator[Upload]:
    """List all photos, for ``flask autotag tag-untagged``."""
    for photo in db.session.scalars(select(Photo).execution_options(yield_per=500)):
        yield Upload(photo, photo.path, photo.instance)


@autotag.user_namer
def _user_name() -> str:
    return current_user.name  # type: ignore[no-any-return]


@autotag.image_url
def _image_url(asset: AssetRef) -> str | None:
    photo = db.session.get(Photo, int(asset.id))
    if photo is None or not photo.is_shown_by_browsers:
        return None
    return url_for("photos.file", instance=photo.instance, filename=photo.filename)


def init_app(app: Flask) -> None:
    """Install the extension."""
    # The extension's pages use the layout of the application.
    app.config.setdefault("AUTOTAG_BASE_TEMPLATE", "tagging/frame.html")
    # Labels below the threshold are suggested to the editors.
    app.config.setdefault("AUTOTAG_SUGGESTION_THRESHOLD", 0.2)
    autotag.init_app(app)
    tagging_failed.connect(_on_failed, app)


def announce(photo: Photo) -> None:
    """Report an upload to the extension.

    Call it before the session is committed: the photo and its job are then saved in
    one transaction.
    """
    image_uploaded.send(
        current_app, asset=photo, image=photo.path, instance=photo.instance
    )


def _on_failed(_app: Flask, message: str, **_other: Any) -> None:
    """Show a failure during the upload at once.

    ``autotag.progress`` reports failures in a worker later.
    """
    if has_request_context():
        flash(f"A photo could not be tagged: {message}")
