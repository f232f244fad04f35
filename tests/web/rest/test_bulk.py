"""Decisions about many assets in one request, on each database."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import func, select

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.tags import bulk_actions
from flask_autotag.tags.counters import check_all

from .conftest import HEADERS, NEWS, PHOTO, SHOP, Program, Service, refusal

URL = f"{SHOP}/decisions/bulk"


def photo(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


def named(*assets: AssetRef) -> list[dict[str, str]]:
    return [{"type": each.type, "id": each.id} for each in assets]


def decide(
    program: Program, *assets: AssetRef, tag: str = "Rex", **more: str
) -> dict[str, Any]:
    body = {"assets": named(*assets), "tag": tag, "decision": "add", **more}
    response = program.post(URL, **body)
    assert response.status_code == 200, response.text
    answer: Any = response.json
    return {**answer, "assets": [each["outcome"] for each in answer["assets"]]}


def count(service: Service, table: str) -> int:
    host = service.host
    with host.app.app_context(), host.db.engine.connect() as connection:
        model = getattr(host.models, table)
        found = connection.scalar(select(func.count()).select_from(model.__table__))
        return found or 0


@pytest.fixture
def filled(any_service: Service) -> Service:
    any_service.store([("dog", 0.9)], photo(8))
    any_service.store([("dog", 0.9)], photo(9), "news")
    return any_service


def test_each_asset_is_told(filled: Service) -> None:
    mia = filled.program("mia")
    mia.decide("add", "Rex", photo(8))
    answer = decide(mia, photo(9), photo(8), PHOTO, photo(99), PHOTO)
    assert answer.pop("id") > 0
    assert answer == {
        "changed": 1,
        "unchanged": 1,
        "unknown": 2,
        "assets": ["unknown", "unchanged", "changed", "unknown"],
    }
    assert mia.tags() == ["Rex", "dog", "wolf"]
    # Nothing is stored for images that the instance does not know.
    assert count(filled, "asset") == 3
    nils: Any = filled.program("nils").get(f"{NEWS}/tags", type="photo", id="9").json
    assert [tag["name"] for tag in nils["tags"]] == ["dog"]


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        ("add", ["wolf", "dog"]),
        ("accept", ["wolf", "dog"]),
        ("reject", ["dog"]),
        ("remove", ["dog"]),
    ],
)
def test_each_decision(service: Service, decision: str, expected: list[str]) -> None:
    mia = service.program("mia")
    decide(mia, PHOTO, tag="WOLF", decision=decision)
    assert mia.tags() == expected


def test_it_is_a_bulk_action_of_the_person(filled: Service) -> None:
    answer = decide(filled.program("mia"), PHOTO, photo(8), photo(99))
    host = filled.host
    with host.app.app_context():
        database = host.autotag.state_of(host.app).database
        [action] = database.transact(
            lambda s: bulk_actions.latest(s.connection(), host.models, "shop", 10)
        )
        assert check_all(database).wrong == []
    assert (action.id, action.phase, action.person) == (answer["id"], "done", "mia")
    assert (action.images, action.changed) == (2, 2)


def test_an_image_that_waits_to_be_tagged_is_known(service: Service) -> None:
    image_uploaded.send(
        service.host.app, asset=photo(20), image=b"its bytes", instance="shop"
    )
    mia = service.program("mia")
    assert decide(mia, photo(20))["assets"] == ["changed"]
    assert mia.tags(photo(20)) == ["Rex"]


def test_a_repeated_request_is_answered_without_a_decision(filled: Service) -> None:
    mia = filled.program("mia")
    mia.decide("add", "Rex", photo(8))
    assets = (PHOTO, photo(8), photo(99))
    first = decide(mia, *assets, key="request-1")
    assert first["assets"] == ["changed", "unchanged", "unknown"]
    # What happens in between stays.
    mia.decide("remove", "Rex")
    filled.store([("cat", 0.9)], photo(99))
    assert decide(mia, *assets, key="request-1") == first
    assert mia.tags() == ["dog", "wolf"]
    assert count(filled, "bulk_action") == 1
    # Another key, and no key, are another request.
    assert decide(mia, *assets, key="request-2")["id"] != first["id"]
    assert decide(mia, *assets)["unchanged"] == 3


def test_a_repeated_request_about_unknown_assets(filled: Service) -> None:
    mia = filled.program("mia")
    first = decide(mia, photo(99), key="k")
    filled.store([("cat", 0.9)], photo(99))
    assert decide(mia, photo(99), key="k") == first
    assert mia.tags(photo(99)) == ["cat"]


def test_a_key_that_asked_for_something_else(filled: Service) -> None:
    mia = filled.program("mia")
    decide(mia, PHOTO, key="k")
    body = {"assets": named(PHOTO), "tag": "Rex", "decision": "add", "key": "k"}
    message = (
        "A request with this key asked for something else: use a new key for each"
        " request, and the same one only to repeat it."
    )
    for change in (
        {"tag": "Tom"},
        {"decision": "remove"},
        {"assets": named(PHOTO, photo(8))},
    ):
        assert refusal(mia.post(URL, **{**body, **change})) == (409, message, "key")
    assert mia.tags() == ["Rex", "dog", "wolf"]
    # Keys are those of an instance, and case counts.
    ada = filled.program("ada")
    assert ada.post(f"{NEWS}/decisions/bulk", **body).status_code == 200
    assert ada.post(URL, **{**body, "key": "K", "tag": "Tom"}).status_code == 200


def test_two_requests_with_one_key_at_a_time(filled: Service) -> None:
    answers: list[dict[str, Any]] = []
    start = threading.Barrier(4)

    def send() -> None:
        program = filled.program("mia")
        start.wait()
        answers.append(decide(program, PHOTO, photo(8), key="k"))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [answers[0]] * 4
    assert answers[0]["changed"] == 2
    assert count(filled, "bulk_action") == 1


def test_a_thousand_assets_with_long_names(service: Service) -> None:
    """The limit of the body leaves room for all of them, whatever their characters."""
    assets = [AssetRef("😀" * 350, f"{n:04}" + "😀" * 251) for n in range(1000)]
    ada = service.program("ada")
    assert decide(ada, *assets)["unknown"] == 1000
    assets += [photo(1)]
    body = {"assets": named(*assets), "tag": "Rex", "decision": "add"}
    message = "assets must have 1 to 1,000 assets, not 1,001."
    assert refusal(ada.post(URL, **body)) == (400, message, "assets")


def test_a_body_that_is_too_large(ada: Program) -> None:
    response = ada.ask(
        "POST",
        URL,
        data=" " * (8 * 1024 * 1024 + 1),
        content_type="application/json",
        headers=HEADERS,
    )
    message = "The body must have at most 8,388,608 bytes."
    assert refusal(response) == (413, message, None)


@pytest.mark.parametrize(
    ("changed", "message", "field"),
    [
        ({"assets": []}, "assets must have 1 to 1,000 assets, not 0.", "assets"),
        ({"assets": "7"}, "assets must be a list, not '7'.", "assets"),
        (
            {"assets": [*named(PHOTO), "7"]},
            "assets has a wrong item at index 1, which must be an object with type and"
            " id, not '7'.",
            "assets",
        ),
        (
            {"assets": [{"type": "photo"}]},
            "assets has a wrong item at index 0, which must be an object with type and"
            " id, not {'type': 'photo'}.",
            "assets",
        ),
        (
            {"assets": [{"type": "photo", "id": 7}]},
            "assets has a wrong item at index 0, which has a wrong id: it must be a"
            " text of 1 to 255 characters, not 7.",
            "assets",
        ),
        (
            {"key": "a b"},
            "key must have 1 to 64 ASCII characters without spaces, not 'a b'.",
            "key",
        ),
        (
            {"key": "k" * 65},
            f"key must have 1 to 64 ASCII characters without spaces, not '{'k' * 65}'.",
            "key",
        ),
        (
            {"key": 7},
            "key must have 1 to 64 ASCII characters without spaces, not 7.",
            "key",
        ),
        (
            {"tag": "\u200b"},
            "tag is not the name of a tag: a tag needs a name that can be seen, not"
            " '\\u200b'.",
            "tag",
        ),
    ],
)
def test_a_wrong_request(
    ada: Program, changed: dict[str, Any], message: str, field: str
) -> None:
    body = {"assets": named(PHOTO), "tag": "Rex", "decision": "add", **changed}
    assert refusal(ada.post(URL, **body)) == (400, message, field)
    assert ada.tags() == ["dog", "wolf"]
