"""Tags the images that are attached to the pages of An Otter Wiki."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from blinker import Signal
from flask import Blueprint, Flask, redirect, render_template, request, url_for
from flask_login import current_user
from otterwiki.plugins import hookimpl
from sqlalchemy import select

from flask_autotag import AssetRef, AutoTag, Upload

#: The wiki's term for files of a page; the key is the path in its repository.
ATTACHMENT = "attachment"
IMAGES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tiff", ".webp")

autotag = AutoTag()
files_changed = Signal()


class Plugin:
    """The wiki's hooks."""

    # The wiki stores its first page before it calls setup.
    app = db = storage = None

    @hookimpl
    def setup(self, app, db, storage):
        self.app, self.db, self.storage = app, db, storage
        app.config.setdefault("AUTOTAG_URL_PREFIX", "/-/autotag")
        app.config.setdefault("AUTOTAG_API", "/-/autotag/api")
        app.config.setdefault("AUTOTAG_BASE_TEMPLATE", "otterwiki_autotag/layout.html")
        app.register_blueprint(
            Blueprint("otterwiki_autotag", __name__, template_folder="templates")
        )
        autotag.init_app(app, db=db)
        with app.app_context():
            autotag.create_tables()

    @hookimpl
    def repository_changed(self, changed_files):
        files_changed.send(self.app, paths=changed_files)

    @hookimpl
    def page_renamed(self, old_pagepath, new_pagepath):
        """Report the old path: ``repository_changed`` reports only the new one."""
        paths = [folder_of(new_pagepath)]
        files_changed.send(self.app, paths=paths, former=folder_of(old_pagepath))

    @hookimpl
    def template_html_sidebar_left_inject(self, page):
        return render_template("otterwiki_autotag/link.html")

    @hookimpl
    def template_html_sidebar_right_inject(self, page):
        images = list(images_at(folder_of(page), depth=0))
        tags = autotag.preload(images)
        return render_template(
            "otterwiki_autotag/tags.html",
            tags={os.path.basename(image.id): tags[image] for image in images},
        )

    @hookimpl
    def static_css(self):
        return ".dark-mode { color-scheme: dark; }"


plugin = Plugin()


def folder_of(page: str) -> str:
    """Return the folder of a page's attachments."""
    from otterwiki.helper import get_attachment_directoryname, get_filename

    return get_attachment_directoryname(get_filename(page))


def is_image(path: str) -> bool:
    # The extension refuses longer keys.
    return path.lower().endswith(IMAGES) and len(path) <= 255


def attachment(path: str) -> AssetRef:
    return AssetRef(ATTACHMENT, path)


def uploads(app: Flask, paths: list[str], former: str = "") -> Iterator[Upload]:
    """Move or delete the tags of missing images, and yield existing ones."""
    for path in paths:
        if not path.endswith(".md"):
            follow(path, former or os.path.dirname(path) or path)
            yield from map(Upload, images_at(path))


autotag.connect(files_changed, uploads)


def images_at(path: str, depth: int | None = None) -> Iterator[AssetRef]:
    """Return the images at a path: a file, or a page's folder of attachments."""
    if plugin.storage.isdir(path):
        names, _ = plugin.storage.list(path, depth)
        paths = [f"{path}/{name}" for name in names]
    else:
        paths = [path] if plugin.storage.exists(path) else []
    return map(attachment, filter(is_image, paths))


def follow(path: str, folder: str) -> None:
    """Move the tags of images that left a folder for a path; delete them otherwise."""
    asset = autotag.models.asset
    known = plugin.db.session.execute(
        select(asset.asset_id, asset.sha256).where(
            asset.asset_type == ATTACHMENT,
            asset.asset_id.startswith(f"{folder}/", autoescape=True),
        )
    ).all()
    gone = {row.asset_id: row.sha256 for row in known if is_gone(row.asset_id)}
    if is_image(path) and is_gone(path):
        gone.setdefault(path, None)
    moved = {digest(image): image for image in images_at(path)} if gone else {}
    for former, sha256 in gone.items():
        if sha256 in moved:
            autotag.move(attachment(former), moved[sha256])
        else:
            autotag.forget(attachment(former))


def is_gone(path: str) -> bool:
    return not plugin.storage.exists(path)


def digest(image: AssetRef) -> str:
    with open(load(image), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@autotag.image_loader
def load(asset: AssetRef) -> str:
    # This also refuses links that lead out of the repository.
    if not plugin.storage.exists(asset.id):
        raise LookupError(asset)
    return os.path.join(plugin.storage.path, asset.id)


@autotag.asset_lister
def images() -> Iterator[AssetRef]:
    """Return existing images, for ``flask autotag tag-untagged``."""
    names, _ = plugin.storage.list()
    return map(attachment, filter(is_image, names))


@autotag.authorizer
def may(action: str, instance: str | None):
    from otterwiki.auth import has_permission

    if has_permission("READ" if action == "view_tags" else "ADMIN"):
        return True
    if current_user.is_anonymous:
        return redirect(url_for("login", next=request.full_path))
    return False


@autotag.user_namer
def user() -> str | None:
    return current_user.name if current_user.is_authenticated else None


@autotag.image_url
def thumbnail(asset: AssetRef) -> str:
    page, name = os.path.split(asset.id)
    return url_for("get_attachment_thumbnail", pagepath=page, filename=name)
