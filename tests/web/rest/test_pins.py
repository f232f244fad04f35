"""Tags that people pin to the front of an asset, through the API."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from flask_autotag import AssetRef

from .conftest import HEADERS, PHOTO, SHOP, Program, Service, refusal


def pin(program: Program, *tags: Any, asset: AssetRef = PHOTO) -> TestResponse:
    body = {"type": asset.type, "id": asset.id, "tags": [*tags]}
    return program.ask("PUT", f"{SHOP}/pins", json=body, headers=HEADERS)


def test_pinned_tags_come_first(any_service: Service) -> None:
    mia = any_service.program("mia")
    pinned: Any = pin(mia, "wolf", "Rex").json
    assert pinned["asset"] == {"type": "photo", "id": "7"}
    assert [(tag["name"], tag["pinned"]) for tag in pinned["tags"]] == [
        ("wolf", True),
        ("Rex", True),
        ("dog", False),
    ]
    assert {tag["person"] for tag in pinned["tags"]} == {"mia", None}
    assert mia.tags() == ["wolf", "Rex", "dog"]
    pin(mia, "Rex")
    assert mia.tags() == ["Rex", "wolf", "dog"]
    unpinned: Any = pin(mia).json
    assert not any(tag["pinned"] for tag in unpinned["tags"])


def test_an_image_that_the_instance_does_not_know(any_service: Service) -> None:
    any_service.store([("cat", 0.9)], AssetRef("photo", "8"), "news")
    refused = (404, "This instance does not know photo 8.", "id")
    mia = any_service.program("mia")
    assert refusal(pin(mia, "Rex", asset=AssetRef("photo", "8"))) == refused


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (["x"] * 21, "tags must have 0 to 20 tags, not 21."),
        (
            ["dog", 7],
            "tags has a wrong item at index 1, which must be a text of 1 to 100"
            " characters, not 7.",
        ),
        (
            ["\u200b"],
            "tags has a wrong item at index 0, which is not the name of a tag: a tag"
            " needs a name that can be seen, not '\\u200b'.",
        ),
    ],
)
def test_wrong_tags(ada: Program, tags: list[Any], message: str) -> None:
    assert refusal(pin(ada, *tags)) == (400, message, "tags")
