"""The page of review: suggestions, tag by tag."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_autotag import AssetRef
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.web.admin.review import review_page

from ...hosts import ANIMALS, store_labels
from .conftest import SHOP_URL, Office, Page, Visitor, open_office

URL = "/autotag/review/shop"
DOG, CAT = f"{URL}?tag=dog", f"{URL}?tag=cat"


@pytest.fixture
def office(sqlite_url: str) -> Iterator[Office]:
    """Three photos that may show a dog, two of them a cat."""
    with open_office(sqlite_url, AUTOTAG_SUGGESTION_THRESHOLD=0.2) as made:
        made.store("1", ("grass", 0.9), ("Dog", 0.4))
        made.store("2", ("cat", 0.45), ("Dog", 0.3))
        made.store("3", ("Dog", 0.354), ("cat", 0.25))
        made.store("4", ("Dog", 0.3), instance="news")
        yield made


def cards(page: Page) -> list[str]:
    """The photos on a page."""
    return page.texts("[data-card] strong")


def decide(
    office: Office, visitor: Visitor, page: Page | str = DOG, /, **choices: str
) -> Page:
    """Choose for photos, such as ``_1="accept"``, and press a button."""
    if isinstance(page, str):
        page = visitor.get(page)
    command = choices.pop("command", "save")
    typed = {f"image.{office.row(name[1:])}": value for name, value in choices.items()}
    answer = visitor.send(URL, page, command=command, **typed)
    return visitor.get(answer.location) if answer.location else answer


def undo(visitor: Visitor, page: Page) -> Page:
    fields = {
        str(field["name"]): str(field["value"])
        for field in page.soup.select(".at-undo input")
    }
    answer = visitor.send(URL, Page(200, "", None), command="undo", **fields)
    return visitor.get(answer.location) if answer.location else answer


def notice(page: Page) -> str:
    return page.text(".at-notice")


def test_tags_with_most_suggestions_come_first(erik: Visitor) -> None:
    page = erik.get(URL)
    assert page.texts(".at-compact li") == ["Dog 3 images", "cat 2 images"]
    assert [link["href"] for link in page.soup.select(".at-list-link")] == [DOG, CAT]


def test_more_tags_than_a_page_has(
    erik: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_page, "_TAGS", 1)
    page = erik.get(URL)
    assert page.texts(".at-list-link") == ["Dog"]
    assert page.texts(".at-steps a") == ["Less often suggested"]
    page = erik.get(str(page.one("[rel=next]")["href"]))
    assert page.texts(".at-list-link") == ["cat"]
    assert page.one("[rel=prev]")["href"] == f"{URL}?page=1"
    assert "There are no more tags." in erik.get(f"{URL}?page=3").html


@pytest.mark.parametrize("number", ["-1", "0", "x", "9" * 30])
def test_a_page_that_there_is_not(erik: Visitor, number: str) -> None:
    assert erik.get(f"{URL}?page={number}").status == 200


def test_the_images_of_a_tag(office: Office, erik: Visitor) -> None:
    office.host.autotag.image_url(
        lambda asset: f"/small/{asset.id}" if asset.id != "3" else None
    )
    page = erik.get(DOG)
    assert page.text("h1") == "Dog"
    assert page.text(".at-lead").startswith("Suggested for 3 images.")
    assert page.texts("[data-card] .at-caption") == [
        "photo 3 0.35 TensorFlow Image Auto Tagging",
        "photo 2 0.30 TensorFlow Image Auto Tagging",
        "photo 1 0.40 TensorFlow Image Auto Tagging",
    ]
    pictures = page.soup.select(".at-picture img")
    assert [(one["src"], one["alt"]) for one in pictures] == [
        ("/small/2", "photo 2"),
        ("/small/1", "photo 1"),
    ]
    why = page.one("[data-card] a")
    assert why["href"] == "/autotag/explain/shop?type=photo&id=3"
    assert erik.get(str(why["href"])).status == 200


def test_accepting_and_rejecting(office: Office, erik: Visitor) -> None:
    page = decide(office, erik, _1="accept", _3="reject")
    assert notice(page) == "Accepted 1, rejected 1."
    assert cards(page) == ["photo 2"]
    assert page.text(".at-lead").startswith("Suggested for 1 image.")
    assert office.tags("1") == {"Dog": "erik", "grass": "tensorflow"}
    assert office.tags("3", "rejected") == {"Dog": "erik"}
    assert office.tags("2", "suggested") == {"Dog": "tensorflow", "cat": "tensorflow"}


def test_the_next_tag_follows_one_that_is_done(office: Office, erik: Visitor) -> None:
    page = decide(office, erik, command="accept_rest")
    assert page.text("h1") == "cat"
    assert notice(page) == (
        "Accepted 3, rejected 0. That tag is done. This is the next one."
    )
    page = decide(office, erik, page, command="reject_rest")
    assert page.text("h1") == "Review"
    assert notice(page) == "Accepted 0, rejected 2."
    assert "There is nothing to review: there are no suggestions." in page.html


def test_the_rest_is_what_was_not_chosen(office: Office, erik: Visitor) -> None:
    page = decide(office, erik, _2="reject", command="accept_rest")
    assert notice(page).startswith("Accepted 2, rejected 1.")
    assert office.tags("2", "rejected") == {"Dog": "erik"}


def test_nothing_chosen(office: Office, erik: Visitor) -> None:
    page = decide(office, erik)
    assert page.status == 422
    assert page.text(".at-alert") == "Choose for at least one image, then save."
    assert cards(page) == ["photo 3", "photo 2", "photo 1"]


def test_what_others_decided_meanwhile_is_left(office: Office, erik: Visitor) -> None:
    old = erik.get(DOG)
    decide(office, office.visitor("ada"), _1="reject")
    page = decide(office, erik, old, _1="accept", _2="accept")
    assert notice(page) == (
        "Accepted 1, rejected 0. 1 image was left unchanged: somebody decided about it"
        " meanwhile."
    )
    assert office.tags("1", "rejected") == {"Dog": "ada"}
    page = decide(office, erik, old, command="accept_rest")
    assert "Accepted 1, rejected 0. 2 images were left unchanged" in notice(page)


def test_undoing(office: Office, erik: Visitor) -> None:
    page = decide(office, erik, _1="accept", _2="reject", _3="accept")
    assert page.text("h1") == "cat"
    page = undo(erik, page)
    assert (page.text("h1"), notice(page)) == ("Dog", "Restored suggestions: 3.")
    assert cards(page) == ["photo 3", "photo 2", "photo 1"]
    assert page.soup.select(".at-undo") == []
    for photo in "123":
        assert office.tags(photo, "suggested")["Dog"] == "tensorflow"
        assert "Dog" not in office.tags(photo) | office.tags(photo, "rejected")


def test_the_rules_apply_to_the_images_again(office: Office, erik: Visitor) -> None:
    """An accepted tag hides the broader one, a rejected one shows it, until undone."""
    with office.host.app.app_context():
        for photo in "12":
            labels = [("dog", 0.4), ("animal", 0.6)]
            asset = AssetRef("photo", photo)
            store_labels(office.host, asset, labels, "shop", concepts=ANIMALS)
        store_labels(
            office.host,
            AssetRef("photo", "3"),
            [("dog", 0.4), ("animal", 0.3)],
            "shop",
            concepts=ANIMALS,
        )
    page = decide(office, erik, _1="accept", _2="reject", _3="reject")
    assert office.tags("1") == {"Dog": "erik"}
    assert office.tags("2") == {"animal": "tensorflow"}
    assert office.tags("3", "suggested") == {"animal": "tensorflow"}
    undo(erik, page)
    assert office.tags("1") == office.tags("2") == {"animal": "tensorflow"}
    assert office.tags("3", "suggested") == {"Dog": "tensorflow"}


def test_undoing_leaves_what_was_decided_anew(office: Office, erik: Visitor) -> None:
    page = decide(office, erik, _1="accept", _2="accept")
    with office.host.app.app_context():
        photo = AssetRef("photo", "1")
        office.host.autotag.remove_tag(photo, "dog", instance="shop", person="ada")
    page = undo(erik, page)
    assert notice(page) == (
        "Restored suggestions: 1. 1 image was left unchanged: somebody decided about it"
        " meanwhile."
    )
    assert office.tags("1", "rejected") == {"Dog": "ada"}


def test_nobody_undoes_for_others(office: Office, erik: Visitor) -> None:
    page = decide(office, erik, _1="accept")
    page = undo(office.visitor("ada"), page)
    assert notice(page).startswith("Restored suggestions: 0.")
    assert office.tags("1")["Dog"] == "erik"


@pytest.mark.parametrize(
    "query",
    [
        "accepted=1&rejected=&of=dog&since=x&until=x&left=0",
        "accepted=x&rejected=&of=dog&since=&until=&left=0",
        "accepted=1.&rejected=&of=dog&since=&until=&left=0",
        f"accepted={'1.' * 200}1&rejected=&of=dog&since=&until=&left=0",
        "accepted=1&rejected=&of=dog&since=&until=&left=many",
        "accepted=1&rejected=2",
        "undone=x",
    ],
)
def test_an_address_that_makes_no_sense(erik: Visitor, query: str) -> None:
    page = erik.get(f"{DOG}&{query}")
    assert page.status == 200
    assert page.soup.select(".at-notice, .at-undo") == []


def test_images_are_paged(
    office: Office, erik: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_page, "_IMAGES", 2)
    page = erik.get(DOG)
    assert cards(page) == ["photo 3", "photo 2"]
    further = erik.get(str(page.one("[rel=next]")["href"]))
    assert cards(further) == ["photo 1"]
    assert further.texts(".at-steps a") == ["From the beginning"]
    # Skipped images are shown again after the last one.
    page = decide(office, erik, further, _1="accept")
    assert cards(page) == ["photo 3", "photo 2"]
    assert page.soup.select(".at-steps a") == []


def test_the_place_among_the_pages_stays(
    office: Office, erik: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_page, "_IMAGES", 1)
    second = erik.get(str(erik.get(DOG).one("[rel=next]")["href"]))
    assert cards(second) == ["photo 2"]
    assert cards(decide(office, erik, second, _2="accept")) == ["photo 1"]


def test_a_tag_that_is_suggested_nowhere(erik: Visitor) -> None:
    for name in ("whale", "", "x" * 400, "a/b", "%00"):
        page = erik.get(f"{URL}?tag={name}")
        assert page.status == 200
        assert "It is no longer suggested for any image." in page.html


def test_an_instance_sees_its_own(office: Office) -> None:
    page = office.visitor("ada").get("/autotag/review/news?tag=dog")
    assert cards(page) == ["photo 4"]
    with pytest.raises(AssertionError, match="no row"):
        office.row("4")


def test_an_image_of_another_instance_is_left(office: Office, erik: Visitor) -> None:
    row = office.row("4", "news")
    answer = erik.send(URL, erik.get(DOG), command="save", **{f"image.{row}": "accept"})
    page = erik.get(answer.location or "")
    assert notice(page).startswith("Accepted 0, rejected 0. 1 image was left")
    assert office.tags("4", "suggested", "news") == {"Dog": "tensorflow"}


def test_a_word_that_was_renamed_meanwhile(office: Office, erik: Visitor) -> None:
    old = erik.get(DOG)
    with office.host.app.app_context(), office.desk.state.database.begin() as session:
        words = {tag_name("dog"): {"becomes": "hound"}}
        change_words(session, office.host.models, "shop", words, "ada")
    page = decide(office, erik, old, _1="accept")
    assert notice(page) == "Accepted 1, rejected 0."
    assert page.soup.select(".at-undo") == []
    assert office.tags("1")["hound"] == "erik"
    assert cards(page) == ["photo 3", "photo 2"]


class TestWithoutSuggestions:
    @pytest.fixture
    def office(self, sqlite_url: str) -> Iterator[Office]:
        with open_office(sqlite_url) as made:
            made.store("1", ("Dog", 0.4))
            yield made

    def test_who_may_is_led_to_the_threshold(self, office: Office) -> None:
        page = office.visitor("ada").get(URL)
        assert page.text(".at-empty") == (
            "Nothing is suggested here: the suggestion threshold is 1. Set a lower one"
        )
        path, _, anchor = str(page.one(".at-empty a")["href"]).partition("#")
        assert path == SHOP_URL
        assert office.visitor("ada").get(path).one(f"#{anchor}").name == "input"

    def test_an_editor_is_told_who_can(self, erik: Visitor) -> None:
        assert (
            erik.get(URL)
            .text(".at-empty")
            .endswith("An administrator of this instance can set a lower one.")
        )


@pytest.mark.parametrize(
    "form",
    [
        {"image.x": "accept"},
        {"image.-1": "accept"},
        {"image.": "accept"},
        {"image.²": "accept"},
        {"image.1": "perhaps"},
        {f"image.{'9' * 30}": "accept"},
        {f"image.{number}": "accept" for number in range(1, 30)},
        {"command": "undo"},
        {"command": "undo", "of": "dog", "accepted": "1", "rejected": "", "left": "0"},
    ],
)
def test_a_form_that_is_not_ours(
    office: Office, erik: Visitor, form: dict[str, str]
) -> None:
    page = erik.send(URL, Page(200, "", None), tag="dog", **form)
    assert page.status == 400
    assert "The form is incomplete. Reload the page and try again." in page.html
    assert office.tags("1", "suggested") == {"Dog": "tensorflow"}


def test_a_button_that_is_not_ours(erik: Visitor) -> None:
    page = erik.send(URL, Page(200, "", None), tag="dog", command="explode")
    assert page.status == 400
    assert "The form has a button that does not belong to it." in page.html


class TestTokens:
    @pytest.fixture
    def office(self, sqlite_url: str) -> Iterator[Office]:
        config = {"AUTOTAG_SUGGESTION_THRESHOLD": 0.2, "WTF_CSRF_ENABLED": True}
        with open_office(sqlite_url, **config) as made:
            made.store("1", ("Dog", 0.4))
            made.store("2", ("Dog", 0.3))
            yield made

    def test_a_form_without_its_token_is_shown_again(
        self, office: Office, erik: Visitor
    ) -> None:
        row = office.row("1")
        page = erik.send(
            URL, erik.get(DOG), csrf_token="forged", **{f"image.{row}": "reject"}
        )
        assert page.status == 400
        assert page.text(".at-alert") == (
            "The form was too old to be trusted. Send it again."
        )
        chosen = page.one(f'[name="image.{row}"][checked]')
        assert chosen["value"] == "reject"
        assert office.tags("1", "suggested") == {"Dog": "tensorflow"}
        assert notice(decide(office, erik, page, _1="reject")).startswith("Accepted 0")

    def test_undoing_takes_a_token(self, office: Office, erik: Visitor) -> None:
        page = decide(office, erik, _1="accept")
        marks = {
            str(field["name"]): str(field["value"])
            for field in page.soup.select(".at-undo input")
        }
        marks["csrf_token"] = "forged"
        refused = erik.send(URL, Page(200, "", None), command="undo", **marks)
        assert refused.status == 400
        assert office.tags("1") == {"Dog": "erik"}
        assert notice(undo(erik, page)) == "Restored suggestions: 1."

    def test_without_a_secret_key_nothing_is_offered(
        self, office: Office, erik: Visitor
    ) -> None:
        office.host.app.config["SECRET_KEY"] = None
        page = erik.get(DOG)
        assert page.text(".at-alert").startswith("Nothing can be changed here:")
        assert page.soup.select("button") == []
        row = office.row("1")
        refused = erik.send(URL, page, **{f"image.{row}": "accept"})
        assert refused.status == 400
        assert refused.text(".at-alert") == page.text(".at-alert")
        assert office.tags("1", "suggested") == {"Dog": "tensorflow"}


def test_hidden_fields_of_the_host(office: Office, erik: Visitor) -> None:
    office.host.autotag.hidden_fields(lambda: {"_token": "<&>"})
    page = erik.get(DOG)
    assert page.one('[data-review] [name="_token"]')["value"] == "<&>"
    page = decide(office, erik, page, _1="accept")
    assert page.one('.at-undo [name="_token"]')["value"] == "<&>"
