"""Tags the photos of a CMS that cannot install Flask-AutoTag itself."""

import os

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_autotag import AutoTag

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["CMS_DATABASE"]
app.config["AUTOTAG_RUNNER"] = "none"
db = SQLAlchemy(app)
autotag = AutoTag(app)


class Photo(db.Model):
    """The columns of the CMS's table that are needed to find the images."""

    __tablename__ = "photo"
    id = db.Column(db.Integer, primary_key=True)
    path = db.Column(db.String(500))


autotag.watch(
    Photo, image=lambda photo: os.path.join(os.environ["CMS_UPLOADS"], photo.path)
)
