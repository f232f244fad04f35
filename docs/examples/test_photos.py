"""Tests that share the tables of one database; what each writes is rolled back."""

import io
import os

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from PIL import Image

from flask_autotag import AutoTag
from flask_autotag.testing import fake_labels

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["CMS_DATABASE"]
app.config["AUTOTAG_RUNNER"] = "inline"
db = SQLAlchemy(app)
autotag = AutoTag(app)


class Photo(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    color = db.Column(db.String(50))


def draw(photo):
    file = io.BytesIO()
    Image.new("RGB", (40, 30), photo.color).save(file, "PNG")
    return file.getvalue()


autotag.watch(Photo, image=draw)


@app.post("/photos")
def upload():
    photo = Photo(color="red")
    db.session.add(photo)
    db.session.commit()
    return {"id": photo.id}


# The tests.
@pytest.fixture(scope="session")
def tables():
    with app.app_context():
        db.create_all()


@pytest.fixture
def session(tables, monkeypatch):
    with app.app_context(), db.engine.connect() as connection:
        outer = connection.begin()
        if connection.dialect.name == "sqlite":
            # Python's driver would begin at the first write, and commit too early.
            connection.exec_driver_sql("BEGIN")
        monkeypatch.setitem(db.engines, None, connection)
        db.session.configure(join_transaction_mode="create_savepoint")
        yield db.session
        db.session.remove()
        outer.rollback()


@pytest.mark.parametrize("name", ["dog", "cat"])
def test_tags(session, name):
    assert session.query(Photo).count() == 0
    with fake_labels(app, {name: 0.9}):
        key = app.test_client().post("/photos").json["id"]
    photo = session.get(Photo, key)
    assert [tag.name for tag in autotag.tags_for(photo)] == [name]
    assert [tag.name for tag in autotag.tag_counts()] == [name]


def test_tag_now(session):
    photo = Photo(color="blue")
    session.add(photo)
    session.commit()
    with fake_labels(app, {"rose": 0.9}):
        autotag.tag_now(photo)
    session.rollback()
    assert [tag.name for tag in autotag.tags_for(photo)] == ["rose"]
