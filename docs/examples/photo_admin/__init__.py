"""A library of photos that is managed with Flask-Admin."""

from __future__ import annotations

import os
import uuid
from typing import Any

from flask import Flask, current_app, g, request
from flask_admin import Admin, AdminIndexView, babel, helpers
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.filters import BaseSQLAFilter
from flask_admin.form import ImageUploadField, SecureForm
from flask_admin.menu import MenuLink
from flask_babel import Babel
from flask_login import LoginManager, UserMixin, current_user
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_autotag import AutoTag


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)
login_manager = LoginManager()
autotag = AutoTag()


class User(db.Model, UserMixin):
    id: Mapped[int] = mapped_column(primary_key=True)
    is_admin: Mapped[bool] = mapped_column(default=False)


class Photo(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    file: Mapped[str]


@login_manager.user_loader
def load_user(user_id: str) -> User | None:
    return db.session.get(User, int(user_id))


def is_administrator() -> bool:
    return current_user.is_authenticated and current_user.is_admin


class AdminOnly:
    """Restricts a view or a link to administrators."""

    def is_accessible(self) -> bool:
        return is_administrator()


class Home(AdminOnly, AdminIndexView):
    pass


class Link(AdminOnly, MenuLink):
    pass


def upload_folder() -> str:
    return current_app.config["UPLOAD_FOLDER"]


def unique_name(photo: Photo, upload: Any) -> str:
    """Return a unique name, so that a replaced image changes its name."""
    return uuid.uuid4().hex + os.path.splitext(upload.filename)[1].lower()


autotag.watch(
    Photo,
    image=lambda photo: os.path.join(upload_folder(), photo.file),
    columns=["file"],
)


class TagFilter(BaseSQLAFilter):
    """Filters photos by a tag."""

    def apply(self, query: Any, value: str, alias: Any = None) -> Any:
        found = autotag.select(Photo, all_of=[value]).with_only_columns(Photo.id)
        return query.filter(Photo.id.in_(found))

    def operation(self) -> str:
        return "is"


def tags_of(view: PhotoView, context: Any, photo: Photo, name: str) -> str:
    return ", ".join(tag.name for tag in g.tags[photo])


class PhotoView(AdminOnly, ModelView):
    form_base_class = SecureForm
    form_extra_fields = {
        "file": ImageUploadField(base_path=upload_folder, namegen=unique_name)
    }
    column_list = ("title", "tags")
    column_formatters = {"tags": tags_of}
    column_filters = [TagFilter(None, "Tag")]

    def get_list(self, *arguments: Any, **named: Any) -> Any:
        count, photos = super().get_list(*arguments, **named)
        g.tags = autotag.preload(photos)
        return count, photos


@autotag.authorizer
def may(action: str, instance: str | None) -> bool:
    return is_administrator()


def create_app(config: dict[str, Any]) -> Flask:
    app = Flask(__name__)
    app.config["AUTOTAG_URL_PREFIX"] = "/admin/tagging"
    app.config["AUTOTAG_BASE_TEMPLATE"] = "admin/autotag.html"
    app.config.update(config)
    db.init_app(app)
    login_manager.init_app(app)
    # Flask-Admin expects it to be initialised if it is installed.
    Babel(app)
    autotag.init_app(app)

    admin = Admin(app, name="Photos", index_view=Home())
    admin.add_view(PhotoView(Photo, db))
    admin.add_link(Link("Image tags", endpoint="autotag.index"))

    @app.context_processor
    def inside_admin() -> dict[str, Any]:
        """Return the variables that Flask-Admin's views pass to its layout."""
        if request.blueprint not in ("autotag", "autotag_instance"):
            return {}
        return {
            "admin_view": admin.index_view,
            "admin_base_template": admin.theme.base_template,
            "theme": admin.theme,
            "get_url": admin.index_view.get_url,
            "h": helpers,
            "_gettext": babel.gettext,
            "_ngettext": babel.ngettext,
        }

    with app.app_context():
        db.create_all()
    return app
