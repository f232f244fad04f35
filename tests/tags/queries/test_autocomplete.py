"""Completions of a typed text, for a search and for adding a tag."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_autotag import AssetRef, TagCount
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.tags.queries.autocomplete import words_to_add

from ...hosts import Host
from .test_applied_tags import tag
from .test_selection import rename


@pytest.fixture
def zoo(any_host: Host) -> Iterator[Host]:
    """Four tagged photos, of two instances, in the host's context."""
    with any_host.app.app_context():
        for path, names, instance in (
            ("a", ["dog", "grass"], "default"),
            ("b", ["dog", "Dormouse", "grass"], "default"),
            ("c", ["cat", "grass"], "default"),
            ("d", ["dog", "sunset"], "acme"),
        ):
            tag(any_host, any_host.add_photo(path), *names, instance=instance)
        yield any_host


def offered(
    host: Host, start: str, limit: int = 9, instance: str = "default"
) -> list[str]:
    """List the words that are offered for adding a tag."""
    database = host.autotag.state_of(host.app).database
    return database.transact(
        lambda session: words_to_add(
            session.connection(), host.models, instance, start, limit
        )
    )


def block(host: Host, *names: str) -> None:
    database = host.autotag.state_of(host.app).database
    decided = {tag_name(name): {"blocked": True} for name in names}
    with database.begin() as session:
        change_words(session, host.models, "default", decided, None)


def test_completion(zoo: Host) -> None:
    complete = zoo.autotag.complete
    assert complete("GR") == [TagCount("grass", 3)]
    assert complete("su", "default") == []
    assert complete("su", "acme") == [TagCount("sunset", 1)]
    assert complete("", "acme") == []
    assert complete("%") == []
    assert complete("d", limit=1) == [TagCount("dog", 3)]
    rename(zoo, "pup", "Dog")
    assert complete("pu", "default") == [TagCount("dog", 2)]


def test_a_search_offers_no_tag_without_images(zoo: Host) -> None:
    zoo.autotag.forget(AssetRef("photo", "2"))
    zoo.db.session.rollback()
    assert zoo.autotag.complete("d", "default") == [TagCount("dog", 1)]


def test_the_most_used_words_are_offered_first(zoo: Host) -> None:
    assert offered(zoo, "") == ["grass", "dog", "cat", "Dormouse"]
    assert offered(zoo, "", 2) == ["grass", "dog"]
    assert offered(zoo, "do") == ["dog", "Dormouse"]
    assert offered(zoo, "d", instance="acme") == ["dog"]
    assert offered(zoo, "%") == offered(zoo, "d_g") == []


def test_words_without_images_are_offered_last(zoo: Host) -> None:
    for number in (1, 2):
        zoo.autotag.forget(AssetRef("photo", str(number)))
    assert offered(zoo, "") == ["cat", "grass", "dog", "Dormouse"]
    assert offered(zoo, "d") == ["dog", "Dormouse"]
    assert offered(zoo, "", 3) == ["cat", "grass", "dog"]


def test_blocked_words_are_not_offered_and_take_nobodys_place(zoo: Host) -> None:
    block(zoo, "grass", "dog", "dodo")
    assert offered(zoo, "", 2) == ["cat", "Dormouse"]
    assert offered(zoo, "d", 1) == ["Dormouse"]


def test_words_are_offered_as_the_vocabulary_calls_them(zoo: Host) -> None:
    rename(zoo, "pup", "Dog")
    rename(zoo, "cat", "Feline")
    assert offered(zoo, "pu") == ["dog"]
    assert offered(zoo, "c") == ["Feline"]
