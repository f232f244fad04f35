"""Finding photos by tags: search field, facets, cloud, similar photos."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import event

from example_app.models import Photo, db
from example_app.tagging import autotag, search

from .conftest import Browser, photos_of
from .test_photos import example


@pytest.fixture
def photos(app: Flask, nora: Browser) -> list[Photo]:
    """Two espressi, one with the added tag breakfast, and a castle."""
    nora.upload(example("espresso"), example("castle"), example("espresso"))
    first, castle, last = photos_of(app)
    with app.app_context():
        autotag.add_tag(last, "breakfast", instance="news")
        autotag.reject_tag(castle, "building", instance="news")
    return [first, castle, last]


def soup(browser: Browser, path: str) -> BeautifulSoup:
    return BeautifulSoup(browser.page(path), "html.parser")


def filters(page: BeautifulSoup) -> dict[str, int]:
    """Return the tags offered as filters, with their counts."""
    found: dict[str, int] = {}
    for link in page.select(".filters a"):
        name = link.select_one(".filter-name")
        count = link.select_one(".count")
        assert name
        assert count
        found[name.get_text()] = int(next(iter(count.stripped_strings)))
    return found


def test_the_filters_count_among_the_photos_that_are_left(
    nora: Browser, photos: list[Photo]
) -> None:
    assert filters(soup(nora, "/news/")) == {
        "drink": 2,
        "espresso": 2,
        "food": 2,
        "breakfast": 1,
        "castle": 1,
        "landscape": 1,
        "sky": 1,
        "water": 1,
    }
    assert filters(soup(nora, "/news/?tag=breakfast")) == {
        "breakfast": 1,
        "drink": 1,
        "espresso": 1,
        "food": 1,
    }


def test_the_filters_count_the_latest_photos_only(
    nora: Browser, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Among the latest photos only."
    assert said not in nora.page("/news/?tag=espresso")
    monkeypatch.setattr(search, "COUNTED", 1)
    page = soup(nora, "/news/?tag=espresso")
    assert filters(page) == {"breakfast": 1, "drink": 1, "espresso": 1, "food": 1}
    assert said in page.get_text()
    # Without a filter, stored counts are used.
    page = soup(nora, "/news/")
    assert filters(page)["espresso"] == 2
    assert said not in page.get_text()


def test_the_search_field_keeps_what_was_chosen(
    nora: Browser, photos: list[Photo]
) -> None:
    form = soup(nora, "/news/?tag=espresso").select_one("form[role=search]")
    assert form is not None
    kept: Any = form.select_one("input[type=hidden]")
    assert (kept["name"], kept["value"]) == ("tag", "espresso")
    offered = [str(option["value"]) for option in form.select("option")]
    assert offered == ["drink", "espresso", "food", "breakfast"]
    # A browser also sends the empty field.
    assert nora.get("/news/?tag=espresso&tag=").status_code == 200


def test_words_are_offered_for_what_is_typed(
    nora: Browser, sam: Browser, photos: list[Photo]
) -> None:
    def offered(browser: Browser, text: str, instance: str = "news") -> list[str]:
        response = browser.get(f"/{instance}/words", query_string={"q": text})
        assert response.status_code == 200
        words: list[str] = response.json["words"]
        return words

    assert offered(nora, "ES") == ["espresso"]
    assert offered(nora, "nothing") == []
    for strange in ("", "\0", "x" * 500, "%"):
        offered(nora, strange)
    assert offered(sam, "es", "shop") == []
    assert sam.get("/news/words?q=es").status_code == 403


def test_the_cloud_shows_more_used_tags_larger(
    nora: Browser, photos: list[Photo]
) -> None:
    page = soup(nora, "/news/tags")
    sizes = {
        next(iter(link.stripped_strings)): link["class"]
        for link in page.select(".cloud a")
    }
    assert sizes == {
        "breakfast": ["size-1"],
        "castle": ["size-1"],
        "drink": ["size-5"],
        "espresso": ["size-5"],
        "food": ["size-5"],
        "landscape": ["size-1"],
        "sky": ["size-1"],
        "water": ["size-1"],
    }


def test_an_empty_cloud_says_so(nora: Browser) -> None:
    assert "Tags appear here as photos are tagged." in nora.page("/news/tags")


def test_photos_alike_are_those_that_share_most_tags(
    nora: Browser, photos: list[Photo]
) -> None:
    first, castle, last = photos

    def alike(photo: Photo) -> list[str]:
        page = soup(nora, f"/news/photos/{photo.id}")
        return [str(link["href"]) for link in page.select(".similar a")]

    assert alike(first) == [f"/news/photos/{last.id}"]
    assert alike(last) == [f"/news/photos/{first.id}"]
    assert alike(castle) == []


def test_links_stay_among_the_chosen_photos(nora: Browser, photos: list[Photo]) -> None:
    last = f"/news/photos/{photos[-1].id}"
    page = soup(nora, "/news/?tag=espresso")
    cards = [str(link["href"]) for link in page.select(".card-link")]
    assert cards == [f"/news/photos/{one.id}?tag=espresso" for one in photos[::-2]]
    # A link that names the instance leads to all of its photos.
    (instance,) = page.select(".instances a")
    assert instance["href"] == "/news/"
    page = soup(nora, f"{last}?tag=espresso")
    (back,) = page.select(".photo-nav > a[href^='/news/?']")
    assert " ".join(back.get_text().split()) == "← All photos with espresso"
    assert {str(one["href"]) for one in page.select(".similar a")} == {
        f"/news/photos/{photos[0].id}"
    }
    response = nora.post(f"{last}/delete?tag=espresso")
    assert response.location == "/news/?tag=espresso"


def test_the_title_tells_what_was_chosen(nora: Browser, photos: list[Photo]) -> None:
    title = soup(nora, "/news/?tag=espresso&tag=drink").title
    assert title is not None
    parts = title.get_text().split(" \N{EN DASH} ")
    assert parts == ["espresso, drink", "News", "Picture Desk"]
    assert "<b>" not in nora.page("/news/?tag=<b>")


def test_a_page_of_the_gallery_asks_as_much_for_many_photos(
    app: Flask, nora: Browser, photos: list[Photo]
) -> None:
    def asked() -> int:
        with app.app_context():
            engine = db.engine
        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            statements.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        nora.page("/news/")
        event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    few = asked()
    nora.upload(*[example("castle")] * 4)
    # Load the page again: the first time it shows the message about the upload.
    nora.page("/news/")
    assert asked() == few
