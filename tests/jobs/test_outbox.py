"""The transaction of an upload's job: a rollback leaves no job, a commit leaves one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, current_app
from sqlalchemy import event, func, insert, select, text
from sqlalchemy.orm import Session, object_session

from flask_autotag import AssetRef, image_uploaded

from ..hosts import Host, jpeg


def send(host: Host, asset: object, **arguments: Any) -> None:
    arguments.setdefault("image", jpeg())
    image_uploaded.send(host.app, asset=asset, **arguments)


def before_flush(host: Host) -> None:
    photo = host.Photo(path="a.jpg")
    host.db.session.add(photo)
    send(host, photo)


def before_add(host: Host) -> None:
    photo = host.Photo(path="a.jpg")
    send(host, photo)
    host.db.session.add(photo)


def after_flush(host: Host) -> None:
    photo = host.Photo(path="a.jpg")
    host.db.session.add(photo)
    host.db.session.flush()
    send(host, photo)


def by_ref_before_flush(host: Host) -> None:
    host.db.session.add(host.Photo(path="a.jpg"))
    send(host, AssetRef("photo", "1"))


def after_core_insert(host: Host) -> None:
    host.db.session.execute(
        insert(host.Photo.__table__).values(path="a.jpg", tenant="default")
    )
    send(host, AssetRef("photo", "1"))


def after_text_insert(host: Host) -> None:
    host.db.session.execute(
        text("INSERT INTO photo (path, tenant) VALUES ('a.jpg', 'default')")
    )
    send(host, AssetRef("photo", "1"))


def in_savepoint(host: Host) -> None:
    # Python's sqlite3 begins a transaction at the first write, not at a savepoint.
    host.db.session.add(host.Photo(path="first.jpg"))
    host.db.session.flush()
    with host.db.session.begin_nested():
        photo = host.Photo(path="a.jpg")
        host.db.session.add(photo)
        host.db.session.flush()
        send(host, photo)


def in_after_insert(host: Host) -> None:
    def inserted(_mapper: Any, _connection: Any, photo: Any) -> None:
        send(host, photo)

    event.listen(host.Photo, "after_insert", inserted)
    host.db.session.add(host.Photo(path="a.jpg"))
    host.db.session.flush()


def in_before_insert(host: Host) -> None:
    def inserting(_mapper: Any, _connection: Any, photo: Any) -> None:
        send(host, photo)

    event.listen(host.Photo, "before_insert", inserting)
    host.db.session.add(host.Photo(path="a.jpg"))
    host.db.session.flush()


ORDERS = [
    before_flush,
    before_add,
    after_flush,
    by_ref_before_flush,
    after_core_insert,
    after_text_insert,
    in_savepoint,
    in_after_insert,
    in_before_insert,
]

orders = pytest.mark.parametrize("upload", ORDERS, ids=lambda order: order.__name__)


@orders
def test_commit_leaves_one_job(any_host: Host, upload: Callable[[Host], None]) -> None:
    with any_host.app.app_context():
        upload(any_host)
        any_host.db.session.commit()
        photo_id = any_host.db.session.scalar(select(func.max(any_host.Photo.id)))

    [job] = any_host.jobs()
    assert (job.asset_type, job.asset_id) == ("photo", str(photo_id))
    assert (job.state, job.instance) == ("queued", "default")
    assert any_host.failures == []


@orders
def test_rollback_leaves_no_job(any_host: Host, upload: Callable[[Host], None]) -> None:
    with any_host.app.app_context():
        upload(any_host)
        any_host.db.session.rollback()

    assert any_host.jobs() == []
    assert any_host.failures == []


@orders
def test_a_request_that_ends_without_commit_leaves_no_job(
    host: Host, upload: Callable[[Host], None]
) -> None:
    with host.app.app_context():
        upload(host)

    assert host.jobs() == []


def test_after_commit_the_job_commits_alone(any_host: Host) -> None:
    with any_host.app.app_context():
        photo = any_host.add_photo()
        send(any_host, photo)
        any_host.db.session.rollback()

    assert len(any_host.jobs()) == 1


def test_a_transaction_that_only_read_is_not_joined(any_host: Host) -> None:
    with any_host.app.app_context():
        photo = any_host.add_photo()
        # Expired by the commit, so this begins a transaction that is not committed.
        assert photo.path == "photo.jpg"
        send(any_host, photo)

    assert len(any_host.jobs()) == 1


def test_inside_the_after_commit_event(any_host: Host) -> None:
    with any_host.app.app_context():
        session = any_host.db.session()
        photo = any_host.Photo(path="a.jpg")
        session.add(photo)
        session.flush()

        def committed(_session: Session) -> None:
            send(any_host, photo)

        event.listen(session, "after_commit", committed)
        session.commit()

    assert any_host.failures == []
    assert len(any_host.jobs()) == 1


def test_a_rolled_back_savepoint_takes_its_job_along(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.db.session.add(any_host.Photo(path="kept.jpg"))
        any_host.db.session.flush()
        nested = any_host.db.session.begin_nested()
        photo = any_host.Photo(path="a.jpg")
        any_host.db.session.add(photo)
        any_host.db.session.flush()
        send(any_host, photo)
        nested.rollback()
        any_host.db.session.commit()

    assert any_host.jobs() == []


def test_missing_tables_do_not_cost_the_host_its_transaction(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.models.metadata.drop_all(
            any_host.db.engine, tables=any_host.models.tables
        )
        photo = any_host.Photo(path="a.jpg")
        any_host.db.session.add(photo)
        any_host.db.session.flush()
        send(any_host, photo)
        any_host.db.session.commit()
        assert any_host.db.session.scalar(select(any_host.Photo.path)) == "a.jpg"
        any_host.autotag.create_tables()

    [failure] = any_host.failures
    assert failure["asset"] == AssetRef("photo", "1")
    assert failure["code"] == "not_queued"
    assert "'flask autotag init-db' makes them" in failure["message"]


def test_a_session_of_the_hosts_own(any_host: Host) -> None:
    with (
        any_host.app.app_context(),
        Session(any_host.db.engine) as session,
    ):
        photo = any_host.Photo(path="a.jpg")
        session.add(photo)
        session.flush()
        assert object_session(photo) is session
        send(any_host, photo)
        session.rollback()
        assert any_host.jobs() == []

        session.execute(
            insert(any_host.Photo.__table__).values(path="b", tenant="default")
        )
        send(any_host, AssetRef("photo", "7"), session=session)
        session.rollback()
        assert any_host.jobs() == []


def test_the_same_upload_fifty_times_is_one_live_job(any_host: Host) -> None:
    with any_host.app.app_context():
        photo = any_host.add_photo()
        for _ in range(50):
            send(any_host, photo)

    assert len(any_host.jobs()) == 1


def test_another_content_of_the_same_asset_is_another_job(any_host: Host) -> None:
    with any_host.app.app_context():
        photo = any_host.add_photo()
        send(any_host, photo, image=jpeg("red"))
        send(any_host, photo, image=jpeg("blue"))

    assert len(any_host.jobs()) == 2


def test_large_bytes_travel_with_the_job(any_host: Host) -> None:
    data = bytes(range(256)) * 20_000
    with any_host.app.app_context():
        send(any_host, AssetRef("photo", "1"), image=data)
        table = any_host.models.upload.__table__
        with any_host.db.engine.connect() as connection:
            rows = connection.execute(select(table).order_by(table.c.part)).all()

    assert len(rows) == 79
    assert b"".join(row.data for row in rows) == data


def test_an_object_that_is_never_saved_is_reported_at_the_commit(host: Host) -> None:
    with host.app.app_context():
        send(host, host.Photo(path="forgotten.jpg"))
        host.db.session.add(host.Photo(path="another.jpg"))
        host.db.session.commit()

    assert host.jobs() == []
    [failure] = host.failures
    assert "add it to the session before sending the signal" in failure["message"]


def test_an_uninvolved_application_is_left_alone(host: Host) -> None:
    with host.app.app_context():
        # The proxy is not the application; the object behind it is.
        image_uploaded.send(current_app, asset=AssetRef("photo", "1"), image=jpeg())
        assert len(host.jobs()) == 1
        image_uploaded.send(object(), asset=AssetRef("photo", "2"), image=jpeg())
        assert len(host.jobs()) == 2
    image_uploaded.send(object(), asset=AssetRef("photo", "3"), image=jpeg())
    image_uploaded.send(host.app, asset=AssetRef("photo", "4"), image=jpeg())
    assert len(host.jobs()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"asset": None}, "an instance of a mapped class or an AssetRef, not None"),
        ({"asset": AssetRef("photo", "1"), "image": None}, "no image_loader"),
        ({"asset": AssetRef("photo", "1"), "image": 7}, "not int"),
        (
            {"asset": AssetRef("photo", "1"), "image": "/nowhere/a.jpg"},
            "There is no readable file 'a.jpg'",
        ),
        (
            {"asset": AssetRef("photo", "1"), "image": lambda: 1 / 0},
            "could not be queued (ZeroDivisionError)",
        ),
        (
            {"asset": AssetRef("photo", "1"), "instance": "x" * 65},
            "The instance is a text of 1 to 64 characters",
        ),
    ],
)
def test_a_wrong_call_is_logged_and_sent_but_does_not_raise(
    host: Host,
    caplog: pytest.LogCaptureFixture,
    arguments: dict[str, Any],
    message: str,
) -> None:
    with host.app.app_context():
        image_uploaded.send(host.app, **{"image": jpeg(), **arguments})

    [failure] = host.failures
    assert message in failure["message"]
    assert failure["asset"] == arguments["asset"]
    assert "was not queued for tagging" in caplog.text
    assert ("photo 1" in caplog.text) == (arguments["asset"] is not None)
    assert host.jobs() == []


def test_an_unknown_argument_is_told(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    with host.app.app_context():
        image_uploaded.send(
            host.app, asset=AssetRef("photo", "1"), image=jpeg(), tenant="acme"
        )
    assert "image_uploaded was sent with tenant, which it does not know" in caplog.text
    assert [job.instance for job in host.jobs()] == ["default"]


def test_an_application_that_was_forgotten_is_told_once(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    other = Flask("other")
    image_uploaded.send(other, asset=AssetRef("photo", "1"), image=jpeg())
    # One of each AutoTag in the process.
    told = len(caplog.records)
    image_uploaded.send(other, asset=AssetRef("photo", "2"), image=jpeg())
    assert len(caplog.records) == told
    assert {record.getMessage() for record in caplog.records} == {
        "image_uploaded was sent by the application 'other', for which AutoTag was not"
        " initialised: nothing is tagged. Did you forget to call init_app?"
    }
    assert host.jobs() == []


def test_the_signal_without_anything(host: Host) -> None:
    image_uploaded.send(host.app)

    [failure] = host.failures
    assert failure["code"] == "not_queued"
