"""Tests of a host that run in an outer transaction, which is rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column, scoped_session, sessionmaker

from flask_autotag import AssetRef, TransactionError, image_uploaded
from flask_autotag.jobs.bulk.orphans import count_orphans
from flask_autotag.jobs.runners import make_runner
from flask_autotag.tags.batches import AssetFilter
from flask_autotag.testing import fake_labels

from ..articles import COVER, cover, define_articles, watch_both
from ..hosts import Host, jpeg, make_host
from ..services import on_sqlite

Isolated = Callable[[Host], AbstractContextManager[Connection]]


@contextmanager
def outer_transaction(host: Host) -> Iterator[Connection]:
    """Open the transaction of a test, and roll it back at the end."""
    with host.db.engine.connect() as connection:
        transaction = connection.begin()
        if connection.dialect.name == "sqlite":
            # The driver would begin at the first write, and commit with a savepoint.
            connection.exec_driver_sql("BEGIN")
        try:
            yield connection
        finally:
            host.db.session.remove()
            transaction.rollback()


@contextmanager
def in_place_of_the_engine(host: Host) -> Iterator[Connection]:
    """Put the connection in the place of Flask-SQLAlchemy's engine."""
    engine, options = host.db.engines[None], host.db.session.session_factory.kw  # type: ignore[attr-defined]
    with outer_transaction(host) as connection:
        host.db.engines[None] = connection  # type: ignore[assignment]
        options["join_transaction_mode"] = "create_savepoint"
        try:
            yield connection
        finally:
            host.db.engines[None] = engine
            del options["join_transaction_mode"]


@contextmanager
def as_plain_sessions(host: Host) -> Iterator[Connection]:
    """Put plain sessions in the place of Flask-SQLAlchemy's."""
    before = host.db.session
    with outer_transaction(host) as connection:
        make = sessionmaker(connection, join_transaction_mode="create_savepoint")
        host.db.session = scoped_session(make, before.registry.scopefunc)
        try:
            yield connection
        finally:
            host.db.session.remove()
            host.db.session = before


@pytest.fixture(params=[in_place_of_the_engine, as_plain_sessions])
def isolated(request: pytest.FixtureRequest) -> Isolated:
    found: Isolated = request.param
    return found


@pytest.fixture
def tagging(host_database_url: str) -> Iterator[Host]:
    """A host that tags uploads at once, and can upload a photo and tag it."""
    with make_host(host_database_url, AUTOTAG_RUNNER="inline") as host:
        host.autotag.watch(host.Photo, lambda photo: jpeg(photo.path))

        @host.app.post("/photos")
        def upload() -> str:
            return str(host.add_photo("red").id)

        @host.app.post("/photos/<int:key>")
        def tag(key: int) -> list[str]:
            photo = host.db.session.get(host.Photo, key)
            return [each.name for each in host.autotag.tag_now(photo)]

        with (
            fake_labels(host.app, {"dog": 0.9}),
            host.app.app_context(),
        ):
            yield host


def tags(host: Host, asset: object) -> list[str]:
    return [tag.name for tag in host.autotag.tags_for(asset)]


def rows(host: Host) -> list[int]:
    """Count the committed rows of the host and of ours."""
    tables = [host.Photo.__table__, *(each.__table__ for each in _models(host))]
    with host.db.engine.connect() as connection:
        return [
            connection.scalar(select(func.count()).select_from(table)) or 0
            for table in tables
        ]


def _models(host: Host) -> list[Any]:
    models = host.models
    return [models.asset, models.tag, models.assignment, models.job, models.prediction]


@pytest.mark.parametrize("round_", [1, 2])
def test_an_upload_is_tagged_and_nothing_is_left(
    tagging: Host, isolated: Isolated, round_: int
) -> None:
    host = tagging
    with isolated(host):
        photo = host.add_photo("red")
        assert tags(host, photo) == ["dog"]
        with fake_labels(host.app, {"cat": 0.9}):
            assert [tag.name for tag in host.autotag.tag_now(photo)] == ["cat"]
        assert tags(host, photo) == ["cat"]
        # A commit survives a later rollback of the session.
        host.db.session.rollback()
        assert tags(host, photo) == ["cat"]
        host.autotag.add_tag(photo, "Rex")
        host.db.session.rollback()
        assert tags(host, photo) == ["Rex", "cat"]
        found = host.db.session.scalars(host.autotag.select(host.Photo, ["rex"]))
        assert found.all() == [photo]
    assert rows(host) == [0] * 6


def test_requests_see_each_other(tagging: Host, isolated: Isolated) -> None:
    """Each has a session of its own, which is rolled back when it ends."""
    with isolated(tagging):
        client = tagging.app.test_client()
        key = int(client.post("/photos").get_data(as_text=True))
        ref = AssetRef("photo", str(key))
        assert tags(tagging, ref) == ["dog"]
        with fake_labels(tagging.app, {"cat": 0.9}):
            assert client.post(f"/photos/{key}").json == ["cat"]
        assert tags(tagging, ref) == ["cat"]
    assert rows(tagging) == [0] * 6


def test_several_images_and_subclasses(tagging: Host, isolated: Isolated) -> None:
    host = tagging
    define_articles(host)
    host.db.create_all()
    watch_both(host)
    host.autotag.watch(host.Review, cover, name="logo", instance="reviews")
    host.autotag.watch(host.Report, cover)
    for _ in range(2):
        with isolated(host):
            review, report = host.Review(id=1), host.Report(id=2)
            host.db.session.add_all([review, report])
            host.db.session.commit()
            assert tags(host, report) == ["dog"]
            assert tags(host, AssetRef("article", "2")) == ["dog"]
            found = host.autotag.tags_for(review, "reviews", name="logo")
            assert [tag.name for tag in found] == ["dog"]
            host.autotag.add_tag(COVER, "Rex")
            for table in (host.Report.__table__, host.Photo.__table__):
                host.db.session.execute(delete(table))
            host.db.session.commit()
            run = host.app.test_cli_runner().invoke
            done = run(args=["autotag", "forget-orphans", "--yes"])
            assert "5 images and 5 jobs forgotten." in done.output, done.output
            # Its key is used again.
            host.autotag.add_tag(COVER, "Rex")
            host.db.session.remove()
            host.db.session.add(host.Review(id=1))
            host.db.session.commit()
            assert tags(host, COVER) == ["dog"]
        assert rows(host) == [0] * 6


@on_sqlite
def test_a_model_in_another_bind(tagging: Host, tmp_path: Path) -> None:
    """Its rows are visible only on the connection of the test."""
    host = tagging
    host.db.engines["media"] = create_engine(f"sqlite:///{tmp_path / 'media.sqlite'}")

    class Film(host.db.Model):  # type: ignore[name-defined]
        __bind_key__ = "media"
        id: Mapped[int] = mapped_column(primary_key=True)

    host.db.create_all("media")
    host.autotag.watch(Film, lambda _: jpeg())
    state, engine = host.autotag.state_of(host.app), host.db.engines["media"]
    with in_place_of_the_engine(host), engine.connect() as connection:
        host.db.engines["media"] = connection  # type: ignore[assignment]
        host.db.session.add_all([Film(id=1), Film(id=2)])
        host.db.session.commit()
        host.db.session.execute(delete(Film).where(Film.id == 2))
        host.db.session.commit()
        found = count_orphans(state, AssetFilter(), lambda _: None)
        assert [each.jobs for each in found if each.asset_type == "media:film"] == [1]
    engine.dispose()
    host.db.engines["media"] = engine


def test_uncommitted_writes_are_refused(tagging: Host, isolated: Isolated) -> None:
    host = tagging
    with isolated(host):
        photo = host.add_photo("red")
        host.db.session.add(host.Photo(path="blue"))
        host.db.session.flush()
        with pytest.raises(TransactionError, match=r"before tag_now\.$"):
            host.autotag.tag_now(photo)
        host.db.session.rollback()
        host.autotag.tag_now(photo)
        with host.db.session.begin_nested():
            host.db.session.add(host.Photo(path="blue"))
        with pytest.raises(TransactionError):
            host.autotag.tag_now(photo)
        host.db.session.commit()
        host.autotag.tag_now(photo)
    assert rows(host) == [0] * 6


def test_a_rollback_takes_the_job_of_an_upload_along(
    tagging: Host, isolated: Isolated
) -> None:
    host = tagging
    with isolated(host) as connection:
        host.db.session.add(host.Photo(path="red"))
        host.db.session.flush()
        host.db.session.rollback()
        table = host.models.job.__table__
        count = select(func.count()).select_from(table)
        assert connection.scalar(count) == 0
        # Sent after the commit, it is tagged at once.
        photo = host.add_photo("red")
        host.autotag.untag(photo)
        image_uploaded.send(host.app, asset=photo, image=jpeg("blue"))
        assert tags(host, photo) == ["dog"]
    assert rows(host) == [0] * 6


@on_sqlite
def test_another_mode_of_joining_is_named(tagging: Host) -> None:
    host = tagging
    with outer_transaction(host) as connection:
        engine = host.db.engines[None]
        host.db.engines[None] = connection  # type: ignore[assignment]
        try:
            host.db.session.add(host.Photo(path="red"))
            host.db.session.flush()
            with pytest.raises(TransactionError, match=r"'create_savepoint'\.$"):
                host.autotag.tag_now(AssetRef("photo", "1"))
        finally:
            host.db.engines[None] = engine


@on_sqlite
def test_no_thread_uses_the_connection(
    tagging: Host, caplog: pytest.LogCaptureFixture
) -> None:
    state = tagging.autotag.state_of(tagging.app)
    runner = make_runner("thread")
    with in_place_of_the_engine(tagging):
        assert state.database.is_bound_to_thread()
        runner.start(tagging.app, state)
    assert not state.database.is_bound_to_thread()
    assert "cannot use the connection of a test" in caplog.text
    assert "AUTOTAG_RUNNER = 'inline'" in caplog.text


@on_sqlite
def test_sessions_that_begin_savepoints_without_an_outer_transaction(
    tagging: Host,
) -> None:
    """They commit for real, and so do we."""
    host = tagging
    make = sessionmaker(host.db.engine, join_transaction_mode="create_savepoint")
    before, host.db.session = host.db.session, scoped_session(make)
    photo = host.add_photo("red")
    assert tags(host, photo) == ["dog"]
    host.db.session.remove()
    with host.db.engine.connect() as connection:
        host.db.session = scoped_session(
            sessionmaker(connection, join_transaction_mode="create_savepoint")
        )
        host.db.session.get(host.Photo, 1)
        assert host.autotag.state_of(host.app).database.outer_connection() is None
        host.db.session.remove()
    host.db.session = before
    assert rows(host)[:2] == [1, 1]
