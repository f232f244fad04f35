"""A small CMS: POST /photos uploads a photo, GET /photos/1 returns its tags."""

from flask import Flask, request
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_autotag import AutoTag


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)
migrate = Migrate()
autotag = AutoTag()


class Photo(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    image: Mapped[bytes]


autotag.watch(Photo, image=lambda photo: photo.image)


def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///cms.sqlite"
    app.config.from_prefixed_env()  # such as FLASK_AUTOTAG_RUNNER=none
    db.init_app(app)
    migrate.init_app(app, db)
    autotag.init_app(app)

    @app.post("/photos")
    def upload():
        photo = Photo(image=request.files["photo"].read())
        db.session.add(photo)
        db.session.commit()
        return {"id": photo.id}, 201

    @app.get("/photos/<int:photo_id>")
    def show(photo_id):
        photo = db.get_or_404(Photo, photo_id)
        return {"tags": [tag.name for tag in autotag.tags_for(photo)]}

    return app
