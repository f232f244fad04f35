"""A new row is a new image, also if its key had one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import String, create_engine, delete, event, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_autotag import AssetRef, AutoTag, image_uploaded
from flask_autotag.jobs.worker import Worker

from ..hosts import ESPRESSO, ESPRESSO_TAGS, Host, close, jpeg, store_labels

PHOTO = AssetRef("photo", "1")


class HostBase(DeclarativeBase):
    pass


class Picture(HostBase):
    __tablename__ = "picture"
    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(String(40))


def tags(host: Host, asset: object = PHOTO) -> list[str]:
    return [tag.name for tag in host.autotag.tags_for(asset)]


def add_row(host: Host, **values: Any) -> Any:
    """Commit a photo with the key of the former one."""
    photo = host.Photo(id=1, path=str(ESPRESSO), **values)
    host.db.session.add(photo)
    host.db.session.commit()
    return photo


@pytest.fixture
def former(any_host: Host) -> Iterator[Host]:
    """A host whose key 1 belonged to an image with tags, decisions and jobs.

    A bulk DELETE has removed its row. The tenant "acme" has the name too.
    """
    host = any_host
    host.autotag.watch(
        host.Photo,
        lambda photo: photo.path,
        lambda photo: photo.tenant,
        when=lambda photo: photo.path != "draft",
    )
    with host.app.app_context():
        add_row(host)
        image_uploaded.send(host.app, asset=PHOTO, image=jpeg())
        for instance in ("default", "acme"):
            store_labels(host, PHOTO, [("dog", 0.9), ("wolf", 0.4)], instance)
            host.autotag.add_tag(PHOTO, "Rex", instance=instance)
            host.autotag.reject_tag(PHOTO, "espresso", instance=instance)
        host.db.session.execute(delete(host.Photo))
        host.db.session.commit()
        host.db.session.remove()
        assert tags(host) == ["Rex", "Rex", "dog", "dog"]
        yield host
    assert host.failures == []


def test_it_has_nothing_of_the_former_image(former: Host) -> None:
    photo = add_row(former)
    assert former.autotag.tags_for(photo, "default") == []
    assert [tag.name for tag in former.autotag.tags_for(photo, "acme")] == [
        "Rex",
        "dog",
    ]
    assert [job.state for job in former.jobs()] == ["queued"]
    Worker(former.app, former.autotag.state_of(former.app)).drain()
    former.db.session.rollback()
    found = former.autotag.tags_for(photo, "default")
    assert [tag.name for tag in found] == ESPRESSO_TAGS
    counts = former.autotag.tag_counts(instance="default")
    assert {tag.name: tag.count for tag in counts} == dict.fromkeys(ESPRESSO_TAGS, 1)


def test_a_row_whose_file_comes_later(former: Host) -> None:
    photo = former.Photo(id=1, path="draft")
    former.db.session.add(photo)
    former.db.session.commit()
    assert former.autotag.tags_for(photo, "default") == []
    assert former.jobs() == []
    photo.path = str(ESPRESSO)
    former.db.session.commit()
    assert [job.state for job in former.jobs()] == ["queued"]


def test_a_rollback_keeps_the_former_image(former: Host) -> None:
    former.db.session.add(former.Photo(id=1, path="b.jpg"))
    former.db.session.flush()
    assert [tag.name for tag in former.autotag.tags_for(PHOTO, "default")] == []
    former.db.session.rollback()
    assert [tag.name for tag in former.autotag.tags_for(PHOTO, "default")] == [
        "Rex",
        "dog",
    ]
    assert len(former.jobs()) == 2


def test_only_jobs_are_left(former: Host) -> None:
    former.autotag.forget(PHOTO, instance="default")
    image_uploaded.send(former.app, asset=PHOTO, image=jpeg())
    add_row(former)
    [job] = former.jobs()
    assert job.path is None
    table = former.models.upload.__table__
    assert former.db.session.scalar(select(func.count()).select_from(table)) == 0


def test_only_tags_are_left(former: Host) -> None:
    former.autotag.forget(PHOTO, instance="default")
    former.autotag.add_tag(PHOTO, "Rex", instance="default")
    former.db.session.remove()
    assert former.autotag.tags_for(add_row(former), "default") == []


def test_a_merge_of_a_row_keeps_its_tags(former: Host) -> None:
    photo = add_row(former)
    former.autotag.add_tag(photo, "Bella")
    former.db.session.remove()
    former.db.session.merge(former.Photo(id=1, path="b.jpg"))
    former.db.session.commit()
    assert [tag.name for tag in former.autotag.tags_for(PHOTO, "default")] == ["Bella"]


def test_a_merge_that_inserts_is_a_new_row(former: Host) -> None:
    former.db.session.merge(former.Photo(id=1, path="b.jpg"))
    former.db.session.commit()
    assert former.autotag.tags_for(PHOTO, "default") == []


def test_a_row_that_replaces_another_in_one_flush(former: Host) -> None:
    photo = add_row(former)
    former.autotag.add_tag(photo, "Bella")
    former.db.session.commit()
    former.db.session.delete(photo)
    former.db.session.add(former.Photo(id=1, path="b.jpg", tenant="default"))
    former.db.session.commit()
    assert former.autotag.tags_for(PHOTO, "default") == []
    assert len(former.jobs()) == 1


def tag_after_the_flush(host: Host) -> None:
    photo = host.Photo(id=1, path="b.jpg")
    host.db.session.add(photo)
    host.db.session.flush()
    host.autotag.add_tag(photo, "Bella")


def tag_in_an_event(host: Host) -> None:
    """The host's listener is called after ours."""

    def inserted(_mapper: Any, _connection: Any, photo: Any) -> None:
        host.autotag.add_tag(photo, "Bella")

    event.listen(host.Photo, "after_insert", inserted)
    host.db.session.add(host.Photo(id=1, path="b.jpg"))
    host.db.session.flush()


def tag_before_the_insert(host: Host) -> None:
    host.db.session.add(host.Photo(path="other.jpg", id=7))
    host.db.session.flush()
    host.autotag.add_tag(PHOTO, "Bella", instance="default")
    host.db.session.add(host.Photo(id=1, path="b.jpg"))


def tag_before_the_transaction(host: Host) -> None:
    host.autotag.add_tag(PHOTO, "Bella", instance="default")
    host.db.session.add(host.Photo(id=1, path="b.jpg"))


def move_before_the_insert(host: Host) -> None:
    other = AssetRef("photo", "7")
    host.autotag.add_tag(other, "Bella", instance="default")
    host.autotag.move(other, PHOTO, instance="default")
    host.db.session.add(host.Photo(id=1, path="b.jpg"))


@pytest.mark.parametrize(
    "act",
    [
        tag_after_the_flush,
        tag_in_an_event,
        tag_before_the_insert,
        tag_before_the_transaction,
        move_before_the_insert,
    ],
)
def test_decisions_on_the_new_image_stay(
    former: Host, act: Callable[[Host], None]
) -> None:
    act(former)
    former.db.session.commit()
    found = former.autotag.tags_for(PHOTO, "default")
    assert "Bella" in [tag.name for tag in found]


def test_decisions_before_another_transaction_are_of_the_former_image(
    former: Host,
) -> None:
    former.autotag.add_tag(PHOTO, "Bella", instance="default")
    former.db.session.add(former.Photo(path="other.jpg", id=7))
    former.db.session.commit()
    add_row(former)
    assert former.autotag.tags_for(PHOTO, "default") == []


def test_a_new_key_costs_one_select(host: Host) -> None:
    """Nothing is deleted, and no lock is taken."""
    host.autotag.watch(host.Photo, lambda photo: photo.path)
    with host.app.app_context():
        executed: list[str] = []
        engine = host.db.engine
        host.add_photo()

        def note(_conn: Any, _cursor: Any, statement: str, *_others: Any) -> None:
            executed.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        host.db.session.add(host.Photo(path="b.jpg"))
        host.db.session.commit()
        event.remove(engine, "before_cursor_execute", note)
    assert [statement.split()[0] for statement in executed] == [
        "INSERT",
        "SAVEPOINT",
        "SELECT",
        "INSERT",
        "RELEASE",
    ]


def test_tables_in_another_database(tmp_path: Path) -> None:
    """The former image is forgotten after the commit; new decisions stay."""
    app = Flask("host", instance_path=str(tmp_path))
    app.config["AUTOTAG_RUNNER"] = "none"
    autotag = AutoTag(app)
    autotag.watch(Picture, lambda _: jpeg())
    engine = create_engine(f"sqlite:///{tmp_path / 'plain.sqlite'}")
    HostBase.metadata.create_all(engine)
    first, second = AssetRef("picture", "1"), AssetRef("picture", "2")
    with app.app_context(), Session(engine) as session:
        autotag.add_tag(first, "Rex")
        session.add(Picture(id=1, path="a"))
        session.flush()
        session.rollback()
        assert [tag.name for tag in autotag.tags_for(first)] == ["Rex"]
        session.add(Picture(id=1, path="a"))
        session.commit()
        assert autotag.tags_for(first) == []
        picture = Picture(id=2, path="a")
        session.add(picture)
        session.flush()
        autotag.add_tag(picture, "Bella")
        session.commit()
        assert [tag.name for tag in autotag.tags_for(second)] == ["Bella"]
    engine.dispose()
    autotag.state_of(app).database.engine.dispose()
    close(app)
