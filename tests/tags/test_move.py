"""An image whose key changes keeps its tags and people's decisions."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from flask_autotag import AssetError, AssetRef
from flask_autotag.tags.counters import check_all

from ..hosts import Host, store_labels

HERE, THERE = AssetRef("file", "a/cat.jpg"), AssetRef("file", "b/cat.jpg")


def names(host: Host, asset: AssetRef, instance: str | None = None) -> set[str]:
    found = {tag.name for tag in host.autotag.tags_for(asset, instance)}
    host.db.session.rollback()
    return found


def counts_are_right(host: Host) -> bool:
    drift = check_all(host.autotag.state_of(host.app).database)
    return drift.looked_at > 0 and not drift.wrong


def test_tags_and_decisions_go_along(any_host: Host) -> None:
    with any_host.app.app_context():
        store_labels(any_host, HERE, [("cat", 0.9), ("wolf", 0.9)])
        any_host.autotag.reject_tag(HERE, "wolf")
        any_host.autotag.add_tag(HERE, "Mimi")
        any_host.autotag.move(HERE, THERE)
        assert names(any_host, HERE) == set()
        assert names(any_host, THERE) == {"cat", "Mimi"}
        # The rejection holds for labels of the new name.
        store_labels(any_host, THERE, [("wolf", 0.9)])
        assert names(any_host, THERE) == {"Mimi"}
        assert counts_are_right(any_host)


def test_what_had_the_name_is_replaced_where_something_comes(any_host: Host) -> None:
    with any_host.app.app_context():
        store_labels(any_host, HERE, [("cat", 0.9)], "one")
        for instance in ("one", "two"):
            store_labels(any_host, THERE, [("dog", 0.9)], instance)
        any_host.autotag.move(HERE, THERE)
        assert names(any_host, THERE, "one") == {"cat"}
        assert names(any_host, THERE, "two") == {"dog"}
        assert counts_are_right(any_host)


def test_a_model_finds_it_by_its_new_key(any_host: Host) -> None:
    with any_host.app.app_context():
        photos = [any_host.add_photo(path) for path in "ab"]
        here, there = (AssetRef("photo", str(photo.id)) for photo in photos)
        store_labels(any_host, here, [("cat", 0.9)])
        any_host.autotag.move(here, photos[1])
        any_host.db.session.rollback()
        cats = any_host.autotag.select(any_host.Photo, all_of=["cat"])
        found = any_host.db.session.scalars(cats).all()
        assert [photo.path for photo in found] == ["b"]
        any_host.db.session.rollback()
        any_host.autotag.move(there, AssetRef("page", "x"))
        any_host.db.session.rollback()
        assert any_host.db.session.scalars(cats).all() == []


def test_it_joins_the_hosts_transaction(any_host: Host) -> None:
    with any_host.app.app_context():
        store_labels(any_host, HERE, [("cat", 0.9)])
        session = any_host.db.session
        session.add(any_host.Photo(path="x"))
        session.flush()
        any_host.autotag.move(HERE, THERE)
        session.rollback()
        assert names(any_host, HERE) == {"cat"}
        assert session.scalars(select(any_host.Photo)).all() == []


def test_to_the_same_name_nothing_happens(host: Host) -> None:
    with host.app.app_context():
        store_labels(host, HERE, [("cat", 0.9)])
        host.autotag.move(HERE, HERE)
        assert names(host, HERE) == {"cat"}


def test_an_object_without_a_key_is_refused(host: Host) -> None:
    with host.app.app_context(), pytest.raises(AssetError, match="was not saved yet"):
        host.autotag.move(HERE, host.Photo(path="x"))
