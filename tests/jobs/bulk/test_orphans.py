"""Images of watched models that have no row any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import delete, func, select

from flask_autotag import AssetRef, AutoTag, ConfigurationError, image_uploaded
from flask_autotag.jobs.bulk import orphans
from flask_autotag.jobs.bulk.orphans import Orphans, count_orphans, forget_orphans
from flask_autotag.tags.batches import AssetFilter

from ...hosts import Host, close, jpeg, store_labels

ALL = AssetFilter()


def asset(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


def ignore(_number: int) -> None:
    pass


@pytest.fixture
def watched(any_host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host with photos 1 to 6, all tagged; a bulk DELETE has removed 2, 4 and 6.

    The photo 6 has only a job. Batches have two images.
    """
    monkeypatch.setattr(orphans, "BATCH_SIZE", 2)
    host = any_host
    host.autotag.watch(host.Photo, lambda photo: photo.path)
    with host.app.app_context():
        for number in range(1, 7):
            host.db.session.add(host.Photo(id=number, path="a.jpg"))
        host.db.session.commit()
        for number in range(1, 6):
            store_labels(host, asset(number), [("dog", 0.9)])
        host.autotag.add_tag(asset(2), "Rex")
        store_labels(host, asset(4), [("dog", 0.9)], "acme")
        host.db.session.execute(delete(host.Photo).where(host.Photo.id % 2 == 0))
        host.db.session.commit()
        yield host


def left(host: Host) -> tuple[list[str], list[str]]:
    """Return the keys of all images and of all jobs."""
    host.db.session.rollback()
    table = host.models.asset.__table__
    found = host.db.session.scalars(select(table.c.asset_id).order_by(table.c.id))
    return list(found), [job.asset_id for job in host.jobs()]


def test_what_has_no_row_is_forgotten(watched: Host) -> None:
    state = watched.autotag.state_of(watched.app)
    # Another type, another image of the host, and a job without an image.
    other, upload = AssetRef("logo", "2"), AssetRef("photo", "cover")
    for ref in (other, upload):
        image_uploaded.send(watched.app, asset=ref, image=jpeg())
        watched.autotag.add_tag(ref, "Rex")
    steps: list[int] = []
    assert count_orphans(state, ALL, steps.append) == [Orphans("photo", 3, 3)]
    assert sum(steps) == 7 + 7
    assert forget_orphans(state, ALL, ignore) == [Orphans("photo", 3, 3)]
    assert left(watched) == (
        ["1", "3", "5", "2", "cover"],
        ["1", "3", "5", "2", "cover"],
    )
    counts = {tag.name: tag.count for tag in watched.autotag.tag_counts()}
    assert counts == {"dog": 3, "Rex": 2}
    assert forget_orphans(state, ALL, ignore) == [Orphans("photo")]
    table = watched.models.prediction.__table__
    count = select(func.count()).select_from(table)
    assert watched.db.session.scalar(count) == 3


def test_only_one_tenant(watched: Host) -> None:
    state = watched.autotag.state_of(watched.app)
    scope = AssetFilter("acme")
    assert count_orphans(state, scope, ignore) == [Orphans("photo", 1, 0)]
    forget_orphans(state, scope, ignore)
    assert left(watched)[0] == ["1", "2", "3", "4", "5"]


def test_a_row_that_was_inserted_meanwhile_keeps_its_image(
    watched: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look-up and the deletion."""
    find, looked_up = orphans.find_missing, []

    def then_insert(*arguments: Any) -> set[str]:
        missing = find(*arguments)
        if missing and not looked_up:
            looked_up.append(missing)
            insert(watched)
        return missing

    def insert(host: Host) -> None:
        table = host.Photo.__table__
        rows = [{"id": number, "path": "a", "tenant": "default"} for number in (2, 4)]
        arguments[0].execute(table.insert(), rows)

    arguments: list[Any] = []

    def with_connection(connection: Any, *others: Any) -> set[str]:
        arguments[:] = [connection]
        return then_insert(connection, *others)

    monkeypatch.setattr(orphans, "find_missing", with_connection)
    state = watched.autotag.state_of(watched.app)
    assert forget_orphans(state, ALL, ignore) == [Orphans("photo", 0, 1)]
    assert left(watched)[0] == ["1", "2", "3", "4", "5", "4"]


def test_a_model_in_another_bind(tmp_path: Path) -> None:
    """Its keys are read from its own database."""
    db = SQLAlchemy()
    app = Flask("host")
    app.config.update(
        AUTOTAG_RUNNER="none",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.sqlite'}",
        SQLALCHEMY_BINDS={"media": f"sqlite:///{tmp_path / 'media.sqlite'}"},
    )
    db.init_app(app)
    autotag = AutoTag(app)

    class Photo(db.Model):  # type: ignore[name-defined,misc]
        __bind_key__ = "media"
        id: Any = db.Column(db.Integer, primary_key=True)

    autotag.watch(Photo, lambda _: jpeg())
    with app.app_context():
        db.create_all()
        db.session.add_all([Photo(id=1), Photo(id=2)])
        db.session.commit()
        db.session.execute(delete(Photo).where(Photo.id == 2))
        db.session.commit()
        state = autotag.state_of(app)
        found = forget_orphans(state, ALL, ignore)
        assert found == [Orphans("media:photo", 0, 1)]
        assert forget_orphans(state, ALL, ignore) == [Orphans("media:photo")]
    close(app, db)


def test_without_rows_to_compare_with(host: Host, tmp_path: Path) -> None:
    with host.app.app_context():
        state = host.autotag.state_of(host.app)
        with pytest.raises(ConfigurationError, match=r"No model is watched"):
            count_orphans(state, ALL, ignore)
        host.autotag.watch(host.Photo, lambda photo: photo.path)
        with pytest.raises(ConfigurationError, match=r"the type 'logo'. Types: photo"):
            count_orphans(state, AssetFilter(asset_type="logo"), ignore)
    app = Flask("plain", instance_path=str(tmp_path))
    app.config["AUTOTAG_RUNNER"] = "none"
    autotag = AutoTag(app)
    autotag.watch(host.Photo, lambda photo: photo.path)
    with (
        app.app_context(),
        pytest.raises(ConfigurationError, match=r"has no Flask-SQLAlchemy"),
    ):
        count_orphans(autotag.state_of(app), ALL, ignore)
    close(app)
