"""Counts within a host's selection, and related tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.orm import aliased

from flask_autotag import AssetError, AssetRef, TagCount

from ...hosts import Host
from .test_applied_tags import tag


@pytest.fixture
def zoo(any_host: Host) -> Iterator[Host]:
    """Four tagged photos, of two instances, in the host's context."""
    with any_host.app.app_context():
        for path, names, instance in (
            ("a", ["dog", "grass"], "default"),
            ("b", ["dog", "grass", "ball"], "default"),
            ("c", ["cat", "grass"], "default"),
            ("d", ["dog", "sunset"], "acme"),
        ):
            tag(any_host, any_host.add_photo(path), *names, instance=instance)
        yield any_host


def counts(found: list[TagCount]) -> dict[str, int]:
    return {each.name: each.count for each in found}


def test_counts_within_a_selection(zoo: Host) -> None:
    photo, autotag = zoo.Photo, zoo.autotag
    some = select(photo).where(photo.path < "c")
    assert autotag.tag_counts(within=some) == [
        TagCount("dog", 2),
        TagCount("grass", 2),
        TagCount("ball", 1),
    ]
    assert autotag.tag_counts(within=some, limit=1) == [TagCount("dog", 2)]
    dogs = autotag.select(photo, all_of=["dog"])
    assert counts(autotag.tag_counts(within=dogs)) == {
        "dog": 3,
        "grass": 2,
        "ball": 1,
        "sunset": 1,
    }
    assert counts(autotag.tag_counts("acme", within=dogs)) == {"dog": 1, "sunset": 1}
    last = select(photo).order_by(photo.id.desc()).limit(1)
    assert counts(autotag.tag_counts(within=last)) == {"dog": 1, "sunset": 1}


def test_an_object_that_a_join_gives_twice_counts_once(zoo: Host) -> None:
    photo, other = zoo.Photo, aliased(zoo.Photo)
    pairs = select(photo).join(other, other.id != photo.id)
    once = zoo.autotag.tag_counts(within=select(photo))
    assert zoo.autotag.tag_counts(within=pairs) == once


@pytest.mark.parametrize("within", [select(text("1")), "photos"])
def test_counts_only_within_a_model(host: Host, within: Any) -> None:
    with (
        host.app.app_context(),
        pytest.raises(AssetError, match=r"a Select of a mapped class, such as select"),
    ):
        host.autotag.tag_counts(within=within)


def test_related_tags(zoo: Host) -> None:
    related = zoo.autotag.related_tags
    assert related(["DOG"], "default") == [TagCount("grass", 2), TagCount("ball", 1)]
    assert counts(related(["dog"])) == {"grass": 2, "ball": 1, "sunset": 1}
    assert related(["dog", "grass"]) == [TagCount("ball", 1)]
    assert related(["dog"], limit=1) == [TagCount("grass", 2)]
    assert related(["dog", "whale"]) == []
    assert related([]) == []
    with pytest.raises(TypeError, match="takes several tags"):
        related("dog")


def test_a_tag_that_no_image_has_any_more_is_not_counted(zoo: Host) -> None:
    for number in range(1, 5):
        zoo.autotag.forget(AssetRef("photo", str(number)))
    zoo.db.session.rollback()
    assert zoo.autotag.tag_counts() == []
    assert zoo.autotag.tag_counts("default") == []


def test_preloads_a_page_in_one_query(zoo: Host) -> None:
    photos = zoo.db.session.scalars(select(zoo.Photo).order_by(zoo.Photo.id)).all()
    empty = zoo.add_photo("e")
    refs = [AssetRef("photo", str(photo.id)) for photo in (*photos, empty)]
    statements: list[str] = []
    event.listen(
        zoo.db.engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: statements.append(statement),
    )
    tags = zoo.autotag.preload([*refs, AssetRef("file", "1")])
    assert len(statements) == 1
    assert list(tags) == [*refs, AssetRef("file", "1")]
    for photo in (*photos, empty):
        assert tags[photo] == zoo.autotag.tags_for(photo)
    acme = zoo.autotag.preload(photos, "acme")
    assert [len(acme[photo]) for photo in photos] == [0, 0, 0, 2]
    assert not zoo.autotag.preload([])
    with pytest.raises(KeyError):
        acme[empty]
    assert "dog" not in acme
