"""Two tenants whose images have the same name do not affect each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from flask_autotag import AssetError, AssetRef, AutoTag, image_uploaded
from flask_autotag.errors import ImageMissing
from flask_autotag.jobs.reclassify import last_path
from flask_autotag.jobs.worker import Worker
from flask_autotag.tags.counters import check_all

from .hosts import Host, jpeg, store_labels

SAME, ELSEWHERE = AssetRef("file", "cat.jpg"), AssetRef("file", "moved.jpg")

#: Methods that delete or move data and have the argument *instance*.
CHANGES: list[Callable[..., None]] = [
    lambda autotag, **where: autotag.forget(SAME, **where),
    lambda autotag, **where: autotag.untag(SAME, **where),
    lambda autotag, **where: autotag.move(SAME, ELSEWHERE, **where),
]


def share_a_name(host: Host) -> Host:
    """A host in which ``shop`` and ``news`` have an image of the same name."""
    with host.app.app_context():
        for instance in ("shop", "news"):
            store_labels(host, SAME, [("cat", 0.9)], instance)
    return host


@pytest.fixture
def tenants(host: Host) -> Host:
    return share_a_name(host)


def upload(host: Host, folder: Path, instance: str, color: str) -> str:
    """Upload a file as a tenant, under the name of the other tenant's asset."""
    path = folder / instance / "cat.jpg"
    path.parent.mkdir()
    path.write_bytes(jpeg(color))
    image_uploaded.send(host.app, asset=SAME, image=path, instance=instance)
    return str(path)


def stored(host: Host, asset: AssetRef, instance: str) -> tuple[set[str], int]:
    """Return the tags of an asset, and the number of its jobs."""
    names = {tag.name for tag in host.autotag.tags_for(asset, instance)}
    host.db.session.rollback()
    named = (instance, asset.type, asset.id)
    jobs = [
        job
        for job in host.jobs()
        if (job.instance, job.asset_type, job.asset_id) == named
    ]
    return names, len(jobs)


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_guessed_of_several(
    tenants: Host, change: Callable[[AutoTag], None]
) -> None:
    message = (
        "file cat.jpg is an image of news, shop. Pass one of them as the argument"
        " instance."
    )
    with tenants.app.app_context():
        with pytest.raises(AssetError) as caught:
            change(tenants.autotag)
        assert str(caught.value) == message
        for instance in ("shop", "news"):
            assert stored(tenants, SAME, instance) == ({"cat"}, 0)


@pytest.mark.parametrize("change", CHANGES)
def test_the_default_is_not_preferred_where_something_goes(
    host: Host, change: Callable[[AutoTag], None]
) -> None:
    with host.app.app_context():
        for instance in ("default", "news"):
            store_labels(host, SAME, [("cat", 0.9)], instance)
        with pytest.raises(
            AssetError, match=r"an image of default, news\. Pass one of them"
        ):
            change(host.autotag)


@pytest.mark.parametrize("change", CHANGES)
def test_the_named_one_is_meant(
    any_host: Host, tmp_path: Path, change: Callable[..., None]
) -> None:
    tenants = share_a_name(any_host)
    with tenants.app.app_context():
        for instance in ("shop", "news"):
            upload(tenants, tmp_path, instance, "red")
        change(tenants.autotag, instance="shop")
        assert stored(tenants, SAME, "news") == ({"cat"}, 1)
        assert stored(tenants, SAME, "shop")[0] == set()
        database = tenants.autotag.state_of(tenants.app).database
        assert not check_all(database).wrong


@pytest.mark.parametrize("change", CHANGES)
def test_the_only_one_is_meant(host: Host, change: Callable[[AutoTag], None]) -> None:
    with host.app.app_context():
        store_labels(host, SAME, [("cat", 0.9)], "shop")
        change(host.autotag)
        assert stored(host, SAME, "shop")[0] == set()


@pytest.mark.parametrize("change", CHANGES)
def test_where_none_knows_it_nothing_happens(
    host: Host, change: Callable[[AutoTag], None]
) -> None:
    with host.app.app_context():
        change(host.autotag)


def test_what_the_other_has_under_the_new_name_stays(tenants: Host) -> None:
    with tenants.app.app_context():
        store_labels(tenants, ELSEWHERE, [("dog", 0.9)], "news")
        tenants.autotag.move(SAME, ELSEWHERE, instance="shop")
        assert stored(tenants, ELSEWHERE, "shop") == ({"cat"}, 0)
        assert stored(tenants, ELSEWHERE, "news") == ({"dog"}, 0)


def test_jobs_go_and_move_in_one_tenant(host: Host, tmp_path: Path) -> None:
    with host.app.app_context():
        for instance in ("shop", "news"):
            upload(host, tmp_path, instance, "red")
        host.autotag.move(SAME, ELSEWHERE, instance="shop")
        assert stored(host, ELSEWHERE, "shop") == (set(), 1)
        assert stored(host, SAME, "news") == (set(), 1)
        host.autotag.forget(ELSEWHERE)
        assert [job.instance for job in host.jobs()] == ["news"]


class TestWatched:
    """The function given to ``watch`` returns the tenant of an object."""

    @pytest.fixture
    def host(self, host: Host) -> Host:
        host.autotag.watch(
            host.Photo,
            image=lambda photo: photo.path,
            instance=lambda photo: photo.tenant,
        )
        return host

    def test_a_deleted_object_takes_the_tags_of_its_tenant(self, host: Host) -> None:
        with host.app.app_context():
            photo = host.Photo(path="a.jpg", tenant="shop")
            host.db.session.add(photo)
            host.db.session.commit()
            for instance in ("shop", "news"):
                store_labels(host, AssetRef("photo", "1"), [("cat", 0.9)], instance)
            host.db.session.expire_all()
            host.db.session.delete(photo)
            host.db.session.commit()
            assert host.failures == []
            assert stored(host, AssetRef("photo", "1"), "shop") == (set(), 0)
            assert stored(host, AssetRef("photo", "1"), "news") == ({"cat"}, 0)

    @pytest.mark.parametrize("change", ["forget", "untag"])
    def test_it_tells_the_methods_too(self, host: Host, change: str) -> None:
        with host.app.app_context():
            photo = host.Photo(path="a.jpg", tenant="shop")
            host.db.session.add(photo)
            host.db.session.commit()
            for instance in ("default", "shop", "news"):
                store_labels(host, AssetRef("photo", "1"), [("cat", 0.9)], instance)
            getattr(host.autotag, change)(photo)
            left = [
                instance
                for instance in ("default", "shop", "news")
                if stored(host, AssetRef("photo", "1"), instance)[0]
            ]
            assert left == ["default", "news"]

    def test_it_tells_of_the_new_name(self, host: Host) -> None:
        with host.app.app_context():
            for instance in ("shop", "news"):
                store_labels(host, SAME, [("cat", 0.9)], instance)
            photo = host.Photo(path="a.jpg", tenant="shop")
            host.db.session.add(photo)
            host.db.session.commit()
            host.autotag.move(SAME, photo)
            assert stored(host, AssetRef("photo", "1"), "shop")[0] == {"cat"}
            assert stored(host, SAME, "news")[0] == {"cat"}


class TestPaths:
    """The path of an upload is read only for the tenant that uploaded it."""

    def test_the_latest_one_of_the_tenant(self, host: Host, tmp_path: Path) -> None:
        with host.app.app_context():
            paths = {
                instance: upload(host, tmp_path, instance, "red")
                for instance in ("shop", "news")
            }
            database = host.autotag.state_of(host.app).database
            for instance in ("shop", "news", "other"):
                with database.begin() as session:
                    path = last_path(session, host.models, SAME, instance)
                assert path == paths.get(instance)

    def test_retag_reads_the_own_file(self, host: Host, tmp_path: Path) -> None:
        with host.app.app_context():
            for instance in ("shop", "news"):
                store_labels(host, SAME, [("cat", 0.9)], instance)
            own = upload(host, tmp_path, "shop", "red")
            upload(host, tmp_path, "news", "blue")
            state = host.autotag.state_of(host.app)
            Worker(host.app, state).drain()
            host.autotag.retag(SAME, instance="shop")
            [job] = [job for job in host.jobs() if job.state == "queued"]
            assert (job.instance, job.path) == ("shop", own)

    def test_the_file_of_another_is_no_help(self, host: Host, tmp_path: Path) -> None:
        with host.app.app_context():
            store_labels(host, SAME, [("cat", 0.9)], "shop")
            upload(host, tmp_path, "news", "blue")
            with pytest.raises(ImageMissing, match=r"The image of .* cannot be found"):
                host.autotag.retag(SAME, instance="shop")

    def test_commands_read_the_own_file(self, host: Host, tmp_path: Path) -> None:
        with host.app.app_context():
            store_labels(host, SAME, [("cat", 0.9)], "shop")
            upload(host, tmp_path, "news", "blue")
        before = host.jobs()
        runner = host.app.test_cli_runner()
        found = runner.invoke(
            args=["autotag", "retag", "--instance", "shop", "--all", "--yes"]
        )
        assert "The image of file cat.jpg cannot be found" in found.output
        assert host.jobs() == before

    def test_untagged_images_that_are_listed(self, host: Host, tmp_path: Path) -> None:
        @host.autotag.asset_lister
        def images() -> Any:
            yield SAME, "shop"

        with host.app.app_context():
            upload(host, tmp_path, "news", "blue")
        found = host.app.test_cli_runner().invoke(
            args=["autotag", "tag-untagged", "--yes"]
        )
        assert "The image of file cat.jpg cannot be found" in found.output
        assert [job.instance for job in host.jobs()] == ["news"]


def test_rows_of_others_are_not_locked_by_a_forged_undo(host: Host) -> None:
    """The rows that an undo names come from a form."""
    from flask_autotag.tags.review import BulkDecision, undo

    with host.app.app_context():
        for instance in ("shop", "news"):
            store_labels(host, SAME, [("cat", 0.9)], instance)
            host.autotag.add_tag(SAME, "cat", instance=instance, person="eve")
        state = host.autotag.state_of(host.app)
        with state.database.begin() as session:
            asset, assigned = host.models.asset, host.models.assignment
            [row, time] = session.execute(
                select(asset.id, assigned.created_at)
                .join(assigned, assigned.asset_id == asset.id)
                .where(asset.instance == "news")
            ).one()
            decided = BulkDecision("cat", [row], (), time, time)
            assert undo(session, state.stored_settings(), "shop", decided, "eve") == 0
        assert stored(host, SAME, "news") == ({"cat"}, 0)
