"""A library of photos that is managed with Flask-AppBuilder."""

from __future__ import annotations

from typing import Any

from flask import Flask, request
from flask_appbuilder import AppBuilder, Model, ModelView
from flask_appbuilder.filemanager import ImageManager
from flask_appbuilder.models.mixins import ImageColumn
from flask_appbuilder.models.sqla.base import SQLA
from flask_appbuilder.models.sqla.interface import SQLAInterface
from flask_login import current_user
from sqlalchemy import Column, Integer, String

from flask_autotag import AutoTag, create_models

db = SQLA()
appbuilder = AppBuilder()
# Flask-AppBuilder creates the tables of Model.metadata, and not those of db.metadata.
autotag = AutoTag(models=create_models(Model.metadata))


class Photo(Model):
    __tablename__ = "photo"

    id = Column(Integer, primary_key=True)
    title = Column(String(100), nullable=False)
    image = Column(ImageColumn(size=(1600, 1600, False)), nullable=False)

    def tags(self) -> str:
        return ", ".join(tag.name for tag in autotag.tags_for(self))


autotag.watch(
    Photo,
    image=lambda photo: ImageManager().get_path(photo.image),
    columns=["image"],
)


class PhotoView(ModelView):
    datamodel = SQLAInterface(Photo)
    list_columns = ["title", "tags"]
    add_columns = edit_columns = ["title", "image"]


@autotag.authorizer
def may(action: str, instance: str | None) -> bool:
    return current_user.is_authenticated and any(
        role.name == "Admin" for role in current_user.roles
    )


def create_app(config: dict[str, Any]) -> Flask:
    app = Flask(__name__)
    app.config["AUTOTAG_BASE_TEMPLATE"] = "autotag_frame.html"
    app.config.update(config)
    db.init_app(app)
    autotag.init_app(app)
    with app.app_context():
        appbuilder.init_app(app, db.session)
        appbuilder.add_view(PhotoView, "Photos")
        appbuilder.add_link("Image tags", href="/autotag/")

    @app.context_processor
    def inside_appbuilder() -> dict[str, Any]:
        """Return the variable that Flask-AppBuilder's views pass to its layout."""
        if request.blueprint not in ("autotag", "autotag_instance"):
            return {}
        return {"appbuilder": appbuilder}

    return app
