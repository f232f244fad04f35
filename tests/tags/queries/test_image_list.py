"""Images that a person filters, page by page, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flask_autotag import AssetRef
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.tags.queries import image_list
from flask_autotag.tags.queries.image_list import ImageFilter, ListedImage

from ...hosts import Host, store_labels
from ...settings.desk import Desk

DOG, FOX = tag_name("dog"), tag_name("fox")
SUGGESTIONS = ("", "suggestion_threshold")


class Images:
    """The images of the instance ``shop`` of a host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.database = host.autotag.state_of(host.app).database

    def page(
        self, wanted: ImageFilter, limit: int, before: int | None = None
    ) -> list[ListedImage]:
        def read(session: Any) -> list[ListedImage]:
            connection, models = session.connection(), self.host.models
            return [*image_list.page(connection, models, "shop", wanted, limit, before)]

        return self.database.transact(read)

    def find(self, **wanted: Any) -> list[str]:
        """Return the ids of images, and check their number."""
        chosen = ImageFilter(**wanted)
        ids = [each.asset.id for each in self.page(chosen, 10)]
        number = self.database.transact(
            lambda s: image_list.count(s.connection(), self.host.models, "shop", chosen)
        )
        assert number == len(ids)
        return ids


@pytest.fixture
def images(any_host: Host) -> Iterator[Images]:
    Desk(any_host).save({SUGGESTIONS: 0.2})
    with any_host.app.app_context():
        for name, labels in (
            ("1", [("dog", 0.9), ("fox", 0.3)]),
            ("2", [("cat", 0.9)]),
            ("3", []),
            ("10", [("dog", 0.9), ("50%", 0.9)]),
        ):
            store_labels(any_host, AssetRef("photo", name), labels, "shop")
        store_labels(any_host, AssetRef("photo", "9"), [("dog", 0.9)], "news")
        yield Images(any_host)


def test_all_images_of_the_instance_the_latest_first(images: Images) -> None:
    assert images.find() == ["10", "3", "2", "1"]


def test_images_with_a_tag(images: Images) -> None:
    assert images.find(tag=DOG) == ["10", "1"]
    assert images.find(tag=tag_name("DOG")) == ["10", "1"]
    assert images.find(tag=FOX) == images.find(tag=tag_name("unknown")) == []


def test_images_with_a_suggestion(images: Images) -> None:
    assert images.find(suggestion=FOX) == ["1"]
    assert images.find(suggestion=DOG) == []
    assert images.find(tag=DOG, suggestion=FOX) == ["1"]


def test_a_rejected_tag_is_no_tag(images: Images) -> None:
    images.host.autotag.reject_tag(AssetRef("photo", "1"), "dog", instance="shop")
    assert images.find(tag=DOG) == ["10"]
    assert images.find(is_untagged=True) == ["3", "1"]


def test_images_with_a_tag_of_a_provider(images: Images) -> None:
    assert images.find(provider="tensorflow") == ["10", "2", "1"]
    assert images.find(provider="tensorflow", tag=DOG) == ["10", "1"]
    assert images.find(provider="google") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", ["10", "1"]),
        ("10", ["10"]),
        ("do", ["10", "1"]),
        ("DO", ["10", "1"]),
        ("50%", ["10"]),
        ("%", []),
        ("_", []),
        ("z", []),
    ],
)
def test_images_whose_id_or_tag_begins_with_a_text(
    images: Images, text: str, expected: list[str]
) -> None:
    assert images.find(text=text) == expected


def test_a_former_name_of_the_tag(images: Images) -> None:
    words: Any = {tag_name("hound"): {"becomes": "dog"}}
    images.database.transact(
        lambda s: change_words(s, images.host.models, "shop", words, None)
    )
    assert images.find(tag=tag_name("hound")) == ["10", "1"]


def test_page_by_page(images: Images) -> None:
    first = images.page(ImageFilter(), 3)
    assert [each.asset.id for each in first] == ["10", "3", "2"]
    following = images.page(ImageFilter(), 3, first[-1].row)
    assert [each.asset.id for each in following] == ["1"]
