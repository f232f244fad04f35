"""The page that explains the tags of an image and changes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from flask_autotag import AssetRef
from flask_autotag.host.assets import TYPE_LENGTH
from flask_autotag.providers.base import DETECTED, GENERAL
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name

from ...hosts import ANIMALS, store_labels
from .conftest import Office, Page, Visitor, open_office

URL = "/autotag/explain/shop?type=photo&id=1"
EDIT_URL = "/autotag/edit/shop"
COMPLETE_URL = "/autotag/complete/shop"


@pytest.fixture
def office(sqlite_url: str) -> Iterator[Office]:
    config = {"AUTOTAG_SUGGESTION_THRESHOLD": 0.2, "AUTOTAG_MAX_TAGS": 2}
    with open_office(sqlite_url, **config) as made:
        made.store("1", ("dog", 0.9), ("wolf", 0.41), ("cat", 0.05), ("x" * 101, 0.9))
        yield made


def press(visitor: Visitor, name: str, tag: str, page: Page | None = None) -> Page:
    """Press a button of the page, or fill in its field."""
    page = page or visitor.get(URL)
    for form in page.soup.select(f'form[action="{EDIT_URL}"]'):
        fits = [
            one
            for one in form.select(f'[name="{name}"]')
            if one.get("value") in (None, "", tag)
        ]
        if fits:
            data = {
                str(field["name"]): str(field["value"])
                for field in form.select("input[type=hidden]")
            }
            answer = visitor.send(EDIT_URL, Page(200, "", None), **data, **{name: tag})
            return visitor.get(answer.location) if answer.location else answer
    raise AssertionError(f"no button {name} for {tag}")


def rows(page: Page, section: str) -> list[str]:
    return page.texts(f"[aria-labelledby=autotag-{section}] li > span:first-child")


def test_every_label_and_what_became_of_it(erik: Visitor) -> None:
    page = erik.get(URL)
    assert page.text("h1") == "photo 1"
    assert page.text("caption") == "TensorFlow Image Auto Tagging model 1"
    outcomes = {
        str(row.select("th")[0].get_text()): str(row.select("td")[1].get_text())
        for row in page.soup.select("tbody tr")
    }
    assert outcomes == {
        "dog": "0.90, reaches 0.50",
        "wolf": "0.41, below 0.50; suggested for review",
        "cat": "0.05, below 0.50",
        "x" * 101: "not a valid tag name",
    }
    assert page.text("[aria-labelledby=autotag-said] > p").startswith(
        "Last classified: 20"
    )


def test_buttons_and_the_field_apply_the_rules_again(
    office: Office, erik: Visitor
) -> None:
    with office.host.app.app_context():
        labels = [("dog", 0.9), ("animal", 0.65), ("wolf", 0.41)]
        photo = AssetRef("photo", "1")
        store_labels(office.host, photo, labels, "shop", concepts=ANIMALS)
    press(erik, "remove", "dog")
    assert office.tags("1") == {"animal": "tensorflow"}
    press(erik, "accept", "wolf")
    press(erik, "add", "Rex")
    page = erik.get(URL)
    assert office.tags("1") == {"Rex": "erik", "wolf": "erik"}
    assert "over the maximum of 2" in page.texts("tbody td")


@pytest.mark.parametrize(
    ("confidence", "threshold", "outcome"),
    [
        (0.596, 0.6, "0.596, below 0.60"),
        (0.5996, 0.6, "0.5996, below 0.60"),
        (0.596, 0.597, "0.596, below 0.597"),
        (0.59, 0.6, "0.59, below 0.60"),
        (0.6, 0.6, "0.60, reaches 0.60"),
        (0.604, 0.6, "0.60, reaches 0.60"),
    ],
)
def test_figures_tell_which_is_smaller(
    office: Office, erik: Visitor, confidence: float, threshold: float, outcome: str
) -> None:
    office.desk.save({("tensorflow", "confidence_threshold"): threshold}, "shop")
    office.store("2", ("snake", confidence))
    page = erik.get(URL.replace("id=1", "id=2"))
    assert page.text("[data-outcome]").partition(";")[0] == outcome


def test_tags_and_who_said_them(office: Office, erik: Visitor) -> None:
    with office.host.app.app_context():
        photo = AssetRef("photo", "1")
        office.host.autotag.add_tag(photo, "Rex", instance="shop", person="nora")
        office.host.autotag.reject_tag(photo, "wolf", instance="shop", person="sam")
    page = erik.get(URL)
    assert [row.split(" 20")[0] for row in rows(page, "tags")] == [
        "Rex by nora,",
        "dog 0.90, TensorFlow Image Auto Tagging (model 1),",
    ]
    decided = rows(page, "decided")
    assert [row.split(" 20")[0] for row in decided] == [
        "Rex accepted or added by nora,",
        "wolf rejected or removed by sam,",
    ]
    assert decided[1].endswith(
        "UTC; TensorFlow Image Auto Tagging had returned it with 0.41"
    )
    assert "rejected by a person" in page.texts("[data-outcome]")


def test_nobody_knows_who(office: Office, erik: Visitor) -> None:
    office.host.autotag.user_namer(lambda: None)
    assert press(erik, "add", "Rex").text(".at-notice") == "“Rex” was added."
    [tag, _] = rows(erik.get(URL), "tags")
    assert tag.startswith("Rex by a person,")


def test_a_word_that_is_called_otherwise(office: Office, erik: Visitor) -> None:
    with office.host.app.app_context(), office.desk.state.database.begin() as session:
        words: Any = {tag_name("wolf"): {"becomes": "hound"}}
        change_words(session, office.host.models, "shop", words, "ada")
    assert "wolf called hound" in erik.get(URL).texts("tbody th")


@pytest.mark.parametrize(
    ("name", "tag", "sentence", "state", "decided"),
    [
        ("add", "  Rex ", "“Rex” was added.", "applied", "Rex"),
        ("remove", "dog", "“dog” was removed.", "rejected", "dog"),
        ("accept", "wolf", "“wolf” was accepted.", "applied", "wolf"),
        ("reject", "wolf", "“wolf” was rejected.", "rejected", "wolf"),
    ],
)
def test_deciding(
    office: Office,
    erik: Visitor,
    name: str,
    tag: str,
    sentence: str,
    state: str,
    decided: str,
) -> None:
    page = press(erik, name, tag)
    assert page.status == 200
    assert page.text(".at-notice") == sentence
    assert office.tags("1", state)[decided] == "erik"


def test_what_was_removed_is_added_again(office: Office, erik: Visitor) -> None:
    page = press(erik, "remove", "dog")
    assert press(erik, "add", "dog", page).text(".at-notice") == "“dog” was added."
    assert office.tags("1")["dog"] == "erik"


@pytest.mark.parametrize(
    ("name", "tag", "sentence"),
    [
        ("accept", "wolf", "“wolf” is no longer suggested for this image."),
        ("reject", "wolf", "“wolf” is no longer suggested for this image."),
        ("remove", "dog", "“dog” is no longer a tag of this image."),
    ],
)
def test_what_somebody_else_decided_meanwhile_stays(
    office: Office, erik: Visitor, name: str, tag: str, sentence: str
) -> None:
    old = erik.get(URL)
    with office.host.app.app_context():
        photo = AssetRef("photo", "1")
        office.host.autotag.reject_tag(photo, tag, instance="shop", person="ada")
    page = press(erik, name, tag, old)
    assert page.status == 409
    assert page.text(".at-alert") == sentence
    assert office.tags("1", "rejected")[tag] == "ada"


@pytest.mark.parametrize("name", ["accept", "reject"])
def test_a_tag_of_the_image_is_no_suggestion(
    office: Office, erik: Visitor, name: str
) -> None:
    old = erik.get(URL)
    with office.host.app.app_context():
        photo = AssetRef("photo", "1")
        office.host.autotag.accept_tag(photo, "wolf", instance="shop", person="ada")
    page = press(erik, name, "wolf", old)
    assert page.status == 409
    assert page.text(".at-alert") == (
        "“wolf” is already a tag of this image and no longer a suggestion. Remove the"
        " tag if it is wrong."
    )
    assert office.tags("1")["wolf"] == "ada"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "Type a tag first."),
        ("  ", "Type a tag first."),
        ("\u200b", "The name of a tag must have 1 to 100 characters."),
        ("x" * 101, "The name of a tag must have 1 to 100 characters."),
    ],
)
def test_what_can_be_no_tag(
    office: Office, erik: Visitor, name: str, sentence: str
) -> None:
    page = press(erik, "add", name)
    assert page.status == 422
    assert page.text(".at-alert") == sentence
    assert list(office.tags("1")) == ["dog"]


TOO_LONG = "x" * (TYPE_LENGTH + 1)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("type=photo&id=7", "The shop does not know photo 7: it has not been"),
        ("type=photo&id=%00", "This address does not name an image."),
        ("type=photo", "This address does not name an image."),
        (
            f"type={'x' * (TYPE_LENGTH + 1)}&id=1",
            "This address does not name an image.",
        ),
        ("", "This address does not name an image."),
    ],
)
def test_an_image_that_nobody_knows(erik: Visitor, query: str, sentence: str) -> None:
    page = erik.get(f"/autotag/explain/shop?{query}")
    assert page.status == 404
    assert sentence in page.html


def test_an_image_of_another_instance(office: Office) -> None:
    page = office.visitor("ada").get("/autotag/explain/news?type=photo&id=1")
    assert page.status == 404


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "It could not be classified. It is gone. It was tried once."),
        (
            {"failures": 4},
            "It could not be classified. It is gone. It was tried 5 times.",
        ),
        (
            {"state": "queued", "finished_at": None, "error_text": None},
            "It is waiting to be classified.",
        ),
        (
            {"state": "quarantined", "crashes": 3},
            "It is in quarantine: it crashed the process that classified it several"
            " times, and is not tried again until somebody retries it. It is gone. It"
            " was tried 3 times.",
        ),
        ({"state": "done"}, None),
    ],
)
def test_an_image_without_tags_tells_of_its_job(
    office: Office, ada: Visitor, values: dict[str, Any], told: str | None
) -> None:
    office.fail(asset_id="41", error_text="Older.")
    office.fail(asset_id="41", **values)
    page = ada.get(URL.replace("id=1", "id=41"))
    assert page.status == 200
    found = page.texts("[aria-labelledby=autotag-job] > p")
    assert [one.partition(" 20")[0] for one in found] == (
        [] if told is None else [told, "Activity"]
    )
    assert "It has no tags." in page.html


def test_only_who_may_look_at_activity_is_led_there(
    office: Office, erik: Visitor
) -> None:
    office.fail(asset_id="1")
    page = erik.get(URL)
    assert page.text("[aria-labelledby=autotag-job] > p").startswith("It could not")
    assert page.soup.select("[aria-labelledby=autotag-job] a") == []


class TestForms:
    """Forms on pages of the host, which name the image by a signed text."""

    def send(self, visitor: Visitor, **fields: Any) -> Page:
        return visitor.send(EDIT_URL, Page(200, "", None), **fields)

    def test_it_leads_back(self, office: Office, erik: Visitor) -> None:
        image = office.signed("1")
        page = self.send(erik, image=image, add="a", next="/photos/1?tag=a&b=c")
        assert (page.status, page.location) == (303, "/photos/1?tag=a&b=c")

    @pytest.mark.parametrize(
        "target",
        [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "\\/evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "photos/1",
            "",
            None,
        ],
    )
    def test_it_leads_nowhere_else(
        self, office: Office, erik: Visitor, target: str | None
    ) -> None:
        page = self.send(erik, image=office.signed("1"), add="a", next=target)
        assert page.status == 303
        parts = urlsplit(page.location or "")
        assert (parts.netloc, parts.path) == ("", "/autotag/explain/shop")
        assert parse_qs(parts.query)["id"] == ["1"]

    def test_no_other_image_can_be_put_in_its_place(
        self, office: Office, erik: Visitor
    ) -> None:
        """The user may not see the image, or it belongs to another instance."""
        for image in ("photo 1", "", office.signed("1", "news"), "x.y"):
            page = self.send(erik, image=image, add="mine")
            assert page.status == 400
            assert "The form is incomplete. Reload the page" in page.html
        assert "mine" not in office.tags("1") | office.tags("1", instance="news")

    def test_an_old_secret_is_still_good(self, office: Office, erik: Visitor) -> None:
        image, config = office.signed("1"), office.host.app.config
        config["SECRET_KEY_FALLBACKS"] = [config["SECRET_KEY"]]
        config["SECRET_KEY"] = "a newer one"
        assert self.send(erik, image=image, add="a").status == 303
        config["SECRET_KEY_FALLBACKS"] = None
        assert self.send(erik, image=image, add="a").status == 400

    def test_an_image_that_was_never_tagged(
        self, office: Office, erik: Visitor
    ) -> None:
        image = office.signed("77")
        assert self.send(erik, image=image, add="Rex").status == 303
        assert office.tags("77") == {"Rex": "erik"}
        page = self.send(erik, image=office.signed("78"), remove="Rex")
        assert page.status == 409
        assert "No provider has returned labels for this image." in page.html

    def test_what_went_wrong_is_told_with_a_way_back(
        self, office: Office, erik: Visitor
    ) -> None:
        page = self.send(erik, image=office.signed("1"), add=" ", next="/photos/1")
        assert page.status == 422
        back = page.one("a[href='/photos/1']")
        assert back.get_text() == "Back to the previous page"

    def test_no_button(self, office: Office, erik: Visitor) -> None:
        page = self.send(erik, image=office.signed("1"), colour="red")
        assert page.status == 400


class TestScripts:
    """The requests of ``field.js``."""

    JSON = {"Accept": "application/json", "X-User": "erik"}

    def send(self, office: Office, **fields: str) -> Any:
        client = office.host.app.test_client()
        data = {"image": office.signed("1"), **fields}
        return client.post(EDIT_URL, data=data, headers=self.JSON)

    def test_it_gets_what_changed(self, office: Office) -> None:
        response = self.send(office, accept="wolf", next="/photos/1")
        assert response.status_code == 200
        assert response.json["message"] == "“wolf” was accepted."
        parts = response.json["parts"]
        assert 'aria-label="Remove wolf"' in parts["field"]
        assert 'value="/photos/1"' in parts["field"]
        assert "wolf" not in parts["strip"]

    def test_it_is_told_what_went_wrong(self, office: Office) -> None:
        response = self.send(office, add=" ")
        assert response.status_code == 422
        assert response.json["error"] == "Type a tag first."
        assert 'aria-label="Accept wolf"' in response.json["parts"]["strip"]

    @pytest.mark.parametrize(
        ("typed", "words"),
        [
            ("d", ["dog", "Dormouse"]),
            (" DO", ["dog", "Dormouse"]),
            ("dor", ["Dormouse"]),
            ("w", ["hound"]),
            ("c", []),
            ("%", []),
            ("", []),
            ("x" * 300, []),
        ],
    )
    def test_words_are_completed(
        self, office: Office, typed: str, words: list[str]
    ) -> None:
        office.store("2", ("Dormouse", 0.9), ("cat", 0.9))
        with office.host.app.app_context():
            decided: Any = {
                tag_name("wolf"): {"becomes": "hound"},
                tag_name("cat"): {"blocked": True},
            }
            with office.desk.state.database.begin() as session:
                change_words(session, office.host.models, "shop", decided, "ada")
        client = office.host.app.test_client()
        answer = client.get(COMPLETE_URL, query_string={"q": typed}, headers=self.JSON)
        assert answer.json == {"words": words}
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_parts_of_the_model(office: Office, erik: Visitor) -> None:
    with office.host.app.app_context():
        store_labels(
            office.host,
            AssetRef("photo", "1"),
            [("dog", 0.9), ("animal", 0.8), ("sky", 0.7)],
            "shop",
            concepts=ANIMALS,
            parts={"dog": DETECTED, "sky": GENERAL},
        )
    page = erik.get(URL)
    assert [" ".join(text.split()) for text in page.texts("tbody th")] == [
        "dog detected",
        "animal broader",
        "sky general",
    ]


def test_tags_are_pinned_to_the_front(sqlite_url: str) -> None:
    with open_office(sqlite_url) as office:
        office.store("1", ("dog", 0.9), ("grass", 0.8), ("ball", 0.7))
        erik = office.visitor("erik")

        def press(button: str, tag: str) -> Page:
            form, image = Page(200, "", None), office.signed("1")
            return erik.send("/autotag/edit/shop", form, image=image, **{button: tag})

        assert press("pin", "ball").status == 303
        page = erik.get(press("pin", "grass").location or "")
        assert page.text(".at-notice") == "“grass” was pinned to the front."
        assert [*office.tags("1")] == ["grass", "ball", "dog"]
        buttons = [one["aria-label"] for one in page.soup.select("[name*=pin]")]
        assert buttons == ["Unpin grass", "Unpin ball", "Pin dog to the front"]
        page = erik.get(press("unpin", "grass").location or "")
        assert page.text(".at-notice") == "“grass” is no longer pinned."
        assert [*office.tags("1")] == ["ball", "grass", "dog"]
        page = press("pin", "fox")
        assert page.status == 409
        assert page.text(".at-alert") == "“fox” is no longer a tag of this image."
