"""The page of one tag: decisions, and their effect on images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flask_autotag import AssetRef
from flask_autotag.host.assets import SYSTEM
from flask_autotag.settings.stored_words import read_words
from flask_autotag.settings.vocabulary import WordRule

from ...hosts import store_labels
from ...jobs.test_reapply_job import drain
from .conftest import Office, Page, Visitor, open_office

SAVED = "Saved. Existing images are being updated in the background."
MEND = {
    "save": "Nothing was saved. Correct the marked fields, then save again.",
    "preview": "Nothing was computed. Correct the marked fields, then try again.",
}
BLOCKED, LISTED, THRESHOLD = (
    "setting.blocked",
    "setting.listed",
    "setting.threshold",
)


def url(key: str, instance: str | None = "shop") -> str:
    place = "system/tag" if instance is None else f"tag/{instance}"
    return f"/autotag/{place}?key={key}"


def photo(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


def fill(office: Office) -> None:
    """Three photos of the shop with a dog, one of them with an animal; one of news."""
    with office.host.app.app_context():
        for number, labels in enumerate(
            [
                [("dog", 0.9)],
                [("dog", 0.6)],
                [("dog", 0.9), ("animal", 0.8)],
            ]
        ):
            store_labels(office.host, photo(number), labels, "shop")
        store_labels(office.host, photo(9), [("dog", 0.9)], "news")


def tags(office: Office, number: int, instance: str = "shop") -> list[str]:
    """The tags of a photo, once the jobs are done."""
    drain(office.host)
    with office.host.app.app_context():
        found = office.host.autotag.tags_for(photo(number), instance)
        return sorted(tag.name for tag in found)


def words(office: Office, instance: str = "shop") -> dict[str, WordRule]:
    with office.host.app.app_context(), office.desk.state.database.begin() as session:
        return read_words(session, office.host.models, [instance])[instance]


@pytest.fixture
def filled(office: Office) -> Office:
    fill(office)
    return office


@pytest.fixture
def any_office(host_database_url: str) -> Iterator[Office]:
    """The host on each kind of database."""
    with open_office(host_database_url) as made:
        fill(made)
        yield made


def save(visitor: Visitor, act: str, key: str = "dog", **typed: Any) -> Page:
    """Press a button and follow its redirects."""
    instance = typed.pop("instance", "shop")
    page = visitor.send(url(key, instance), save=act, **typed)
    while page.location is not None:
        page = visitor.get(page.location)
    return page


def test_a_save_while_tagging_is_off_says_that_tags_stay(
    filled: Office, mia: Visitor
) -> None:
    filled.desk.save({("", "enabled"): False}, "shop")
    page = save(mia, "rename", name="hound")
    assert page.texts(".at-notice")[:2] == [
        SAVED,
        "Where auto tagging or every provider is off, existing images keep the tags of"
        " providers.",
    ]


def ask(visitor: Visitor, act: str, key: str = "dog", **typed: Any) -> Page:
    """Press "What would change?"."""
    page = visitor.send(url(key, typed.pop("instance", "shop")), preview=act, **typed)
    assert page.status == 200
    return page


def figures(page: Page) -> list[int]:
    return [int(text) for text in page.texts(".at-figures dd")]


def test_what_a_page_tells(filled: Office, mia: Visitor) -> None:
    with filled.host.app.app_context():
        filled.host.autotag.reject_tag(photo(0), "dog", instance="shop", person="mia")
    page = mia.get(url("DOG"))
    assert page.text("h1") == "dog"
    assert page.text(".at-lead") == "On 2 images. Rejected on 1."
    assert page.texts("h2") == [
        "Rename",
        "Merge into another tag",
        "Other words for it",
        "Rules",
        "Delete",
    ]
    assert page.soup.select("#autotag-names option[value=animal]")


def test_pictures_are_the_hosts(filled: Office, mia: Visitor) -> None:
    assert mia.get(url("dog")).soup.select(".at-pictures img") == []
    filled.host.autotag.image_url(
        lambda asset: None if asset.id == "1" else f"/pictures/{asset.id}"
    )
    page = mia.get(url("dog"))
    found = [(img["src"], img["alt"]) for img in page.soup.select(".at-pictures img")]
    assert found == [("/pictures/2", "photo 2"), ("/pictures/0", "photo 0")]


def test_a_word_that_nobody_knows_has_a_page(mia: Visitor) -> None:
    page = mia.get(url("Whale"))
    assert (page.text("h1"), page.text(".at-lead")) == ("Whale", "On 0 images.")
    for key in ("", "%00", "x" * 101):
        page = mia.get(url(key))
        assert page.status == 404
        assert "There is no tag of this name." in page.html


def test_what_was_decided_and_by_whom(filled: Office, ada: Visitor) -> None:
    save(ada, "rules", instance=None, **{BLOCKED: "on"})
    save(ada, "rules", **{BLOCKED: "off", THRESHOLD: "0.8"})
    page = ada.get(url("dog"))
    assert "Here: allowed, needs 0.80. System: blocked." in page.html
    told = page.texts(".at-hint")
    assert any(text.startswith("Last decision here by ada, 2") for text in told)
    assert any(
        text.startswith("Last decision for the system by ada, 2") for text in told
    )
    assert page.notes(BLOCKED) == "Set here. System: on."
    assert page.notes(THRESHOLD) == "Set here. Default: not set."


class TestRename:
    def test_on_existing_images(self, any_office: Office) -> None:
        mia = any_office.visitor("mia")
        page = save(mia, "rename", name="Hound")
        assert page.text("h1") == "Hound"
        assert page.texts(".at-notice") == [SAVED, "dog is now called Hound."]
        assert tags(any_office, 0) == ["Hound"]
        assert tags(any_office, 9, "news") == ["dog"]
        assert words(any_office) == {"dog": WordRule(becomes="Hound")}

    def test_the_old_address_leads_to_the_new_name(
        self, filled: Office, mia: Visitor
    ) -> None:
        save(mia, "rename", name="Hound")
        page = mia.get(url("Dog"))
        assert (page.status, page.location) == (302, f"{url('hound')}&was=dog")
        for claimed in ("hound", "whale", "", "x" * 101):
            page = mia.get(f"{url('hound')}&was={claimed}")
            assert page.texts(".at-notice") == []

    def test_only_the_spelling(self, filled: Office, mia: Visitor) -> None:
        page = save(mia, "rename", name="DOG")
        assert page.text("h1") == "DOG"
        assert tags(filled, 0) == ["DOG"]
        page = save(mia, "unname")
        assert words(filled) == {}

    def test_and_back(self, filled: Office, mia: Visitor) -> None:
        save(mia, "rename", name="Hound")
        tags(filled, 0)
        page = save(mia, "rename", "hound", name="dog")
        assert page.text("h1") == "dog"
        assert tags(filled, 0) == ["dog"]
        assert words(filled) == {"hound": WordRule(becomes="dog")}

    def test_what_would_change(self, filled: Office, mia: Visitor) -> None:
        page = ask(mia, "rename", name="Hound")
        assert figures(page) == [3, 3, 3, 3]
        assert "dog becomes Hound. Images with dog: 3." in page.html
        assert page.fields["name"] == "Hound"
        assert words(filled) == {}
        assert filled.host.jobs() == []
        assert "even without this" not in page.html

    def test_what_was_saved_and_not_applied_comes_along(
        self, filled: Office, mia: Visitor
    ) -> None:
        filled.desk.save({("tensorflow", "confidence_threshold"): 0.7}, "shop")
        page = ask(mia, "rename", name="Hound")
        assert figures(page) == [2, 2, 3, 3]
        assert (
            "Images that would change even without this: 1. Earlier settings or words"
            " were saved but not applied to them; saving this applies those too."
        ) in page.html
        save(mia, "rename", name="Hound")
        assert tags(filled, 1) == []
        assert "even without this" not in ask(mia, "rename", "hound", name="dog").html

    @pytest.mark.parametrize(
        ("typed", "message"),
        [
            ("", "must be a name of 1 to 100 characters, not ''."),
            ("x" * 101, "must be a name of 1 to 100 characters, not 'xxx"),
            ("dog", "is already its name."),
            ("Animal", "is another tag: merge into it below if both mean the same."),
        ],
    )
    @pytest.mark.parametrize("button", ["save", "preview"])
    def test_what_is_no_new_name(
        self, filled: Office, mia: Visitor, typed: str, message: str, button: str
    ) -> None:
        page = mia.send(url("dog"), **{button: "rename"}, name=typed)
        assert page.status == 422
        assert page.text(".at-alert") == MEND[button]
        assert page.error("name").startswith(f"New name {message}")
        assert page.one(".at-errors a")["href"] == "#autotag-name"
        assert page.fields["name"] == (typed or "dog")
        assert page.fields["into"] == ("Animal" if typed == "Animal" else "")
        assert words(filled) == {}
        assert filled.host.jobs() == []


class TestMerge:
    def test_on_existing_images(self, any_office: Office) -> None:
        with any_office.host.app.app_context():
            autotag = any_office.host.autotag
            autotag.add_tag(photo(0), "dog", instance="shop", person="mia")
        mia = any_office.visitor("mia")
        page = save(mia, "merge", into="ANIMAL")
        assert page.text("h1") == "animal"
        assert [tags(any_office, number) for number in range(3)] == [["animal"]] * 3
        assert words(any_office) == {"dog": WordRule(becomes="animal")}

    def test_it_says_what_it_is(self, filled: Office, mia: Visitor) -> None:
        page = ask(mia, "merge", into="animal")
        assert page.text(".at-result p") == (
            "This is a merge: only animal will remain. Images with dog: 3; with"
            " animal: 1."
        )
        assert figures(page) == [2, 2, 3, 3]

    @pytest.mark.parametrize(
        ("typed", "message"),
        [
            ("", "must be a name of 1 to 100 characters, not ''."),
            ("Dog", "is this tag, or another word for it."),
            ("hund", "is this tag, or another word for it."),
            ("whale", "is not a tag yet: rename this tag above instead."),
        ],
    )
    def test_what_it_cannot_be_merged_into(
        self, filled: Office, mia: Visitor, typed: str, message: str
    ) -> None:
        save(mia, "alias", alias="hund")
        page = mia.send(url("dog"), save="merge", into=typed)
        assert (page.status, page.error("into")) == (422, f"Other tag {message}")
        assert page.fields["into"] == typed
        assert set(words(filled)) == {"hund"}

    def test_into_what_is_called_otherwise(self, filled: Office, mia: Visitor) -> None:
        save(mia, "rename", "animal", name="Creature")
        assert save(mia, "merge", into="animal").text("h1") == "Creature"
        assert tags(filled, 2) == ["Creature"]


class TestAliases:
    def test_added_and_taken_back(self, any_office: Office) -> None:
        mia = any_office.visitor("mia")
        page = save(mia, "alias", "animal", alias="Dog")
        assert page.texts(".at-offers strong") == ["dog"]
        assert tags(any_office, 0) == ["animal"]
        page = save(mia, "unalias", "animal", alias_key="dog")
        assert page.texts(".at-offers strong") == []
        assert tags(any_office, 0) == ["dog"]
        assert words(any_office) == {}

    def test_one_of_the_system_does_not_hold_here(
        self, filled: Office, ada: Visitor
    ) -> None:
        save(ada, "rename", "dog", instance=None, name="animal")
        assert (tags(filled, 0), tags(filled, 9, "news")) == (["animal"], ["animal"])
        page = ada.get(url("animal"))
        assert page.text(".at-offers li") == "dog by the system Remove"
        save(ada, "unalias", "animal", alias_key="dog")
        assert words(filled) == {"dog": WordRule(becomes="dog")}
        assert (tags(filled, 0), tags(filled, 9, "news")) == (["dog"], ["animal"])
        save(ada, "unname", "dog")
        assert tags(filled, 0) == ["animal"]

    def test_in_two_steps(self, filled: Office, mia: Visitor) -> None:
        save(mia, "alias", alias="hund")
        page = save(mia, "rename", name="animal creature")
        assert page.texts(".at-offers li") == [
            "dog Remove",
            "hund becomes dog Remove",
        ]

    def test_what_it_cannot_be(self, filled: Office, mia: Visitor) -> None:
        page = mia.send(url("dog"), save="alias", alias="DOG")
        assert page.error("alias") == (
            "Another word for it is this tag: rename it above."
        )
        page = mia.send(url("dog"), save="unalias", alias_key="whale")
        assert (
            page.error("alias")
            == "Another word for it no longer exists: reload the page."
        )

    def test_what_would_change(self, filled: Office, mia: Visitor) -> None:
        assert figures(ask(mia, "alias", "animal", alias="dog")) == [2, 2, 3, 3]


class TestRules:
    def test_blocked_and_allowed_again(self, any_office: Office) -> None:
        mia = any_office.visitor("mia")
        assert figures(ask(mia, "rules", **{BLOCKED: "on"})) == [0, 0, 3, 3]
        page = save(mia, "rules", **{BLOCKED: "on"})
        assert page.text(".at-notice") == SAVED
        assert [(job.kind, job.instance) for job in any_office.host.jobs()] == [
            ("rules", "shop")
        ]
        assert tags(any_office, 0) == []
        save(mia, "rules", **{BLOCKED: ""})
        assert tags(any_office, 0) == ["dog"]
        assert words(any_office) == {}

    def test_three_states(self, filled: Office, ada: Visitor) -> None:
        save(ada, "rules", instance=None, **{BLOCKED: "on"})
        assert (tags(filled, 0), tags(filled, 9, "news")) == ([], [])
        page = ada.get(url("dog"))
        assert page.one(f'[name="{BLOCKED}"] option[selected]').text == "Inherit (on)"
        save(ada, "rules", **{BLOCKED: "off"})
        assert (tags(filled, 0), tags(filled, 9, "news")) == (["dog"], [])

    def test_an_own_threshold(self, filled: Office, mia: Visitor) -> None:
        assert figures(ask(mia, "rules", **{THRESHOLD: "0.7"})) == [0, 0, 1, 1]
        save(mia, "rules", **{THRESHOLD: "0.7"})
        assert (tags(filled, 0), tags(filled, 1)) == (["dog"], [])
        assert mia.get(url("dog")).fields[THRESHOLD] == "0.70"

    def test_listed(self, filled: Office, mia: Visitor) -> None:
        filled.desk.save({("", "vocabulary"): "listed"}, "shop")
        assert figures(ask(mia, "rules", **{LISTED: "on"})) == [0, 0, 1, 1]
        save(mia, "rules", **{LISTED: "on"})
        assert (tags(filled, 2), words(filled)) == (
            ["dog"],
            {"dog": WordRule(listed=True)},
        )

    def test_listed_and_blocked(self, filled: Office, mia: Visitor) -> None:
        page = save(mia, "rules", **{LISTED: "on", BLOCKED: "on"})
        assert page.texts(".at-notice")[1:] == [
            "A blocked word is never applied, even if it is listed."
        ]

    def test_a_mistake(self, filled: Office, mia: Visitor) -> None:
        page = mia.send(url("dog"), save="rules", **{THRESHOLD: "much", BLOCKED: "on"})
        assert page.status == 422
        assert page.error(THRESHOLD) == (
            "Own threshold must be a number from 0 to 1, not 'much'."
        )
        assert page.texts(".at-errors") == [page.error(THRESHOLD)]
        link = page.one(".at-errors a")
        assert page.one(str(link["href"]))["name"] == THRESHOLD
        assert (page.fields[THRESHOLD], page.fields[BLOCKED]) == ("much", "on")
        assert words(filled) == {}

    def test_reset(self, filled: Office, mia: Visitor) -> None:
        save(mia, "rules", **{THRESHOLD: "0.7", BLOCKED: "on"})
        page = mia.send(url("dog"), reset="threshold")
        assert page.text(".at-notice") == (
            "Fields that you reset inherit again as soon as you save."
        )
        assert (page.fields[THRESHOLD], page.fields[BLOCKED]) == ("", "on")
        mia.send(url("dog"), page, save="rules")
        assert words(filled) == {"dog": WordRule(blocked=True)}


class TestDelete:
    def test_with_what_people_decided(self, any_office: Office) -> None:
        with any_office.host.app.app_context():
            autotag = any_office.host.autotag
            autotag.add_tag(photo(1), "dog", instance="shop", person="mia")
            autotag.reject_tag(photo(2), "dog", instance="shop", person="mia")
        mia = any_office.visitor("mia")
        page = mia.get(url("dog"))
        assert (
            "It is removed from 2 images, together with the decisions of people about"
            " it (2), and is blocked."
        ) in page.html
        page = save(mia, "delete", sure="1")
        assert "Here: deleted." in page.html
        assert [tags(any_office, number) for number in range(3)] == [[], [], ["animal"]]
        assert mia.get(url("dog")).text(".at-lead") == "On 0 images."
        save(mia, "clear")
        assert words(any_office) == {}
        assert [tags(any_office, number) for number in range(3)] == [
            ["dog"],
            ["dog"],
            ["animal", "dog"],
        ]

    def test_must_be_meant(self, filled: Office, mia: Visitor) -> None:
        page = mia.send(url("dog"), save="delete")
        assert page.status == 422
        assert page.error("sure") == (
            "Delete this tag from all images must be ticked first."
        )
        assert words(filled) == {}

    def test_what_would_change(self, filled: Office, mia: Visitor) -> None:
        assert figures(ask(mia, "delete")) == [0, 0, 3, 3]

    def test_for_the_system(self, filled: Office, ada: Visitor) -> None:
        assert figures(ask(ada, "delete", instance=None)) == [0, 0, 4, 4]
        save(ada, "delete", instance=None, sure="1")
        assert (tags(filled, 0), tags(filled, 9, "news")) == ([], [])
        assert set(words(filled, SYSTEM)) == {"dog"}


def test_the_systems_page_has_words_only(filled: Office, ada: Visitor) -> None:
    page = ada.get(url("dog", None))
    assert page.texts("h2") == ["Rename", "Other words for it", "Rules", "Delete"]
    assert page.soup.select(".at-lead") == []
    page = save(ada, "rename", instance=None, name="animal")
    assert page.text("h1") == "animal"
    assert tags(filled, 9, "news") == ["animal"]


def test_back_over_several_names(filled: Office, mia: Visitor) -> None:
    for key, name in (("dog", "a"), ("a", "b"), ("b", "dog")):
        page = save(mia, "rename", key, name=name)
    assert page.texts(".at-offers strong") == ["a", "b"]
    assert tags(filled, 0) == ["dog"]


def test_a_button_that_does_not_exist(mia: Visitor) -> None:
    for data in ({"save": "explode"}, {"preview": "x"}, {"command": "save"}):
        page = mia.send(url("dog"), **data)
        assert page.status == 400
        assert "The form has a button that does not belong to it." in page.html


def test_who_may_only_look(filled: Office) -> None:
    filled.host.autotag.authorizer(lambda action, _: action == "view_settings")
    ada = filled.visitor("ada")
    save_rules = {"save": "rules", BLOCKED: "on"}
    page = ada.get(url("dog"))
    assert page.soup.select("button") == []
    assert "disabled" in page.one(f'[name="{THRESHOLD}"]').attrs
    assert ada.send(url("dog"), page, **save_rules).status == 403
    assert words(filled) == {}


def test_a_forged_form(sqlite_url: str) -> None:
    with open_office(sqlite_url, WTF_CSRF_ENABLED=True) as office:
        mia = office.visitor("mia")
        page = mia.send(url("dog"), save="rules", csrf_token=None, **{BLOCKED: "on"})
        assert page.status == 400
        assert "The form was too old to be trusted." in page.text(".at-alert")
        assert words(office) == {}
        assert save(mia, "rules", **{BLOCKED: "on"}).text(".at-notice") == SAVED


def test_without_a_secret_nothing_can_be_changed(sqlite_url: str) -> None:
    with open_office(sqlite_url, WTF_CSRF_ENABLED=True) as office:
        office.host.app.config["SECRET_KEY"] = None
        mia = office.visitor("mia")
        page = mia.get(url("dog"))
        assert "the application has no SECRET_KEY" in page.text(".at-alert")
        assert page.soup.select("button") == []
        assert mia.send(url("dog"), save="rules").status == 400


def test_what_others_wrote_is_text(office: Office, ada: Visitor) -> None:
    evil = "<script>alert(1)</script>"
    with office.host.app.app_context():
        store_labels(office.host, AssetRef("photo", evil), [(evil, 0.9)], "shop")
    office.host.autotag.image_url(lambda asset: asset.id)
    office.host.autotag.user_namer(lambda: evil)
    address = "/autotag/tag/shop?key=%3Cscript%3Ealert(1)%3C/script%3E"
    page = ada.send(address, save="alias", alias=f"{evil} 2")
    page = ada.get(address)
    for html in (page.html, ada.get("/autotag/tags/shop").html):
        assert "&lt;script&gt;" in html
        assert "<script>" not in html
