"""Tags that a person pins to the front of an image, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flask_autotag import AssetRef
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.tags.counters import check_all

from ..hosts import Host, store_labels

PHOTO = AssetRef("photo", "1")
LABELS = [("dog", 0.9), ("cat", 0.8), ("owl", 0.7)]


def shown(host: Host) -> list[tuple[str, str, bool]]:
    host.db.session.rollback()
    tags = host.autotag.tags_for(PHOTO)
    assert check_all(host.autotag.state_of(host.app).database).wrong == []
    return [(tag.name, tag.source, tag.pinned) for tag in tags]


def names(host: Host) -> list[str]:
    return [name for name, _, _ in shown(host)]


@pytest.fixture
def filled(any_host: Host) -> Iterator[Host]:
    with any_host.app.app_context():
        store_labels(any_host, PHOTO, LABELS)
        yield any_host


def test_pinned_tags_come_first_in_their_order(filled: Host) -> None:
    filled.autotag.add_tag(PHOTO, "Ada")
    filled.autotag.pin_tags(PHOTO, ["owl", "Rex"], person="nora")
    assert shown(filled) == [
        ("owl", "person", True),
        ("Rex", "person", True),
        ("Ada", "person", False),
        ("dog", "provider", False),
        ("cat", "provider", False),
    ]
    assert filled.autotag.tags_for(PHOTO)[0].person == "nora"
    preloaded = filled.autotag.preload([PHOTO])[PHOTO]
    assert [tag.name for tag in preloaded] == names(filled)


def test_other_pins_replace_them(filled: Host) -> None:
    filled.autotag.pin_tags(PHOTO, ["owl", "Rex"])
    filled.autotag.pin_tags(PHOTO, ["cat", "Rex", "CAT"])
    assert names(filled)[:2] == ["cat", "Rex"]
    # The former pin stays as a person's tag.
    assert ("owl", "person", False) in shown(filled)
    filled.autotag.pin_tags(PHOTO, [])
    assert not any(pinned for _, _, pinned in shown(filled))


def test_a_rejected_tag_is_pinned_no_more(filled: Host) -> None:
    filled.autotag.pin_tags(PHOTO, ["owl", "cat"])
    filled.autotag.reject_tag(PHOTO, "owl")
    assert names(filled) == ["cat", "dog"]
    filled.autotag.add_tag(PHOTO, "owl")
    assert shown(filled)[0] == ("cat", "person", True)
    assert ("owl", "person", False) in shown(filled)


def test_a_decision_on_many_keeps_the_pins(filled: Host) -> None:
    filled.autotag.pin_tags(PHOTO, ["owl", "cat"])
    filled.autotag.add_tag([PHOTO, AssetRef("photo", "2")], "cat")
    assert names(filled)[:2] == ["owl", "cat"]


def test_a_new_classification_keeps_the_pins(filled: Host) -> None:
    filled.autotag.pin_tags(PHOTO, ["owl", "Rex"])
    store_labels(filled, PHOTO, [("elk", 0.95), ("owl", 0.6)])
    assert names(filled) == ["owl", "Rex", "elk"]
    filled.autotag.untag(PHOTO)
    assert names(filled) == ["owl", "Rex"]


def test_a_pin_moves_to_the_new_name_of_its_word(filled: Host) -> None:
    filled.autotag.pin_tags(PHOTO, ["owl", "cat"])
    words: Any = {tag_name("owl"): {"becomes": "eagle"}}
    filled.autotag.state_of(filled.app).database.transact(
        lambda session: change_words(session, filled.models, "default", words, None)
    )
    filled.autotag.add_tag(PHOTO, "Tom")
    assert shown(filled)[:2] == [("eagle", "person", True), ("cat", "person", True)]
    filled.autotag.pin_tags(PHOTO, ["cat", "owl"])
    assert names(filled)[:2] == ["cat", "eagle"]


def test_the_maximum_counts_them_as_a_persons(host_database_url: str) -> None:
    from ..hosts import make_host

    with (
        make_host(host_database_url, AUTOTAG_MAX_TAGS=2) as host,
        host.app.app_context(),
    ):
        store_labels(host, PHOTO, LABELS)
        host.autotag.pin_tags(PHOTO, ["Rex"])
        assert names(host) == ["Rex", "dog"]


def test_pins_of_an_object_follow_its_transaction(filled: Host) -> None:
    photo = filled.Photo(path="x.jpg")
    filled.db.session.add(photo)
    filled.db.session.flush()
    filled.autotag.pin_tags(PHOTO, ["Rex"])
    filled.db.session.rollback()
    assert names(filled) == ["dog", "cat", "owl"]


def test_pins_belong_to_the_instance(filled: Host) -> None:
    store_labels(filled, PHOTO, LABELS, "shop")
    filled.autotag.pin_tags(PHOTO, ["owl"], instance="shop")
    shop = filled.autotag.tags_for(PHOTO, "shop")
    assert [tag.name for tag in shop] == ["owl", "dog", "cat"]
    tags = filled.autotag.tags_for(PHOTO, "default")
    assert [tag.name for tag in tags] == ["dog", "cat", "owl"]


def test_a_single_text_is_refused(host: Host) -> None:
    with (
        host.app.app_context(),
        pytest.raises(TypeError, match=r"tags takes several tags: tags=\['owl'\]\."),
    ):
        host.autotag.pin_tags(PHOTO, "owl")


def test_a_name_that_can_be_no_tag_is_refused(host: Host) -> None:
    with host.app.app_context():
        with pytest.raises(ValueError, match="a tag needs a name that can be seen"):
            host.autotag.pin_tags(PHOTO, ["owl", "\u200b"])
        assert host.autotag.tags_for(PHOTO) == []
