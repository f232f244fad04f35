"""Decisions of host code about tags, on each database."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from flask_autotag import AssetError, AssetRef, image_uploaded
from flask_autotag.errors import ImageMissing
from flask_autotag.jobs.worker import Worker

from .hosts import ESPRESSO, ESPRESSO_TAGS, Host, make_host, store_labels
from .settings.desk import Desk

PHOTO = AssetRef("photo", "7")
LABELS = [("dog", 0.9), ("wolf", 0.8), ("fox", 0.3)]
MAXIMUM = ("", "max_tags")
SUGGESTIONS = ("", "suggestion_threshold")


def names(host: Host, asset: Any = PHOTO) -> list[str]:
    # A new context has a new session, which sees all committed data.
    with host.app.app_context():
        return [tag.name for tag in host.autotag.tags_for(asset)]


def suggested(host: Host) -> list[str]:
    with host.app.app_context():
        return [tag.name for tag in host.autotag.suggestions_for(PHOTO)]


def run(host: Host, labels: list[tuple[str, float]] = LABELS) -> None:
    """Store labels of a provider for the photo."""
    store_labels(host, PHOTO, labels)


@pytest.fixture
def tagged(any_host: Host) -> Any:
    """A host with one photo, tagged "dog" and "wolf", in an application's context."""
    with any_host.app.app_context():
        run(any_host)
        yield any_host


def test_a_tag_that_a_person_added_stays_and_comes_first(tagged: Host) -> None:
    tagged.autotag.add_tag(PHOTO, "Rex", person="nora")
    assert names(tagged) == ["Rex", "dog", "wolf"]
    run(tagged, [("cat", 0.9)])
    assert names(tagged) == ["Rex", "cat"]
    [rex, cat] = tagged.autotag.tags_for(PHOTO)
    assert (rex.source, rex.person, rex.provider, rex.confidence) == (
        "person",
        "nora",
        None,
        None,
    )
    assert (cat.source, cat.person, cat.provider) == ("provider", None, "tensorflow")


def test_a_tag_that_a_person_added_counts_towards_the_maximum_first(
    tagged: Host,
) -> None:
    Desk(tagged).save({MAXIMUM: 2})
    tagged.autotag.add_tag(PHOTO, "Rex")
    run(tagged)
    assert names(tagged) == ["Rex", "dog"]


def test_an_image_that_was_never_classified_can_be_tagged(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.autotag.add_tag(PHOTO, "Rex")
        assert names(any_host) == ["Rex"]
        run(any_host)
        assert names(any_host) == ["Rex", "dog", "wolf"]


def test_a_rejected_tag_does_not_come_back(tagged: Host) -> None:
    tagged.autotag.reject_tag(PHOTO, "WOLF")
    assert names(tagged) == ["dog"]
    run(tagged, [("wolf", 1.0)])
    store_labels(tagged, PHOTO, [("Wolf", 1.0)], provider="google")
    assert names(tagged) == []
    tagged.autotag.add_tag(PHOTO, "wolf")
    run(tagged)
    assert names(tagged) == ["wolf", "dog"]


def test_a_removed_tag_does_not_come_back_whoever_added_it(tagged: Host) -> None:
    tagged.autotag.add_tag(PHOTO, "Rex")
    tagged.autotag.remove_tag(PHOTO, "rex")
    tagged.autotag.remove_tag(PHOTO, "dog")
    run(tagged, [*LABELS, ("rex", 0.99)])
    assert names(tagged) == ["wolf"]


def test_an_accepted_suggestion_is_the_persons_and_keeps_what_was_said(
    tagged: Host,
) -> None:
    Desk(tagged).save({SUGGESTIONS: 0.2})
    run(tagged)
    assert (names(tagged), suggested(tagged)) == (["dog", "wolf"], ["fox"])
    tagged.autotag.accept_tag(PHOTO, "fox", person="nora")
    assert (names(tagged), suggested(tagged)) == (["fox", "dog", "wolf"], [])
    fox = tagged.autotag.explain(PHOTO).decisions[0]
    assert (fox.person, fox.provider, fox.confidence) == ("nora", "tensorflow", 0.3)
    fox = tagged.autotag.tags_for(PHOTO)[0]
    assert (fox.source, fox.person, fox.provider, fox.confidence) == (
        "person",
        "nora",
        "tensorflow",
        0.3,
    )
    run(tagged, [("cat", 0.9)])
    assert names(tagged) == ["fox", "cat"]


def test_a_rejected_suggestion_is_not_suggested_again(tagged: Host) -> None:
    Desk(tagged).save({SUGGESTIONS: 0.2})
    run(tagged)
    tagged.autotag.reject_tag(PHOTO, "fox")
    run(tagged)
    assert suggested(tagged) == []


def test_it_is_done_in_the_name_of_the_user(tagged: Host) -> None:
    tagged.autotag.user_namer(lambda: "mia")
    with tagged.app.test_request_context():
        tagged.autotag.add_tag(PHOTO, "Rex")
    tagged.autotag.add_tag(PHOTO, "Max", person="x" * 200)
    # Outside a request, as in a script, there is no user to name.
    tagged.autotag.add_tag(PHOTO, "Tim")
    people = {tag.name: tag.person for tag in tagged.autotag.tags_for(PHOTO)}
    assert people == {
        "Rex": "mia",
        "Max": "x" * 100,
        "Tim": None,
        "dog": None,
        "wolf": None,
    }


def test_it_joins_the_hosts_transaction(any_host: Host) -> None:
    with any_host.app.app_context():
        photo = any_host.Photo(path="photo.jpg")
        any_host.db.session.add(photo)
        any_host.db.session.flush()
        any_host.autotag.add_tag(photo, "Rex")
        assert [tag.name for tag in any_host.autotag.tags_for(photo)] == ["Rex"]
        any_host.db.session.rollback()
        assert names(any_host, AssetRef("photo", "1")) == []

        photo = any_host.add_photo()
        any_host.autotag.add_tag(photo, "Rex")
        any_host.db.session.rollback()
        assert names(any_host, photo) == ["Rex"]


def test_decisions_are_an_instances_own(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.autotag.add_tag(PHOTO, "Rex", instance="news")
        store_labels(any_host, PHOTO, [("rex", 0.9)], "shop")
        [news] = any_host.autotag.tags_for(PHOTO, "news")
        [shop] = any_host.autotag.tags_for(PHOTO, "shop")
        assert (news.source, shop.source) == ("person", "provider")


def test_a_watched_object_is_of_the_instance_that_its_watch_finds(host: Host) -> None:
    host.autotag.watch(
        host.Photo, image=lambda photo: photo.path, instance=lambda photo: photo.tenant
    )
    with host.app.app_context():
        photo = host.Photo(path=str(ESPRESSO), tenant="news")
        host.db.session.add(photo)
        host.db.session.commit()
        host.autotag.add_tag(photo, "Rex")
        assert [tag.name for tag in host.autotag.tags_for(photo, "news")] == ["Rex"]
        assert len(host.autotag.tag_now(photo)) == 1 + len(ESPRESSO_TAGS)
        assert host.autotag.tags_for(photo, "default") == []
        host.db.session.delete(photo)
        host.db.session.commit()
        for model in (host.models.asset, host.models.assignment, host.models.job):
            assert host.db.session.scalar(select(func.count()).select_from(model)) == 0


@pytest.mark.parametrize("name", ["", "\u200b", "x" * 101])
def test_what_can_be_no_tag_is_refused(host: Host, name: str) -> None:
    with host.app.app_context(), pytest.raises(ValueError, match="tag"):
        host.autotag.add_tag(PHOTO, name)


@pytest.mark.parametrize("name", [None, ["a"], b"dog", 7])
def test_what_is_no_text_can_be_no_tag(host: Host, name: Any) -> None:
    with host.app.app_context(), pytest.raises(ValueError, match="is a text") as caught:
        host.autotag.add_tag(PHOTO, name)
    assert str(caught.value) == f"a tag's name is a text, not {name!r}"


def test_what_was_never_saved_is_refused(host: Host) -> None:
    with host.app.app_context(), pytest.raises(AssetError) as caught:
        host.autotag.reject_tag(host.Photo(path="x"), "dog")
    assert str(caught.value) == "The Photo was not saved yet: flush it first."


def test_untag_forgets_what_providers_said_and_nothing_else(tagged: Host) -> None:
    tagged.autotag.add_tag(PHOTO, "Rex")
    tagged.autotag.reject_tag(PHOTO, "wolf")
    tagged.autotag.untag(PHOTO)
    assert names(tagged) == ["Rex"]
    found = tagged.autotag.explain(PHOTO)
    assert (found.labels, found.tagged_at) == ((), None)
    run(tagged)
    assert names(tagged) == ["Rex", "dog"]


def test_explain_tells_why(tagged: Host) -> None:
    Desk(tagged).save({MAXIMUM: 2})
    tagged.autotag.add_tag(PHOTO, "Rex", person="nora")
    tagged.autotag.reject_tag(PHOTO, "dog")
    run(tagged, [*LABELS, ("owl", 0.7)])
    found = tagged.autotag.explain(PHOTO)
    assert (found.asset, found.instance) == (PHOTO, "default")
    assert found.tagged_at is not None
    assert [(label.label, label.outcome, label.reason) for label in found.labels] == [
        ("dog", "rejected", "rejected by a person"),
        ("wolf", "applied", "0.80, reaches 0.50"),
        ("fox", "below", "0.30, below 0.50"),
        ("owl", "over", "over the maximum of 2"),
    ]
    assert [(each.tag, each.state, each.person) for each in found.decisions] == [
        ("Rex", "applied", "nora"),
        ("dog", "rejected", None),
    ]
    assert found.decisions[1].confidence == 0.9


class TestWithoutAnInstance:
    def test_the_only_one_that_knows_the_asset_is_meant(self, any_host: Host) -> None:
        autotag = any_host.autotag
        with any_host.app.app_context():
            store_labels(any_host, PHOTO, LABELS, "shop")
            autotag.reject_tag(PHOTO, "dog")
            autotag.add_tag(PHOTO, "Rex")
            assert [tag.name for tag in autotag.tags_for(PHOTO, "shop")] == [
                "Rex",
                "wolf",
            ]
            assert autotag.explain(PHOTO).instance == "shop"
            autotag.tag_now(PHOTO, image=ESPRESSO)
            assert autotag.tags_for(PHOTO, "default") == []
            assert "espresso" in names(any_host)

    def test_one_that_is_to_tag_it_knows_it_too(self, any_host: Host) -> None:
        with any_host.app.app_context():
            image_uploaded.send(
                any_host.app, asset=PHOTO, image=str(ESPRESSO), instance="shop"
            )
            any_host.autotag.add_tag(PHOTO, "Rex")
            assert len(any_host.autotag.tags_for(PHOTO, "shop")) == 1

    def test_of_several_others_none_is_guessed(self, any_host: Host) -> None:
        autotag = any_host.autotag
        said = (
            "photo 7 is an image of news, shop, and not of default. Pass one of them as"
            " the argument instance."
        )
        with any_host.app.app_context():
            for tenant in ("shop", "news"):
                store_labels(any_host, PHOTO, LABELS, tenant)
            for act in (
                lambda: autotag.reject_tag(PHOTO, "dog"),
                lambda: autotag.tag_now(PHOTO, image=ESPRESSO),
                lambda: autotag.explain(PHOTO),
            ):
                with pytest.raises(AssetError) as caught:
                    act()
                assert str(caught.value) == said
            assert len(autotag.tags_for(PHOTO, "shop")) == 2
            assert autotag.tags_for(PHOTO, "default") == []

    def test_the_usual_one_is_meant_if_it_knows_the_asset(self, host: Host) -> None:
        add, explain = host.autotag.add_tag, host.autotag.explain
        with host.app.app_context():
            add(PHOTO, "dog", instance="default")
            add(PHOTO, "dog", instance="shop")
            add(PHOTO, "cat")
            assert explain(PHOTO).instance == "default"
            found = {each.tag for each in explain(PHOTO).decisions}
            assert found == {"cat", "dog"}
            assert explain(PHOTO, instance="news").decisions == ()


def test_explain_of_what_nobody_knows_is_empty(host: Host) -> None:
    with host.app.app_context():
        found = host.autotag.explain(AssetRef("photo", "0"), instance="news")
        assert (found.instance, found.labels, found.decisions) == ("news", (), ())


class TestRetag:
    def test_it_is_classified_again(self, any_host: Host) -> None:
        host = any_host
        image_uploaded.send(host.app, asset=PHOTO, image=str(ESPRESSO))
        worker = Worker(host.app, host.autotag.state_of(host.app))
        worker.drain()
        with host.app.app_context():
            host.autotag.untag(PHOTO)
            host.autotag.retag(PHOTO)
            assert names(host) == []
            worker.drain()
            assert "espresso" in names(host)

    def test_by_the_loader(self, host: Host) -> None:
        host.autotag.image_loader(lambda asset: ESPRESSO)
        with host.app.app_context():
            host.autotag.retag(PHOTO, instance="news")
            Worker(host.app, host.autotag.state_of(host.app)).drain()
            assert "espresso" in names(host)

    def test_what_cannot_be_found_is_refused(self, host: Host) -> None:
        with host.app.app_context(), pytest.raises(ImageMissing) as caught:
            host.autotag.retag(PHOTO)
        assert str(caught.value) == (
            "The image of photo 7 cannot be found: register an image_loader."
        )

    def test_in_the_hosts_transaction(self, sqlite_url: str) -> None:
        """SQLite has one writer: another transaction would wait for it for ever."""
        with make_host(sqlite_url) as host, host.app.app_context():
            host.autotag.image_loader(lambda asset: ESPRESSO)
            photo = host.Photo(path="photo.jpg")
            host.db.session.add(photo)
            host.db.session.flush()
            host.autotag.retag(photo)
            host.db.session.rollback()
            assert host.jobs() == []


def test_one_object_in_place_of_several(host: Host) -> None:
    with host.app.app_context():
        photo = host.add_photo()
        host.autotag.add_tag(photo, "Rex")
        for one in (photo, AssetRef("photo", str(photo.id))):
            assert [tag.name for tag in host.autotag.preload(one)[photo]] == ["Rex"]
            assert host.autotag.progress(one)[photo].state == "untagged"
        for wrong in (7, "photo", dict):
            with pytest.raises(AssetError, match="is an instance of a mapped class"):
                host.autotag.preload(wrong)


def test_tag_now_cancels_earlier_failures(host: Host) -> None:
    with host.app.app_context():
        image_uploaded.send(host.app, asset=PHOTO, image=b"no image")
        Worker(host.app, host.autotag.state_of(host.app)).drain()
        assert [job.state for job in host.jobs()] == ["failed"]
        host.autotag.tag_now(PHOTO, ESPRESSO)
        assert [job.state for job in host.jobs()] == ["cancelled"]
