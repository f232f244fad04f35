"""Flask-AutoTag in this application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Flask, current_app, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select, update

from flask_autotag import (
    AssetRef,
    AutoTag,
    Upload,
    image_tagged,
    image_uploaded,
    tagging_failed,
)

from .models import FAILED, INSTANCES, TAGGED, Photo, db

autotag = AutoTag(db=db)


@autotag.authorizer
def _may(action: str, instance: str | None) -> ResponseReturnValue | bool:
    """Let administrators into all settings, and managers into their instance's.

    Whoever may change the photos of an instance may review their tags too.
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
    """Install the extension; ``db`` has been initialised for *app* before."""
    autotag.init_app(app)
    image_tagged.connect(_on_tagged, app)
    tagging_failed.connect(_on_failed, app)


def announce(photo: Photo) -> None:
    """Tell the extension of an upload.

    The session is not committed yet: the photo and its tagging job are saved
    together, or neither is.
    """
    image_uploaded.send(
        current_app, asset=photo, image=photo.path, instance=photo.instance
    )


# These two run in the process that tags. That may be another one than shows the
# pages, so what they learn goes to the database.


def _on_tagged(_app: Flask, asset: AssetRef, **_other: Any) -> None:
    _remember(asset, TAGGED)


def _on_failed(_app: Flask, asset: object, message: str, **_other: Any) -> None:
    _remember(asset, FAILED, message)


def _remember(asset: object, state: str, error: str | None = None) -> None:
    # What could not even be queued may have no name.
    if not isinstance(asset, AssetRef) or asset.type != Photo.__tablename__:
        return
    session = db.session()
    # A worker comes with a new session. An upload that could not be queued comes
    # with the session that saves the photo, and commits it later.
    own = not session.in_transaction()
    session.execute(
        update(Photo)
        .where(Photo.id == int(asset.id))
        .values(tagging=state, tagging_error=error)
    )
    if own:
        session.commit()
