"""Objects of watched models that sessions insert, update and delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import String, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_autotag import AssetRef, AutoTag, image_uploaded
from flask_autotag.jobs import maintenance
from flask_autotag.jobs.worker import Worker

from ..hosts import ESPRESSO, ESPRESSO_TAGS, Host, close, store_labels

PHOTO = AssetRef("photo", "1")


class HostBase(DeclarativeBase):
    pass


class Picture(HostBase):
    __tablename__ = "picture"
    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(String(40))


def find_image(photo: object) -> str | None:
    """Return the path of a photo; a photo without a path has no image."""
    return getattr(photo, "path", None) or None


def drain(host: Host) -> None:
    Worker(host.app, host.autotag.state_of(host.app)).drain()


def tags(host: Host) -> list[str]:
    return [tag.name for tag in host.autotag.tags_for(PHOTO)]


def test_writes_outside_an_application_context_are_reported_once(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.autotag.watch(host.Photo, lambda photo: photo.path, columns=["path"])
    with host.app.app_context():
        engine = host.db.engine
        host.add_photo()
    with Session(engine) as session:
        photo = session.get(host.Photo, 1)
        assert photo is not None
        photo.tenant = "acme"
        session.commit()
        assert caplog.messages == []
        session.add(host.Photo(path="b.jpg"))
        session.commit()
        photo.path = "c.jpg"
        session.delete(session.get(host.Photo, 2))
        session.commit()
    [message] = caplog.messages
    assert message.startswith(
        "A session wrote a Photo outside an application context: its image is not"
        " tagged"
    )
    assert "app.app_context()" in message
    assert len(host.jobs()) == 1


def test_writes_in_the_context_of_another_application_are_not_reported(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.autotag.watch(host.Photo, lambda photo: photo.path)
    with host.app.app_context():
        engine = host.db.engine
    with Flask("other").app_context(), Session(engine) as session:
        session.add(host.Photo(path="b.jpg"))
        session.commit()
    assert caplog.messages == []
    assert host.jobs() == []


def test_a_removed_image_takes_the_tags_of_providers_along(any_host: Host) -> None:
    host = any_host
    host.autotag.watch(host.Photo, find_image, columns=["path"])
    with host.app.app_context():
        photo = host.add_photo("nowhere.jpg")
        drain(host)
        assert [job.state for job in host.jobs()] == ["failed"]
        host.failures.clear()
        store_labels(host, PHOTO, [("dog", 0.9), ("wolf", 0.4)])
        host.autotag.add_tag(photo, "Rex")
        host.autotag.reject_tag(photo, "cat")
        photo.path = ""
        host.db.session.commit()
        drain(host)
        assert [(job.state, job.error_code) for job in host.jobs()] == [
            ("cancelled", None),
            ("done", None),
        ]
        assert (host.failures, host.tagged) == ([], [])
        assert tags(host) == ["Rex"]
        assert host.autotag.suggestions_for(photo) == []
        assert {tag.name: tag.count for tag in host.autotag.tag_counts()} == {"Rex": 1}
        explained = host.autotag.explain(photo)
        assert (explained.labels, explained.tagged_at) == ((), None)
        assert host.autotag.progress(photo)[photo].state == "untagged"


def test_an_image_that_comes_later_is_tagged(inline_host: Host) -> None:
    host = inline_host
    host.autotag.watch(host.Photo, find_image, columns=["path"])
    with host.app.app_context():
        photo = host.add_photo("")
        assert tags(host) == []
        photo.path = str(ESPRESSO)
        host.db.session.commit()
        assert tags(host) == ESPRESSO_TAGS
        assert [job.state for job in host.jobs()] == ["done", "done"]
        assert host.failures == []


def test_an_image_loader_may_find_no_image(inline_host: Host) -> None:
    host = inline_host
    host.autotag.image_loader(lambda asset: None)
    with host.app.app_context():
        store_labels(host, PHOTO, [("dog", 0.9)])
        image_uploaded.send(host.app, asset=PHOTO)
        assert tags(host) == []
    assert [job.state for job in host.jobs()] == ["done"]
    assert (host.failures, host.tagged) == ([], [])


def test_tag_now_finds_no_image(host: Host) -> None:
    host.autotag.watch(host.Photo, lambda photo: None)
    with host.app.app_context():
        photo = host.add_photo()
        store_labels(host, PHOTO, [("dog", 0.9)])
        host.autotag.add_tag(photo, "Rex")
        host.db.session.commit()
        assert [tag.name for tag in host.autotag.tag_now(photo)] == ["Rex"]


def test_a_file_whose_function_returns_none_is_still_no_image(host: Host) -> None:
    """The host says that there is an image, and returns none."""
    image_uploaded.send(host.app, asset=PHOTO, image=lambda: None)
    assert host.failures[0]["code"] == "image_unreadable"
    assert host.jobs() == []


@pytest.fixture
def ready(any_host: Host) -> Iterator[Host]:
    """A host whose photos are tagged once they belong to the tenant "ready"."""
    any_host.autotag.watch(
        any_host.Photo,
        lambda photo: photo.path,
        columns=["path"],
        when=lambda photo: photo.tenant == "ready",
    )
    with any_host.app.app_context():
        yield any_host
    assert any_host.failures == []


def save(host: Host, photo: Any, **values: str) -> list[str]:
    """Write an update, and return the states of all jobs."""
    for name, value in values.items():
        setattr(photo, name, value)
    host.db.session.commit()
    return [job.state for job in host.jobs()]


def test_an_image_is_tagged_once_it_is_ready(ready: Host) -> None:
    photo = ready.add_photo("late.jpg")
    assert save(ready, photo, path="later.jpg") == []
    assert save(ready, photo, path=str(ESPRESSO), tenant="ready") == ["queued"]
    assert save(ready, photo, tenant="draft") == ["queued"]
    assert save(ready, photo, tenant="ready") == ["queued"]
    drain(ready)
    assert tags(ready) == ESPRESSO_TAGS
    assert save(ready, photo, tenant="draft") == ["done"]
    assert tags(ready) == ESPRESSO_TAGS
    assert save(ready, photo, tenant="ready") == ["done"]
    maintenance.purge(ready.autotag.state_of(ready.app).database, 0)
    assert save(ready, photo, tenant="draft") == []
    assert save(ready, photo, tenant="ready") == []
    assert save(ready, photo, path=f"{ESPRESSO.parent}/./{ESPRESSO.name}") == ["queued"]


def test_a_row_that_is_ready_at_once(ready: Host) -> None:
    photo = ready.Photo(path="a.jpg", tenant="ready")
    ready.db.session.add(photo)
    ready.db.session.flush()
    ready.db.session.rollback()
    assert ready.jobs() == []
    ready.db.session.add(ready.Photo(path="a.jpg", tenant="ready"))
    ready.db.session.commit()
    assert [job.state for job in ready.jobs()] == ["queued"]


def test_a_file_that_was_replaced_before_it_was_ready(ready: Host) -> None:
    """The worker never sees the new file before it is ready, and then sees it."""
    photo = ready.add_photo("a.jpg")
    store_labels(ready, PHOTO, [("dog", 0.9)])
    assert save(ready, photo, tenant="ready") == []
    ready.autotag.retag(photo)
    assert save(ready, photo, path="b.jpg", tenant="draft") == []
    assert tags(ready) == ["dog"]
    photo.path = str(ESPRESSO)
    ready.db.session.flush()
    ready.db.session.rollback()
    assert save(ready, photo, path=str(ESPRESSO)) == []
    assert save(ready, photo, tenant="ready") == ["queued"]
    drain(ready)
    assert tags(ready) == ESPRESSO_TAGS


def test_a_row_that_only_people_have_tagged_is_tagged_when_ready(ready: Host) -> None:
    photo = ready.add_photo("a.jpg")
    ready.autotag.add_tag(photo, "Rex")
    assert save(ready, photo, tenant="ready") == ["queued"]


def test_an_upload_is_tagged_whatever_when_returns(ready: Host) -> None:
    image_uploaded.send(ready.app, asset=ready.add_photo("a.jpg"), image=ESPRESSO)
    assert [job.state for job in ready.jobs()] == ["queued"]


def test_a_condition_that_raises_does_not_cost_the_host_its_write(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.autotag.watch(host.Photo, lambda photo: b"", when=lambda photo: photo.status)
    with host.app.app_context():
        assert host.add_photo().id == 1
    [failure] = host.failures
    assert failure["message"] == "The upload could not be queued (AttributeError)."
    assert host.jobs() == []


def test_readiness_with_tables_in_another_database(tmp_path: Path) -> None:
    """The look-up follows the commit, in the other database."""
    app = Flask("host", instance_path=str(tmp_path))
    app.config["AUTOTAG_RUNNER"] = "none"
    autotag = AutoTag(app)
    autotag.watch(Picture, lambda _: b"", when=lambda picture: picture.path == "ready")
    engine = create_engine(f"sqlite:///{tmp_path / 'plain.sqlite'}")
    HostBase.metadata.create_all(engine)
    with app.app_context(), Session(engine) as session:
        count = select(func.count()).select_from(autotag.models.job)
        picture = Picture(path="draft")
        session.add(picture)
        numbers = []
        for path in ("draft", "ready", "draft", "ready"):
            picture.path = path
            session.commit()
            with autotag.state_of(app).database.begin() as own:
                numbers.append(own.scalar(count))
        assert numbers == [0, 1, 1, 1]
    engine.dispose()
    autotag.state_of(app).database.engine.dispose()
    close(app)
