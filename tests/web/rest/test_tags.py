"""Tags of an asset, and decisions about them, on each database."""

from __future__ import annotations

from typing import Any

import pytest

from flask_autotag import AssetRef

from ...hosts import ANIMALS, store_labels
from ...settings.desk import Desk
from .conftest import HEADERS, NEWS, PHOTO, SHOP, Program, Service, refusal

SUGGESTIONS = ("", "suggestion_threshold")


def test_the_tags_of_an_asset_and_where_they_come_from(any_service: Service) -> None:
    Desk(any_service.host).save({SUGGESTIONS: 0.2})
    any_service.store([("dog", 0.9), ("fox", 0.3)])
    mia = any_service.program("mia")
    assert mia.decide("add", "Rex").status_code == 200
    found: Any = mia.get(f"{SHOP}/tags", type="photo", id="7").json
    assert found["asset"] == {"type": "photo", "id": "7"}
    for tag in (*found["tags"], *found["suggestions"]):
        assert tag.pop("created_at").endswith("+00:00")
    rex, dog = found["tags"]
    assert rex == {
        "name": "Rex",
        "source": "person",
        "confidence": None,
        "provider": None,
        "providers": [],
        "model": None,
        "person": "mia",
        "pinned": False,
    }
    assert dog == {
        "name": "dog",
        "source": "provider",
        "confidence": 0.9,
        "provider": "tensorflow",
        "providers": ["tensorflow"],
        "model": "model 1",
        "person": None,
        "pinned": False,
    }
    assert [tag["name"] for tag in found["suggestions"]] == ["fox"]


def test_what_people_decide(any_service: Service) -> None:
    Desk(any_service.host).save({SUGGESTIONS: 0.2})
    labels = [("dog", 0.9), ("wolf", 0.8), ("fox", 0.3), ("owl", 0.25)]
    any_service.store(labels)
    mia = any_service.program("mia")
    added: Any = mia.decide("add", " rex ").json
    assert [tag["name"] for tag in added["tags"]] == ["rex", "dog", "wolf"]
    mia.decide("remove", "WOLF")
    mia.decide("accept", "fox")
    left: Any = mia.decide("reject", "owl").json
    assert left["suggestions"] == []
    assert set(mia.tags()) == {"rex", "fox", "dog"}
    any_service.store(labels)
    assert set(mia.tags()) == {"rex", "fox", "dog"}


def test_a_decision_applies_the_rules_to_the_image_again(service: Service) -> None:
    with service.host.app.app_context():
        labels = [("dog", 0.9), ("animal", 0.65)]
        store_labels(service.host, PHOTO, labels, "shop", concepts=ANIMALS)
    mia = service.program("mia")
    assert mia.tags() == ["dog"]
    removed: Any = mia.decide("remove", "dog").json
    assert [tag["name"] for tag in removed["tags"]] == ["animal"]


def test_an_image_of_another_instance_is_out_of_reach(any_service: Service) -> None:
    """Otherwise an instance could read tags of another by classifying its asset."""
    any_service.store([("cat", 0.9)], AssetRef("photo", "8"), "news")
    mia = any_service.program("mia")
    assert mia.tags(AssetRef("photo", "8")) == []
    refused = (404, "This instance does not know photo 8.", "id")
    assert refusal(mia.decide("add", "Rex", AssetRef("photo", "8"))) == refused
    assert refusal(mia.post(f"{SHOP}/jobs", type="photo", id="8")) == refused
    nils = any_service.program("nils")
    found: Any = nils.get(f"{NEWS}/tags", type="photo", id="8").json
    assert [tag["name"] for tag in found["tags"]] == ["cat"]


def test_an_image_that_waits_to_be_tagged_is_known(any_service: Service) -> None:
    from flask_autotag import image_uploaded

    image_uploaded.send(
        any_service.host.app,
        asset=AssetRef("photo", "9"),
        image=b"its bytes",
        instance="shop",
    )
    mia = any_service.program("mia")
    assert mia.decide("add", "Rex", AssetRef("photo", "9")).status_code == 200
    assert mia.tags(AssetRef("photo", "9")) == ["Rex"]


def test_a_decision_is_committed_whatever_the_host_has_read(
    any_service: Service,
) -> None:
    """The host's session is then in a transaction, for example to read the user."""
    host = any_service.host

    @host.app.before_request
    def read() -> None:
        host.db.session.query(host.Photo).count()

    any_service.program("mia").decide("add", "Rex")
    assert any_service.program("mia").tags() == ["Rex", "dog", "wolf"]


LONG = "x" * 256
WRONG_ASSETS: list[tuple[dict[str, Any], str, str]] = [
    ({"id": "7"}, "type is missing.", "type"),
    ({"type": "photo"}, "id is missing.", "id"),
    (
        {"type": "", "id": "7"},
        "type must be a text of 1 to 350 characters, not ''.",
        "type",
    ),
    (
        {"type": "photo", "id": LONG},
        f"id must be a text of 1 to 255 characters, not {LONG!r:.80}.",
        "id",
    ),
    (
        {"type": "photo", "id": "7\0"},
        "id must be a text without NUL or lone surrogates.",
        "id",
    ),
    (
        {"type": "photo", "id": "7", "size": "1"},
        "There is no field 'size': use type, id.",
        "size",
    ),
]


@pytest.mark.parametrize(("fields", "message", "field"), WRONG_ASSETS)
def test_a_wrong_asset(
    ada: Program, fields: dict[str, Any], message: str, field: str
) -> None:
    expected = (400, message, field)
    assert refusal(ada.get(f"{SHOP}/tags", **fields)) == expected
    assert refusal(ada.post(f"{SHOP}/jobs", **fields)) == expected


@pytest.mark.parametrize(
    ("changed", "message", "field"),
    [
        ({"tag": ""}, "tag must be a text of 1 to 100 characters, not ''.", "tag"),
        ({"tag": 7}, "tag must be a text of 1 to 100 characters, not 7.", "tag"),
        (
            {"tag": "\u200b"},
            "tag is not the name of a tag: a tag needs a name that can be seen, not"
            " '\\u200b'.",
            "tag",
        ),
        (
            {"tag": "\ufdfa" * 20},
            "tag is not the name of a tag: a tag's name has at most 100 characters.",
            "tag",
        ),
        (
            {"tag": "\ud800"},
            "tag must be a text without NUL or lone surrogates.",
            "tag",
        ),
        (
            {"decision": "maybe"},
            "decision must be one of 'add', 'accept', 'reject', 'remove', not 'maybe'.",
            "decision",
        ),
        (
            {"decision": ["add"]},
            "decision must be one of 'add', 'accept', 'reject', 'remove', not ['add'].",
            "decision",
        ),
        ({"id": 7}, "id must be a text of 1 to 255 characters, not 7.", "id"),
        (
            {"person": "nora"},
            "There is no field 'person': use type, id, tag, decision.",
            "person",
        ),
    ],
)
def test_a_wrong_decision(
    ada: Program, changed: dict[str, Any], message: str, field: str
) -> None:
    body = {"type": "photo", "id": "7", "tag": "Rex", "decision": "add", **changed}
    assert refusal(ada.post(f"{SHOP}/decisions", **body)) == (400, message, field)
    assert ada.tags() == ["dog", "wolf"]


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        ("{}", "text/plain", (415, "The Content-Type must be application/json.")),
        ("{", "application/json", (400, "The body must be JSON in UTF-8.")),
        ("", "application/json", (400, "The body must be JSON in UTF-8.")),
        (b"\xff", "application/json", (400, "The body must be JSON in UTF-8.")),
        ("[" * 16_000, "application/json", (400, "The body must be JSON in UTF-8.")),
        ("[]", "application/json", (400, "The body must be a JSON object.")),
        (
            " " * 16_385,
            "application/json",
            (413, "The body must have at most 16,384 bytes."),
        ),
    ],
)
def test_a_wrong_body(
    ada: Program, body: str | bytes, content_type: str, expected: tuple[int, str]
) -> None:
    for path in ("decisions", "jobs"):
        response = ada.ask(
            "POST",
            f"{SHOP}/{path}",
            data=body,
            content_type=content_type,
            headers=HEADERS,
        )
        assert refusal(response) == (*expected, None)


def test_a_field_that_is_there_twice(ada: Program) -> None:
    response = ada.ask("GET", f"{SHOP}/tags?type=photo&id=7&id=8")
    assert refusal(response) == (400, "id must not be repeated.", "id")


class TestETag:
    @pytest.mark.parametrize(
        "path",
        ["tags?type=photo&id=7", "assets?all=dog", "counts", "completions?q=d"],
    )
    def test_what_did_not_change_is_not_sent_again(
        self, ada: Program, path: str
    ) -> None:
        first = ada.ask("GET", f"{SHOP}/{path}")
        etag = first.headers["ETag"]
        same = ada.ask("GET", f"{SHOP}/{path}", headers={"If-None-Match": etag})
        assert (same.status_code, same.data) == (304, b"")
        assert same.headers["ETag"] == etag
        head = ada.ask("HEAD", f"{SHOP}/{path}")
        assert (head.status_code, head.headers["ETag"]) == (200, etag)
        assert first.headers["Cache-Control"] == "private, no-cache"
        assert {"Cookie", "Authorization"} <= set(first.vary)

    def test_what_changed_is(self, ada: Program) -> None:
        path = f"{SHOP}/tags?type=photo&id=7"
        etag = ada.ask("GET", path).headers["ETag"]
        ada.decide("add", "Rex")
        fresh = ada.ask("GET", path, headers={"If-None-Match": etag})
        assert fresh.status_code == 200
        assert fresh.headers["ETag"] != etag

    def test_who_may_not_is_not_told_either(self, service: Service) -> None:
        path = f"{SHOP}/tags?type=photo&id=7"
        etag = service.program("ada").ask("GET", path).headers["ETag"]
        response = service.program("nils").ask(
            "GET", path, headers={"If-None-Match": etag}
        )
        assert response.status_code == 403

    def test_answers_to_changes_are_not_kept(self, ada: Program) -> None:
        response = ada.decide("add", "Rex")
        assert response.headers["Cache-Control"] == "no-store"
        assert "ETag" not in response.headers


def test_the_photo_of_all_these_tests_is_the_shops(ada: Program) -> None:
    assert ada.tags(PHOTO) == ["dog", "wolf"]


def test_a_named_image_of_a_row(any_service: Service) -> None:
    cover = AssetRef("photo#cover", "7")
    any_service.host.autotag.watch(any_service.host.Photo, lambda _: b"", name="cover")
    any_service.store([("dog", 0.9)], cover)
    mia = any_service.program("mia")
    assert mia.tags(cover) == ["dog"]
    assert mia.decide("add", "Rex", cover).status_code == 200
    named = {"type": "photo#cover", "id": "7"}
    found: Any = mia.ask("GET", f"{SHOP}/tags?type=photo%23cover&id=7").json
    assert found["asset"] == named
    assert [tag["name"] for tag in found["tags"]] == ["Rex", "dog"]
    found = mia.get(f"{SHOP}/assets", all="rex", type="photo#cover").json
    assert found["assets"] == [named]
    assert mia.get(f"{SHOP}/assets", all="rex", type="photo").json == {
        "assets": [],
        "next": None,
    }
    queued: Any = mia.post(f"{SHOP}/jobs", **named)
    assert queued.status_code == 202
    assert queued.json["asset"] == named
