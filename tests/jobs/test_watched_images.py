"""Watched subclasses, and rows with several images."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import ForeignKey, Uuid, select
from sqlalchemy.orm import Mapped, mapped_column

from flask_autotag import AssetError, AssetRef, Upload, image_uploaded
from flask_autotag.errors import ImageMissing
from flask_autotag.jobs.bulk import host_images
from flask_autotag.jobs.bulk.host_images import list_assets
from flask_autotag.jobs.worker import Worker
from flask_autotag.tags.batches import AssetFilter
from flask_autotag.testing import fake_labels

from ..articles import COVER, LOGO, PICTURES, cover, define_articles, logo, watch_both
from ..hosts import Host, store_labels

_COLOR_OF = {picture: color for color, picture in PICTURES.items()}
BOTH = [(COVER.type, "1"), (LOGO.type, "1")]


def labels(data: bytes) -> Mapping[str, float]:
    return {_COLOR_OF[data]: 0.9, "color": 0.8}


@pytest.fixture
def cms(host: Host) -> Iterator[Host]:
    """A host whose articles have a cover and a logo, of the same tenant or not."""
    define_articles(host)
    with host.app.app_context(), fake_labels(host.app, labels):
        host.db.create_all()
        yield host


def save(host: Host, *added: Any, **values: Any) -> Any:
    """Write new objects, or the first one's new values, and return the first."""
    for name, value in values.items():
        setattr(added[0], name, value)
    host.db.session.add_all(added)
    host.db.session.commit()
    return added[0]


def drain(host: Host) -> None:
    Worker(host.app, host.autotag.state_of(host.app)).drain()
    host.db.session.rollback()


def queued(host: Host) -> list[tuple[str, str]]:
    return [
        (job.asset_type, job.asset_id) for job in host.jobs() if job.state == "queued"
    ]


def names(host: Host, asset: Any, **which: Any) -> list[str]:
    return [tag.name for tag in host.autotag.tags_for(asset, **which)]


def known(host: Host) -> list[tuple[str, str, str]]:
    """Return the tenant, type and id of each row of an image."""
    table = host.models.asset.__table__
    columns = (table.c.instance, table.c.asset_type, table.c.asset_id)
    return [
        tuple(row)
        for row in host.db.session.execute(select(*columns).order_by(*columns))
    ]


def listed(host: Host, **scope: Any) -> list[tuple[str, str, str]]:
    state = host.autotag.state_of(host.app)
    found = list_assets(host.app, state, AssetFilter(**scope))
    return [(each.instance, each.asset.type, each.asset.id) for each in found]


def refused(work: Any) -> str:
    with pytest.raises(AssetError) as caught:
        work()
    return str(caught.value)


class TestOfSubclasses:
    def test_each_is_tagged_by_its_own_watch(self, cms: Host) -> None:
        cms.autotag.watch(cms.Review, cover, "reviews")
        cms.autotag.watch(cms.Essay, logo, lambda essay: essay.tenant)
        save(cms, cms.Review())
        save(cms, cms.Essay(tenant="essays"), cms.Photo())
        drain(cms)
        assert known(cms) == [("essays", "article", "2"), ("reviews", "article", "1")]
        # Whatever class it is read by, it is the same image.
        for model, key, color in (
            (cms.Review, 1, "red"),
            (cms.Photo, 1, "red"),
            (cms.Essay, 2, "blue"),
            (cms.Photo, 2, "blue"),
        ):
            cms.db.session.expunge_all()
            assert names(cms, cms.db.session.get(model, key)) == [color, "color"]
        found = cms.db.session.scalars(cms.autotag.select(cms.Essay, ["color"])).all()
        assert [each.id for each in found] == [2]
        assert cms.failures == []

    def test_a_joined_subclass_without_a_watch_belongs_to_its_base(
        self, cms: Host
    ) -> None:
        cms.autotag.watch(cms.Photo, cover, columns=["cover"])
        report = save(cms, cms.Report())
        drain(cms)
        assert names(cms, report) == ["red", "color"]
        save(cms, report, cover="green")
        drain(cms)
        assert names(cms, cms.db.session.get(cms.Photo, 1)) == ["green", "color"]

    @pytest.mark.parametrize("order", [("Photo", "Report"), ("Report", "Photo")])
    def test_a_watched_base_and_subclass_write_one_job(
        self, cms: Host, order: tuple[str, str]
    ) -> None:
        images = {"Photo": cover, "Report": logo}
        for model in order:
            cms.autotag.watch(
                getattr(cms, model), images[model], columns=["cover"], instance=model
            )
        report = save(cms, cms.Report())
        save(cms, cms.Photo())
        assert [(job.instance, job.asset_id) for job in cms.jobs()] == [
            ("Report", "1"),
            ("Photo", "2"),
        ]
        drain(cms)
        assert names(cms, report) == ["blue", "color"]
        assert names(cms, AssetRef("article", "2")) == ["red", "color"]
        assert listed(cms) == [("Report", "article", "1"), ("Photo", "article", "2")]
        cms.db.session.delete(report)
        cms.db.session.commit()
        assert known(cms) == [("Photo", "article", "2")]

    def test_a_joined_subclass_of_a_base_without_a_discriminator(
        self, cms: Host
    ) -> None:
        class Media(cms.db.Model):  # type: ignore[name-defined]
            key: Mapped[int] = mapped_column(primary_key=True)

        class Film(Media):
            id: Mapped[int] = mapped_column(ForeignKey("media.key"), primary_key=True)

        cms.db.create_all()
        cms.autotag.watch(Film, lambda film: PICTURES["black"])
        film = save(cms, Film())
        save(cms, Media())
        drain(cms)
        assert names(cms, film) == ["black", "color"]
        assert known(cms) == [("default", "media", "1")]

    def test_a_concrete_subclass_has_images_of_its_own(self, cms: Host) -> None:
        cms.autotag.watch(cms.Photo, cover)
        article = save(cms, cms.Photo())
        copied = save(cms, cms.Copy())
        cms.autotag.watch(cms.Copy, logo)
        cms.autotag.retag(copied)
        drain(cms)
        assert names(cms, article) == ["red", "color"]
        assert names(cms, copied) == ["black", "color"]
        found = cms.db.session.scalars(cms.autotag.select(cms.Copy, ["black"])).all()
        assert found == [copied]

    def test_an_image_of_a_class_without_a_watch(self, cms: Host) -> None:
        cms.autotag.watch(cms.Review, cover)
        essay = save(cms, cms.Essay())
        with pytest.raises(ImageMissing, match="is gone"):
            cms.autotag.tag_now(essay)
        image_uploaded.send(cms.app, asset=essay, image=PICTURES["black"])
        drain(cms)
        assert names(cms, essay) == ["black", "color"]
        cms.autotag.image_loader(lambda asset: PICTURES["green"])
        assert cms.autotag.tag_now(essay)[0].name == "green"

    def test_the_loader_is_not_asked_for_a_row_that_is_gone(self, cms: Host) -> None:
        cms.autotag.image_loader(lambda asset: PICTURES["green"])
        cms.autotag.watch(cms.Photo, cover, name="cover")
        with pytest.raises(ImageMissing, match="article#cover 1 is gone"):
            cms.autotag.tag_now(COVER)


class TestOfSeveralImages:
    def test_each_is_tagged(self, cms: Host) -> None:
        watch_both(cms)
        article = save(cms, cms.Photo())
        assert queued(cms) == BOTH
        assert cms.autotag.progress(article)[article].state == "pending"
        drain(cms)
        assert names(cms, article, name="cover") == ["red", "color"]
        assert names(cms, article, name="logo") == ["blue", "color"]
        assert names(cms, LOGO) == ["blue", "color"]
        assert names(cms, article) == ["blue", "red", "color"]
        assert cms.autotag.progress(article)[article].state == "tagged"

    def test_only_the_changed_one_is_tagged_again(self, cms: Host) -> None:
        watch_both(cms)
        article = save(cms, cms.Photo())
        drain(cms)
        save(cms, article, tenant="acme")
        assert queued(cms) == []
        save(cms, article, logo="green")
        assert queued(cms) == [(LOGO.type, "1")]
        drain(cms)
        assert names(cms, article, name="cover") == ["red", "color"]
        assert names(cms, article, name="logo") == ["green", "color"]
        save(cms, article, logo="none")
        drain(cms)
        assert names(cms, article) == ["red", "color"]

    def test_each_waits_until_it_is_ready(self, cms: Host) -> None:
        cms.autotag.watch(cms.Photo, cover, columns=["cover"], name="cover")
        cms.autotag.watch(
            cms.Photo,
            logo,
            columns=["logo"],
            when=lambda article: article.tenant == "ready",
            name="logo",
        )
        article = save(cms, cms.Photo())
        assert queued(cms) == BOTH[:1]
        drain(cms)
        assert listed(cms) == [("default", COVER.type, "1")]
        save(cms, article, tenant="ready")
        assert queued(cms) == BOTH[1:]
        drain(cms)
        save(cms, article, tenant="draft", logo="green", cover="black")
        assert queued(cms) == BOTH[:1]
        assert cms.autotag.progress(article, name="logo")[article].state == "untagged"
        assert names(cms, article, name="logo") == ["blue", "color"]
        save(cms, article, tenant="ready")
        assert queued(cms) == BOTH

    def test_each_has_a_tenant(self, cms: Host) -> None:
        cms.autotag.watch(cms.Photo, cover, "covers", name="cover")
        cms.autotag.watch(cms.Photo, logo, lambda each: each.tenant, name="logo")
        article = save(cms, cms.Photo(tenant="acme"))
        drain(cms)
        rows = [("acme", LOGO.type, "1"), ("covers", COVER.type, "1")]
        assert known(cms) == rows
        assert listed(cms) == [rows[1], rows[0]]
        cms.autotag.add_tag(article, "Rex", name="logo")
        assert names(cms, article, instance="acme") == ["Rex", "blue", "color"]
        cms.autotag.forget(article)
        assert known(cms) == []

    @pytest.mark.parametrize("by", ["deletion", "forget"])
    def test_all_are_forgotten_with_their_row(self, cms: Host, by: str) -> None:
        watch_both(cms)
        article, other = cms.Photo(), cms.Photo()
        save(cms, article, other)
        drain(cms)
        store_labels(cms, AssetRef("article", "1"), [("dog", 0.9)])
        save(cms, article, cover="green")
        if by == "deletion":
            cms.db.session.delete(article)
        else:
            cms.autotag.forget(article)
        cms.db.session.commit()
        assert known(cms) == [("default", each.type, "2") for each in (COVER, LOGO)]
        assert {job.asset_id for job in cms.jobs()} == {"2"}

    def test_a_tenant_that_raises_keeps_no_other_image(
        self, cms: Host, caplog: pytest.LogCaptureFixture
    ) -> None:
        def tenant(article: Any) -> str:
            if article.tenant == "lost":
                raise KeyError
            return "default"

        cms.autotag.watch(cms.Photo, cover, tenant, name="cover")
        cms.autotag.watch(cms.Photo, logo, name="logo")
        article = save(cms, cms.Photo())
        drain(cms)
        save(cms, article, tenant="lost")
        cms.db.session.delete(article)
        cms.db.session.commit()
        assert known(cms) == [("default", COVER.type, "1")]
        assert [each["asset"].type for each in cms.failures] == [
            "article",
            COVER.type,
        ]
        assert "article#cover 1 was deleted, but its tags were not." in caplog.text

    def test_a_failure_names_the_image(
        self, cms: Host, caplog: pytest.LogCaptureFixture
    ) -> None:
        cms.autotag.watch(cms.Photo, cover, lambda _: 7, name="cover")  # type: ignore[arg-type, return-value]
        cms.autotag.watch(cms.Photo, lambda each: each.no_such, name="logo")
        save(cms, cms.Photo())
        assert [each["asset"] for each in cms.failures] == [COVER]
        assert queued(cms) == BOTH[1:]
        with caplog.at_level(logging.WARNING):
            drain(cms)
        assert "image function of the watched model Article raised" in caplog.text


class TestOfNamesInCalls:
    @pytest.fixture
    def article(self, cms: Host) -> Any:
        watch_both(cms)
        article = save(cms, cms.Photo())
        drain(cms)
        return article

    def test_a_change_needs_one_image(self, cms: Host, article: Any) -> None:
        autotag = cms.autotag
        message = "The Article has several images: pass name='cover' or name='logo'."
        for work in (
            lambda: autotag.add_tag(article, "Rex"),
            lambda: autotag.reject_tag(article, "red"),
            lambda: autotag.tag_now(article),
            lambda: autotag.explain(article),
            lambda: autotag.move(article, AssetRef("file", "a")),
            lambda: autotag.move(AssetRef("file", "a"), article),
        ):
            assert refused(work) == message

    def test_a_change_of_one_image(self, cms: Host, article: Any) -> None:
        autotag = cms.autotag
        autotag.add_tag(article, "Rex", name="logo")
        autotag.reject_tag(article, "color", name="logo")
        assert names(cms, article, name="logo") == ["Rex", "blue"]
        assert names(cms, article, name="cover") == ["red", "color"]
        explained = autotag.explain(article, name="cover")
        assert [label.label for label in explained.labels] == ["red", "color"]
        autotag.untag(article, name="cover")
        assert names(cms, article) == ["Rex", "blue"]
        cms.db.session.commit()
        found = autotag.tag_now(article, PICTURES["black"], name="cover")
        assert [tag.name for tag in found] == ["black", "color"]
        assert [tag.name for tag in autotag.tag_now(article, name="cover")] == [
            "red",
            "color",
        ]
        autotag.forget(article, name="logo")
        assert known(cms) == [("default", COVER.type, "1")]
        autotag.untag(article)
        assert names(cms, article) == []

    def test_images_that_are_classified_again(self, cms: Host, article: Any) -> None:
        cms.autotag.retag(article, name="logo")
        assert queued(cms) == BOTH[1:]
        drain(cms)
        cms.autotag.retag(article)
        assert queued(cms) == BOTH
        drain(cms)
        cms.autotag.retag(COVER)
        assert queued(cms) == BOTH[:1]

    def test_images_that_are_renamed(self, cms: Host, article: Any) -> None:
        other = save(cms, cms.Photo(cover="none", logo="none"))
        drain(cms)
        cms.autotag.move(article, other)
        cms.db.session.commit()
        assert names(cms, article) == []
        assert names(cms, other, name="logo") == ["blue", "color"]
        cms.autotag.move(other, article, name="cover")
        assert names(cms, article) == ["red", "color"]
        cms.autotag.move(article, AssetRef("file", "a"), name="cover")
        cms.autotag.move(AssetRef("file", "a"), article, name="logo")
        assert names(cms, article, name="logo") == ["red", "color"]

    def test_an_upload_of_one_image(
        self, cms: Host, article: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        image_uploaded.send(cms.app, asset=article, image=b"", name="logo")
        assert queued(cms) == BOTH[1:]
        image_uploaded.send(cms.app, asset=article)
        [failure] = cms.failures
        assert failure["asset"] == AssetRef("article", "1")
        assert failure["message"].startswith("The Article has several images: pass")
        image_uploaded.send(cms.app, asset=article, nme="logo")
        assert "session, bulk and name." in caplog.text

    def test_an_upload_of_an_object_that_is_not_flushed(self, cms: Host) -> None:
        cms.autotag.watch(cms.Essay, cover, name="cover")
        review = cms.Review()
        cms.db.session.add(review)
        image_uploaded.send(
            cms.app, asset=review, image=PICTURES["green"], name="cover"
        )
        cms.db.session.commit()
        drain(cms)
        assert names(cms, COVER) == ["green", "color"]
        assert names(cms, review) == ["green", "color"]


class TestOfListing:
    def test_all_images_of_each_row(
        self, cms: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(host_images, "PAGE", 2)
        save(cms, *(cms.Photo() for _ in range(5)))
        watch_both(cms)
        every = [
            ("default", each.type, str(number))
            for number in range(1, 6)
            for each in (COVER, LOGO)
        ]
        assert listed(cms) == every
        assert listed(cms, asset_type=LOGO.type) == every[1::2]
        done = cms.app.test_cli_runner().invoke(
            args=["autotag", "tag-untagged", "--type", COVER.type, "--now"]
        )
        assert "5 images queued" in done.output, done.output
        drain(cms)
        assert {each[1] for each in known(cms)} == {COVER.type}
        run = cms.app.test_cli_runner().invoke
        found = run(args=["autotag", "tag-untagged"]).output
        assert "5 images of 10 to tag" in found

    def test_subclasses_with_and_without_a_watched_base(self, cms: Host) -> None:
        save(cms, cms.Photo(), cms.Review(), cms.Report(), cms.Essay())
        cms.autotag.watch(cms.Report, logo, "reports")
        cms.autotag.watch(cms.Review, cover, "reviews")
        assert listed(cms) == [
            ("reports", "article", "3"),
            ("reviews", "article", "2"),
        ]
        cms.autotag.watch(cms.Photo, cover)
        assert listed(cms) == [
            ("default", "article", "1"),
            ("reviews", "article", "2"),
            ("reports", "article", "3"),
            ("default", "article", "4"),
        ]

    def test_what_the_lister_of_the_host_returns(self, cms: Host) -> None:
        watch_both(cms)
        article = save(cms, cms.Photo())
        cms.autotag.asset_lister(
            lambda: [
                article,
                (article, "acme"),
                Upload(article, instance="news", name="logo"),
            ]
        )
        assert listed(cms) == [
            ("default", COVER.type, "1"),
            ("default", LOGO.type, "1"),
            ("acme", COVER.type, "1"),
            ("acme", LOGO.type, "1"),
            ("news", LOGO.type, "1"),
        ]

    def test_pages_without_a_ready_image(
        self, cms: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(host_images, "PAGE", 2)

        class Scan(cms.db.Model):  # type: ignore[name-defined]
            id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)

        cms.db.create_all()
        keys = [f"{digit}0000000-0000-4000-8000-000000000000" for digit in "12345"]
        save(cms, *(Scan(id=key) for key in keys))
        cms.autotag.watch(Scan, lambda _: None, when=lambda scan: scan.id[0] in "35")
        assert [each[2] for each in listed(cms)] == [keys[2], keys[4]]
