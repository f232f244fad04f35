"""The page of images: decisions about many at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import render_template_string

from flask_autotag import AssetRef
from flask_autotag.jobs.worker import Worker
from flask_autotag.web.admin.images import action_list, decisions, images_page

from .conftest import Office, Page, Visitor, open_office

URL = "/autotag/images/shop"
HISTORY = "/autotag/history/shop"
NO_FORM = Page(200, "", None)


@pytest.fixture
def office(sqlite_url: str) -> Iterator[Office]:
    """Three photos with grass, on two of which a dog is suggested; one of the news."""
    with open_office(sqlite_url, AUTOTAG_SUGGESTION_THRESHOLD=0.2) as made:
        made.store("1", ("grass", 0.9))
        made.store("2", ("grass", 0.9), ("dog", 0.4))
        made.store("3", ("grass", 0.8), ("dog", 0.3))
        made.store("4", ("Sea", 0.9), instance="news")
        yield made


def shown(page: Page) -> list[str]:
    return page.texts(".at-tile strong")


def post(visitor: Visitor, path: str = URL, **fields: Any) -> Page:
    """Send a form, and follow its answer."""
    headers = {"X-User": visitor.name or ""}
    response = visitor.client.post(path, data=fields, headers=headers)
    if response.location:
        page = visitor.get(response.location)
        page.location = response.location
        return page
    return Page(response.status_code, response.text, None)


def decide(
    visitor: Visitor, page: Page, command: str, word: str, *images: str, **other: Any
) -> Page:
    """Check images of a page, and decide."""
    return post(
        visitor,
        command=command,
        word=word,
        image=[signed(page, image) for image in images],
        **{**hidden(page), **other},
    )


def signed(page: Page, image: str) -> str:
    for tile in page.soup.select(".at-tile"):
        if tile.strong and tile.strong.get_text() == f"photo {image}":
            box = tile.select_one("[name=image]")
            assert box is not None
            return str(box["value"])
    raise AssertionError(f"no photo {image}")


def hidden(page: Page) -> dict[str, str]:
    fields = page.soup.select("[data-autotag-bulk] input[type=hidden]")
    return {str(field["name"]): str(field["value"]) for field in fields}


def undo(visitor: Visitor, page: Page) -> Page:
    fields = page.soup.select("[data-outcome] [name]")
    return post(
        visitor, **{str(each["name"]): str(each.get("value", "")) for each in fields}
    )


def undo_line(visitor: Visitor, page: Page, place: int) -> Page:
    """Press the button of a line in the history."""
    fields = page.soup.select(".at-changes li")[place].select("[name]")
    return post(
        visitor, **{str(each["name"]): str(each.get("value", "")) for each in fields}
    )


def told(page: Page) -> str:
    return page.text("[data-outcome] p")


def test_the_images_of_an_instance(office: Office, erik: Visitor) -> None:
    office.host.autotag.image_url(
        lambda asset: f"/small/{asset.id}" if asset.id != "3" else None
    )
    page = erik.get(URL)
    assert page.texts("h1") == ["Images"]
    assert shown(page) == ["photo 3", "photo 2", "photo 1"]
    assert page.text(".at-lead") == "3 images."
    assert page.texts(".at-tile .at-chip") == ["grass 80%", "grass 90%", "grass 90%"]
    pictures = [one["src"] for one in page.soup.select(".at-picture img")]
    assert pictures == ["/small/2", "/small/1"]
    assert page.one(".at-tile a")["href"] == "/autotag/explain/shop?type=photo&id=3"


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"tag": "Grass"}, ["photo 3", "photo 2", "photo 1"]),
        ({"suggestion": "dog"}, ["photo 3", "photo 2"]),
        ({"untagged": "1"}, []),
        ({"provider": "tensorflow"}, ["photo 3", "photo 2", "photo 1"]),
        ({"provider": "google"}, []),
        ({"q": "2"}, ["photo 2"]),
        ({"q": "gra"}, ["photo 3", "photo 2", "photo 1"]),
        ({"tag": "x" * 150}, []),
        ({"q": "\0"}, ["photo 3", "photo 2", "photo 1"]),
    ],
)
def test_filters(erik: Visitor, filter: dict[str, str], expected: list[str]) -> None:
    page = erik.get(f"{URL}?{urlencode(filter)}")
    assert page.status == 200
    assert shown(page) == expected
    if not expected:
        assert page.text(".at-empty") == "No image matches."


def test_an_instance_without_images(office: Office, erik: Visitor) -> None:
    for image in "123":
        forget(office, image)
    assert erik.get(URL).text(".at-empty") == (
        "There are no images yet. They appear here when they have been tagged."
    )


def test_more_images_than_a_page_has(
    erik: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_page, "_PAGE", 2)
    page = erik.get(f"{URL}?tag=grass")
    assert shown(page) == ["photo 3", "photo 2"]
    page = erik.get(str(page.one("[rel=next]")["href"]))
    assert shown(page) == ["photo 1"]
    assert page.texts(".at-steps a") == ["From the beginning"]
    assert "There are no more images." in erik.get(f"{URL}?before=1").html


def test_many_images_are_counted_up_to_a_limit(
    erik: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_page, "_COUNTED", 2)
    assert erik.get(URL).text(".at-lead") == "more than 2 images."


class TestDecisions:
    def test_adding(self, office: Office, erik: Visitor) -> None:
        page = decide(erik, erik.get(URL), "add", "beach", "1", "3")
        assert page.status == 200
        assert told(page) == "“beach” was added to 2 images."
        assert office.tags("1") == {"beach": "erik", "grass": "tensorflow"}
        assert office.tags("2") == {"grass": "tensorflow"}

    def test_adding_again(self, office: Office, erik: Visitor) -> None:
        page = decide(erik, erik.get(URL), "add", "beach", "1")
        page = decide(erik, page, "add", "beach", "1", "2", "3")
        assert told(page) == "“beach” was added to 2 images. 1 image had it already."

    def test_removing(self, office: Office, erik: Visitor) -> None:
        decide(erik, erik.get(URL), "add", "beach", "1")
        page = decide(erik, erik.get(URL), "remove", "beach", "1", "2")
        assert told(page) == (
            "“beach” was removed from 1 image. 1 image did not have it."
        )
        assert page.texts(".at-left-out a") == ["photo 2"]
        assert office.tags("1", "rejected") == {"beach": "erik"}
        assert office.tags("2", "rejected") == {}

    def test_accepting(self, office: Office, erik: Visitor) -> None:
        page = erik.get(f"{URL}?suggestion=dog")
        assert page.one("[name=word]")["value"] == "dog"
        page = decide(erik, erik.get(URL), "accept", "dog", "1", "2")
        assert told(page) == (
            "“dog” was accepted for 1 image. It was not suggested for 1 image."
        )
        assert "dog" in office.tags("2")

    def test_rejecting(self, office: Office, erik: Visitor) -> None:
        page = decide(erik, erik.get(URL), "reject", "dog", "2", "3")
        assert told(page) == "“dog” was rejected for 2 images."
        assert office.tags("2", "rejected") == {"dog": "erik"}

    def test_the_filter_stays(self, erik: Visitor) -> None:
        page = erik.get(f"{URL}?suggestion=dog&q=photo&q=3")
        page = decide(erik, erik.get(f"{URL}?suggestion=dog"), "accept", "dog", "3")
        assert shown(page) == ["photo 2"]
        assert "suggestion=dog" in (page.location or "")

    def test_an_image_that_was_deleted(self, office: Office, erik: Visitor) -> None:
        page = erik.get(URL)
        forget(office, "2")
        page = decide(erik, page, "add", "beach", "1", "2")
        assert told(page) == "“beach” was added to 1 image. 1 image no longer exists."

    def test_only_deleted_images(self, office: Office, erik: Visitor) -> None:
        page = erik.get(URL)
        forget(office, "1")
        forget(office, "2")
        page = decide(erik, page, "add", "beach", "1", "2")
        assert told(page) == "2 images no longer exist."

    def test_an_image_of_another_instance(self, office: Office, erik: Visitor) -> None:
        foreign = [office.signed("4", "news"), "nonsense"]
        images = [signed(erik.get(URL), "1"), *foreign]
        page = post(erik, command="add", word="beach", image=images)
        assert told(page) == (
            "“beach” was added to 1 image. 2 images were left out: the form did not"
            " allow you to change them."
        )
        assert office.tags("4", instance="news") == {"Sea": "tensorflow"}
        page = post(erik, command="add", word="beach", image=foreign)
        assert page.status == 422
        assert "The form is incomplete." in page.text(".at-alert")

    def test_all_that_match(self, office: Office, erik: Visitor) -> None:
        page = erik.get(f"{URL}?suggestion=dog")
        page = decide(erik, page, "accept", "dog", everything="1")
        assert told(page) == "“dog” was accepted for 2 images."

    def test_all_that_match_are_those_that_the_user_saw(
        self, office: Office, erik: Visitor
    ) -> None:
        page = erik.get(f"{URL}?tag=grass")
        office.store("5", ("grass", 0.9))
        page = decide(erik, page, "add", "lawn", everything="1")
        assert told(page) == "“lawn” was added to 3 images."
        assert "lawn" not in office.tags("5")

    @pytest.mark.parametrize("word", ["", " ", "\u200b", "x" * 101])
    def test_a_word_that_can_be_no_tag(
        self, office: Office, erik: Visitor, word: str
    ) -> None:
        page = decide(erik, erik.get(URL), "add", word, "1")
        assert page.status == 422
        assert page.text(".at-alert") == (
            "The name of a tag must have 1 to 100 characters."
            if word.strip()
            else "Type a tag first."
        )
        checked = page.soup.select(".at-tile:has([checked]) strong")
        assert [one.get_text() for one in checked] == ["photo 1"]

    def test_images_of_a_page_that_is_not_shown_again(
        self, office: Office, erik: Visitor
    ) -> None:
        images = [office.signed("1"), office.signed("2")]
        page = post(erik, command="add", word="", image=images, q="2", next="/gallery")
        assert page.text(".autotag-bulk .at-hint") == (
            "1 image that is not on this page is selected, too."
        )
        fields = {**hidden(page), "image": [signed(page, "2"), hidden(page)["image"]]}
        headers = {"X-User": "erik"}
        answer = erik.client.post(
            URL, data={**fields, "command": "add", "word": "dog"}, headers=headers
        )
        assert (answer.location or "").startswith("/gallery?autotag_action=")
        assert "dog" in office.tags("1")
        assert "dog" in office.tags("2")

    def test_no_image(self, erik: Visitor) -> None:
        page = decide(erik, erik.get(URL), "add", "beach")
        assert page.status == 422
        assert page.text(".at-alert") == "Select at least one image first."

    def test_too_many_images(
        self, office: Office, erik: Visitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("flask_autotag.web.admin.images.bulk_form.MOST_AT_ONCE", 1)
        page = decide(erik, erik.get(URL), "add", "beach", "1", "2")
        assert page.status == 422
        assert page.text(".at-alert") == (
            "At most 1 images can be selected one by one."
        )

    @pytest.mark.parametrize(
        "fields",
        [
            {"command": "steal", "word": "x", "image": "1"},
            {"word": "x", "image": "1"},
            {"command": "undo"},
            {"command": "undo", "action": "x"},
            {"command": "add", "word": "x", "everything": "1"},
        ],
    )
    def test_forms_that_are_not_ours(
        self, erik: Visitor, fields: dict[str, str]
    ) -> None:
        assert post(erik, **fields).status == 400

    def test_it_returns_to_pages_of_this_site_only(
        self, office: Office, erik: Visitor
    ) -> None:
        page = erik.get(URL)
        for target in ("https://evil.example/", "//evil.example", "\\evil"):
            answer = decide(erik, page, "add", "beach", "1", next=target)
            assert (answer.location or "").startswith(URL)

    def test_a_form_without_a_token(self, sqlite_url: str) -> None:
        with open_office(sqlite_url, WTF_CSRF_ENABLED=True) as office:
            office.store("1", ("grass", 0.9))
            page = post(
                office.visitor("erik"),
                command="add",
                word="beach",
                image=office.signed("1"),
            )
            assert page.status == 400
            assert page.text(".at-alert") == (
                "The form was too old to be trusted. Send it again."
            )
            assert office.tags("1") == {"grass": "tensorflow"}

    def test_without_a_key_nothing_can_be_selected(self, sqlite_url: str) -> None:
        with open_office(sqlite_url, WTF_CSRF_ENABLED=True) as office:
            office.store("1", ("grass", 0.9))
            office.host.app.config["SECRET_KEY"] = None
            page = office.visitor("erik").get(URL)
            assert page.soup.select("[name=image], .at-bulk-bar") == []
            assert "no SECRET_KEY" in page.text(".at-alert")


class TestUndo:
    def test_undo(self, office: Office, erik: Visitor) -> None:
        page = decide(erik, erik.get(URL), "add", "beach", "1", "3")
        page = undo(erik, page)
        assert told(page) == "That was undone for 2 images."
        assert page.soup.select("[data-outcome] button") == []
        assert "beach" not in office.tags("1")

    def test_somebody_decided_again(self, office: Office, erik: Visitor) -> None:
        page = decide(erik, erik.get(URL), "add", "beach", "1", "3")
        with office.host.app.app_context():
            asset = AssetRef("photo", "1")
            office.host.autotag.reject_tag(asset, "beach", instance="shop")
        assert told(undo(erik, page)) == (
            "That was undone for 1 image. 1 image was left unchanged: somebody decided"
            " about it again."
        )

    def test_twice(self, erik: Visitor) -> None:
        page = decide(erik, erik.get(URL), "add", "beach", "1")
        undo(erik, page)
        again = undo(erik, page)
        assert again.status == 409
        assert again.text(".at-alert") == (
            "This cannot be undone: it is not done yet, or was undone."
        )

    def test_an_action_of_another_instance(self, office: Office, erik: Visitor) -> None:
        with office.host.app.app_context():
            asset = AssetRef("photo", "4")
            office.host.autotag.add_tag([asset], "beach", instance="news")
        page = post(erik, command="undo", action="1")
        assert page.status == 409
        assert "beach" in office.tags("4", instance="news")
        assert erik.get(f"{URL}?autotag_action=1").soup.select("[data-outcome]") == []

    def test_images_that_are_deleted(self, office: Office, erik: Visitor) -> None:
        page = decide(erik, erik.get(URL), "add", "beach", "1")
        forget(office, "1")
        page = erik.get(page.location or "")
        assert told(page) == "“beach” was added to 1 image."
        assert page.soup.select("[data-outcome] button") == []


class TestHistory:
    def test_actions_with_their_number(
        self, office: Office, erik: Visitor, ada: Visitor
    ) -> None:
        decide(erik, erik.get(URL), "add", "beach", "1", "3")
        decide(ada, ada.get(URL), "remove", "grass", "1")
        page = ada.get(HISTORY)
        lines = page.texts(".at-changes li")
        assert [line.partition(", 20")[0] for line in lines] == [
            "“grass” was removed from 1 image. Undo 1 image, ada",
            "“beach” was added to 2 images. Undo 2 images, erik",
        ]
        page = undo_line(ada, page, 1)
        assert told(page) == "That was undone for 2 images."
        assert page.texts(".at-changes li")[1].startswith(
            "“beach” was added to 2 images. Undone by ada. 2 images, erik"
        )
        assert "beach" not in office.tags("1")

    def test_only_reviewers_undo(
        self, office: Office, erik: Visitor, mia: Visitor
    ) -> None:
        decide(erik, erik.get(URL), "add", "beach", "1")
        page = mia.get(HISTORY)
        assert len(page.texts(".at-changes li")) == 1
        assert page.soup.select("button") == []

    def test_undo_ends_with_the_images(self, office: Office, ada: Visitor) -> None:
        decide(ada, ada.get(URL), "add", "beach", "1")
        forget(office, "1")
        assert ada.get(HISTORY).soup.select("button") == []

    def test_more_actions_than_a_page_has(
        self, erik: Visitor, ada: Visitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(action_list, "_PAGE", 1)
        decide(erik, erik.get(URL), "add", "beach", "1")
        decide(erik, erik.get(URL), "add", "sand", "1")
        page = ada.get(HISTORY)
        assert page.texts(".at-changes strong") == ["“sand” was added to 1 image."]
        page = ada.get(str(page.one("[rel=next]")["href"]))
        assert page.texts(".at-changes strong") == ["“beach” was added to 1 image."]
        assert page.soup.select("[rel=next]") == []


GALLERY = """
{% from "autotag/macros.html" import bulk_bar, bulk_checkbox %}
{% set bulk = autotag_bulk(photos, "shop") %}
{{ bulk_bar(bulk) }}
{% for photo in photos %}{{ bulk_checkbox(bulk, photo) }}{% endfor %}
"""


class TestGallery:
    """The macros on a page of the host."""

    @pytest.fixture(autouse=True)
    def gallery(self, office: Office) -> None:
        @office.host.app.get("/gallery")
        def show() -> str:
            photos = [AssetRef("photo", each) for each in "12"]
            return render_template_string(GALLERY, photos=photos)

    def test_a_bar_and_its_checkboxes(self, office: Office, erik: Visitor) -> None:
        page = erik.get("/gallery?page=2")
        boxes = page.soup.select("[name=image]")
        assert [box["aria-label"] for box in boxes] == [
            "Select photo 1",
            "Select photo 2",
        ]
        assert {box["form"] for box in boxes} == {page.one("form")["id"]}
        images = [str(box["value"]) for box in boxes]
        page = post(erik, command="add", word="beach", image=images, **hidden(page))
        assert (page.location or "").startswith("/gallery?page=2&autotag_action=")
        assert told(page) == "“beach” was added to 2 images."
        assert told(undo(erik, page)) == "That was undone for 2 images."

    def test_others_see_neither(self, office: Office) -> None:
        for name in ("mia", None):
            page = office.visitor(name).get("/gallery")
            assert page.soup.select("form, input, link, script") == []


class TestManyImages:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let a job decide on more than one image."""
        monkeypatch.setattr(decisions, "MOST_AT_ONCE", 1)

    def test_a_job_decides(self, office: Office, erik: Visitor) -> None:
        page = decide(erik, erik.get(URL), "add", "beach", everything="1")
        assert told(page) == "“beach” is being decided about. 0 of 3 Refresh"
        assert page.soup.select("[data-outcome] button") == []
        assert page.one("[data-outcome] progress")["max"] == "3"
        work(office)
        page = erik.get(str(page.one("[data-outcome] a")["href"]))
        assert told(page) == "“beach” was added to 3 images."
        page = undo(erik, page)
        assert told(page).startswith("The decision about “beach” is being undone.")
        work(office)
        page = erik.get(page.location or "")
        assert told(page) == "That was undone for 3 images."
        assert "beach" not in office.tags("2")

    def test_the_runner_is_woken(self, office: Office, erik: Visitor) -> None:
        woken: list[int] = []
        runner = office.desk.state.runner
        runner.wake = lambda _app, _state, ids: woken.extend(ids)  # type: ignore[method-assign]
        decide(erik, erik.get(URL), "add", "beach", everything="1")
        assert woken == [job.id for job in office.host.jobs()]


def work(office: Office) -> None:
    """Run the jobs that wait."""
    Worker(office.host.app, office.desk.state).drain()


def forget(office: Office, image: str) -> None:
    with office.host.app.app_context():
        office.host.autotag.forget(AssetRef("photo", image), instance="shop")
