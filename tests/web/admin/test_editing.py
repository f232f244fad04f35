"""The settings that an administrator types, sees and saves."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select

from flask_autotag import AssetRef
from flask_autotag.web.admin.settings import settings_page

from ...hosts import store_labels
from .conftest import NEWS_URL, SHOP_URL, SYSTEM_URL, Office, Visitor, open_office

THRESHOLD = "setting.tensorflow.confidence_threshold"
MAXIMUM, ENABLED = "setting.max_tags", "setting.enabled"
ENDPOINT, KEY = "setting.microsoft.endpoint", "setting.microsoft.api_key"
GOOGLE, GOOGLE_KEY = "setting.google.enabled", "setting.google.api_key"
PLACE = "https://a.cognitiveservices.azure.com"
SECRET = "AIza-secret-0123"
PATH = ("tensorflow", "confidence_threshold")


def test_every_field_of_every_section_is_there(ada: Visitor) -> None:
    page = ada.get(SYSTEM_URL)
    assert page.texts("h2")[:4] == [
        "Asset Auto Tagging",
        "TensorFlow Image Auto Tagging",
        "Google Cloud Vision",
        "Microsoft Cognitive Services",
    ]
    for control in page.soup.select(".at-control [name^=setting]"):
        assert page.one(f'label[for="{control["id"]}"]').get_text()
        for described in str(control["aria-describedby"]).split():
            assert page.one(f"#{described}").get_text()


def test_a_value_says_where_it_comes_from(office: Office, ada: Visitor) -> None:
    assert ada.get(SYSTEM_URL).notes(THRESHOLD) == "Default: 0.50."
    assert ada.send(SYSTEM_URL, **{THRESHOLD: "0.1"}).status == 303
    assert ada.get(SYSTEM_URL).notes(THRESHOLD) == "Set here. Default: 0.50."
    page = ada.get(SHOP_URL)
    assert page.notes(THRESHOLD) == "System: 0.10."
    assert page.one(f'[name="{THRESHOLD}"]')["placeholder"] == "0.10"
    ada.send(SHOP_URL, **{THRESHOLD: "0.9"})
    page = ada.get(SHOP_URL)
    assert page.notes(THRESHOLD) == "Set here. System: 0.10."
    assert page.fields[THRESHOLD] == "0.90"
    assert office.desk.settings("shop").value(PATH) == 0.9


def test_values_of_app_config_are_named_as_such(sqlite_url: str) -> None:
    config = {
        "AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD": 0.7,
        "AUTOTAG_GOOGLE_API_KEY": SECRET,
    }
    with open_office(sqlite_url, **config) as office:
        page = office.visitor("ada").get(SYSTEM_URL)
        of_shop = office.visitor("mia").get(SHOP_URL)
    assert page.notes(THRESHOLD) == "Application's configuration: 0.70."
    assert page.notes(GOOGLE_KEY).startswith(
        "A key is set in the application's configuration (AUTOTAG_GOOGLE_API_KEY),"
        " ending in 0123."
    )
    assert of_shop.notes(GOOGLE_KEY).startswith("The system's key is used.")


def test_saving_says_so_and_who_did_it(ada: Visitor) -> None:
    saved = ada.send(SYSTEM_URL, **{THRESHOLD: "0.1", MAXIMUM: "5"})
    assert (saved.status, saved.location) == (303, f"{SYSTEM_URL}?saved=1")
    page = ada.get(saved.location or "")
    assert (
        page.text(".at-notice") == "Saved. The change applies from the next image on."
    )
    assert page.text(".at-last").startswith("Last changed by ada,")
    history = ada.get("/autotag/system/history")
    assert [line.split(" ada, ")[0] for line in history.texts(".at-list li")] == [
        "Confidence threshold TensorFlow Image Auto Tagging inherited →became 0.10",
        "Maximum number of tags per asset Asset Auto Tagging inherited →became 5",
    ]


def test_saving_nothing_says_so(office: Office, ada: Visitor) -> None:
    ada.send(SYSTEM_URL, **{THRESHOLD: "0.1"})
    saved = ada.send(SYSTEM_URL)
    page = ada.get(saved.location or "")
    assert page.text(".at-notice") == "Nothing was changed, so nothing was saved."
    assert len(office.desk.changes()) == 1


def test_turning_it_on_tells_of_the_images_that_came_before(ada: Visitor) -> None:
    hint = "'flask autotag tag-untagged' tags them."

    def notice(path: str, switch: str) -> str:
        saved = ada.send(path, **{ENABLED: switch})
        return ada.get(saved.location or "").text(".at-notice")

    assert hint not in notice(SHOP_URL, "off")
    assert notice(SHOP_URL, "on").endswith(hint)
    notice(SYSTEM_URL, "off")
    notice(SHOP_URL, "off")
    # It still tags nothing, because of the system.
    assert hint not in notice(SHOP_URL, "on")
    assert notice(SYSTEM_URL, "on").endswith(hint)


def test_history_cuts_long_values_and_tells_of_replaced_keys(ada: Visitor) -> None:
    ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET, "setting.microsoft.price": "1"})
    ada.send(SYSTEM_URL, **{GOOGLE_KEY: f"{SECRET}4"})
    long = f"https://{'x' * 50}.cognitiveservices.azure.com"
    ada.send(SYSTEM_URL, **{ENDPOINT: long})
    changed = ada.get("/autotag/system/history").texts(
        ".at-list li > span:nth-of-type(2)"
    )
    assert changed[:2] == [f"inherited →became {long[:80]}…", "set →became replaced"]
    assert "not set →became set" in changed


def test_an_empty_field_inherits_again(office: Office, ada: Visitor) -> None:
    ada.send(SHOP_URL, **{THRESHOLD: "0.9"})
    ada.send(SHOP_URL, **{THRESHOLD: " "})
    assert office.desk.settings("shop").value(PATH) == 0.5
    assert ada.get(SHOP_URL).notes(THRESHOLD) == "Default: 0.50."


@pytest.mark.parametrize(
    "reset",
    [{"reset": "tensorflow.confidence_threshold"}, {"reset_section": "tensorflow"}],
)
def test_reset_empties_and_keeps_what_else_was_typed(
    office: Office, ada: Visitor, reset: dict[str, str]
) -> None:
    ada.send(SHOP_URL, **{THRESHOLD: "0.9"})
    page = ada.send(SHOP_URL, **reset, **{MAXIMUM: "7"})
    assert page.status == 200
    assert page.text(".at-notice") == (
        "Fields that you reset inherit again as soon as you save."
    )
    assert (page.fields[THRESHOLD], page.fields[MAXIMUM]) == ("", "7")
    assert office.desk.settings("shop").value(PATH) == 0.9
    ada.send(SHOP_URL, page)
    assert office.desk.settings("shop").value(PATH) == 0.5
    assert office.desk.settings("shop").max_tags == 7


def test_a_section_of_the_system_is_reset(office: Office, ada: Visitor) -> None:
    ada.send(SYSTEM_URL, **{MAXIMUM: "7", ENABLED: "off", THRESHOLD: "0.9"})
    page = ada.send(SYSTEM_URL, reset_section="")
    ada.send(SYSTEM_URL, page)
    settings = office.desk.settings()
    assert (settings.max_tags, settings.enabled, settings.value(PATH)) == (0, True, 0.9)


@pytest.mark.parametrize(
    ("name", "typed", "message"),
    [
        (THRESHOLD, "high", "must be a number from 0 to 1, not 'high'."),
        (THRESHOLD, "nan", "must be a number from 0 to 1, not 'nan'."),
        (THRESHOLD, "1.01", "must be a number from 0 to 1, not '1.01'."),
        (
            THRESHOLD,
            "0,5",
            "must be a number from 0 to 1, not '0,5'; for 50 % write 0.5, with a"
            " point.",
        ),
        (MAXIMUM, "-1", "must be a whole number from 0 to 1000, not '-1'."),
        (MAXIMUM, "2.5", "must be a whole number from 0 to 1000, not '2.5'."),
        (ENABLED, "perhaps", "must be true or false, not 'perhaps'."),
        (
            "setting.tensorflow.model",
            "inception5h",
            "must be one of efficientnet-lite0, not 'inception5h'.",
        ),
        (
            "setting.microsoft.language",
            "<b>",
            "Language of the tags must be a code such as en, de or pt-BR, not '<b>'.",
        ),
        (ENDPOINT, "http://a.cognitiveservices.azure.com", "must begin with https://,"),
        (
            ENDPOINT,
            "https://u@a.cognitiveservices.azure.com",
            "must not contain a user",
        ),
        (ENDPOINT, "https://10.0.0.1", "must name a host, such as"),
        (ENDPOINT, f"{PLACE}:444", "must not contain a port."),
        (ENDPOINT, "https://evil.example", "must be a host of the vendor, such as"),
        (THRESHOLD, "1" * 2**20, "must be a number from 0 to 1, not '111"),
        (ENDPOINT, "x" * 2**20, "must be at most 500 characters long, not 1,048,576."),
    ],
)
@pytest.mark.parametrize("path", [SYSTEM_URL, SHOP_URL])
def test_a_wrong_value_is_refused_at_its_field(
    office: Office, ada: Visitor, path: str, name: str, typed: str, message: str
) -> None:
    other = MAXIMUM if name != MAXIMUM else THRESHOLD
    page = ada.send(path, **{name: typed, other: "1"})
    assert page.status == 422
    assert page.text(".at-alert") == (
        "Nothing was saved. Correct the marked fields, then save again."
    )
    assert message in page.error(name)
    assert page.fields[other] == "1"
    if page.one(f'[name="{name}"]').name == "input":
        assert page.fields[name] == typed[:500]
    link = page.one(".at-errors a")
    assert page.one(str(link["href"]))["name"] == name
    assert re.match(r"[\w ]+: ", link.get_text())
    assert office.desk.changes() == office.desk.changes("shop") == []


def test_a_field_that_is_missing(office: Office, ada: Visitor) -> None:
    page = ada.send(SYSTEM_URL, **{THRESHOLD: None, MAXIMUM: "3"})
    assert page.status == 422
    assert page.error(THRESHOLD) == (
        "Confidence threshold was missing from the form, or there twice: reload the"
        " page."
    )
    assert page.fields[MAXIMUM] == "3"
    assert office.desk.changes() == []


def test_a_field_that_is_too_many(office: Office, ada: Visitor) -> None:
    page = ada.send(SYSTEM_URL, **{"setting.tensorflow.colour": "red", MAXIMUM: "3"})
    assert page.status == 400
    assert page.text(".at-alert") == (
        "The form has a field that does not belong to it: setting.tensorflow.colour."
        " Reload the page."
    )
    assert page.fields[MAXIMUM] == "3"
    assert office.desk.changes() == []


def test_a_form_without_its_version(office: Office, ada: Visitor) -> None:
    for version in (None, "", "x", "-1", "²"):
        page = ada.send(SYSTEM_URL, version=version, **{MAXIMUM: "3"})
        assert page.status == 400
        assert page.text(".at-alert") == (
            "The form is incomplete. Reload the page and try again."
        )
    assert office.desk.changes() == []


def test_a_button_that_does_not_exist(ada: Visitor) -> None:
    page = ada.send(SYSTEM_URL, command="explode")
    assert page.status == 400
    assert "The form has a button that does not belong to it." in page.html


@pytest.mark.skipif(
    metadata.version("werkzeug").startswith(("2.", "3.0.")),
    reason="Werkzeug before 3.1 reads such a field, which is then refused as too long.",
)
def test_a_form_that_is_far_too_large(ada: Visitor) -> None:
    page = ada.send(SYSTEM_URL, **{MAXIMUM: "1" * 3 * 2**20})
    assert page.status == 413


STALE = (
    "mia saved these settings while you were editing. Your changes are not saved yet. "
)
MERGED = (
    "Fields that you did not change show the stored values. Save again to save your"
    " changes."
)


def test_of_two_administrators_the_second_is_told(
    office: Office, ada: Visitor, mia: Visitor
) -> None:
    old = ada.get(SHOP_URL)
    mia.send(SHOP_URL, **{THRESHOLD: "0.2"})
    page = ada.send(SHOP_URL, old, **{THRESHOLD: "0.3", MAXIMUM: "4"})
    assert page.status == 409
    assert page.text(".at-alert") == (
        f"{STALE}{MERGED} The marked fields were changed by both of you."
    )
    assert page.error(THRESHOLD) == (
        "Confidence threshold was set to 0.20 meanwhile: save again to replace that."
    )
    assert len(page.texts(".at-errors li")) == 1
    assert (page.fields[THRESHOLD], page.fields[MAXIMUM]) == ("0.3", "4")
    assert page.notes(THRESHOLD) == "Set here. Default: 0.50. Stored now: 0.20."
    assert office.desk.settings("shop").value(PATH) == 0.2
    assert ada.send(SHOP_URL, page).status == 303
    assert office.desk.settings("shop").value(PATH) == 0.3
    assert office.desk.settings("shop").max_tags == 4


def test_what_only_the_first_changed_stays(
    office: Office, ada: Visitor, mia: Visitor
) -> None:
    ada.send(SHOP_URL, **{"setting.google.price": "1", ENABLED: "off"})
    old = ada.get(SHOP_URL)
    mia.send(SHOP_URL, **{MAXIMUM: "1", "setting.google.price": "", ENABLED: "on"})
    page = ada.send(SHOP_URL, old, **{THRESHOLD: "0.3", ENABLED: "on"})
    assert (page.status, page.text(".at-alert")) == (409, f"{STALE}{MERGED}")
    assert page.soup.select(".at-errors") == []
    assert (page.fields[THRESHOLD], page.fields[MAXIMUM]) == ("0.3", "1")
    assert page.fields["setting.google.price"] == ""
    assert ada.send(SHOP_URL, page).status == 303
    settings = office.desk.settings("shop")
    assert (settings.value(PATH), settings.max_tags, settings.enabled) == (0.3, 1, True)
    assert settings.value(("google", "price")) is None


@pytest.mark.parametrize("command", ["preview", "save", "reset"])
def test_what_is_shown_in_between_forgets_nothing(
    office: Office, ada: Visitor, mia: Visitor, command: str
) -> None:
    """As a preview of an old form, or a mistake in it."""
    old = ada.get(SHOP_URL)
    mia.send(SHOP_URL, **{MAXIMUM: "1"})
    wrong = {
        "preview": {"command": "preview"},
        "save": {"setting.google.price": None},
        "reset": {"reset": "google.price"},
    }
    page = ada.send(SHOP_URL, old, **{THRESHOLD: "0.3"}, **wrong[command])
    again = ada.send(SHOP_URL, page)
    assert (again.status, again.fields[MAXIMUM]) == (409, "1")
    assert ada.send(SHOP_URL, again).status == 303
    assert office.desk.settings("shop").max_tags == 1


@pytest.mark.parametrize("seen", [None, "", "x", "[]", "[" * 100_000, "9" * 5000])
def test_a_form_that_does_not_tell_what_was_seen(
    office: Office, ada: Visitor, mia: Visitor, seen: str | None
) -> None:
    old = ada.get(SHOP_URL)
    mia.send(SHOP_URL, **{MAXIMUM: "1"})
    page = ada.send(SHOP_URL, old, seen=seen, **{THRESHOLD: "0.3"})
    assert (page.status, page.fields[MAXIMUM]) == (409, "")
    assert page.text(".at-alert") == (
        f"{STALE}Compare with the stored values, then save again to replace them."
    )


def test_a_form_from_before_a_reset(office: Office, ada: Visitor) -> None:
    ada.send(SHOP_URL, **{THRESHOLD: "0.2"})
    old = ada.get(SHOP_URL)
    ada.send(SHOP_URL, **{THRESHOLD: ""})
    assert ada.send(SHOP_URL, old).status == 409
    assert office.desk.settings("shop").value(PATH) == 0.5
    page = ada.send(SHOP_URL, old, **{THRESHOLD: "0.3"})
    assert page.error(THRESHOLD) == (
        "Confidence threshold was reset meanwhile: save again to set it all the same."
    )


def test_an_instance_within_the_systems_maximum(ada: Visitor) -> None:
    ada.send(SYSTEM_URL, **{MAXIMUM: "5"})
    page = ada.send(SHOP_URL, **{MAXIMUM: "6"})
    assert page.error(MAXIMUM) == (
        "Maximum number of tags per asset must be from 1 to 5, because the system"
        " allows no more."
    )
    ada.send(SHOP_URL, **{MAXIMUM: "5"})
    ada.send(SYSTEM_URL, **{MAXIMUM: "3"})
    assert ada.get(SHOP_URL).notes(MAXIMUM) == (
        "Set here. System: 3. In effect: 3, because of the system."
    )


def test_what_the_system_turned_off_stays_off(ada: Visitor) -> None:
    ada.send(SYSTEM_URL, **{ENABLED: "off"})
    ada.send(SHOP_URL, **{ENABLED: "on"})
    assert ada.get(SHOP_URL).notes(ENABLED) == (
        "Set here. System: off. In effect: off, because of the system."
    )


class TestKeys:
    def test_only_its_ending_is_shown(self, office: Office, ada: Visitor) -> None:
        ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET, GOOGLE: "on"})
        page = ada.get(SYSTEM_URL)
        assert page.fields[GOOGLE_KEY] == ""
        assert page.notes(GOOGLE_KEY).startswith("A key is set, ending in 0123. It is")
        assert office.desk.settings().value(("google", "api_key")).reveal() == SECRET

    def test_an_instance_does_not_see_the_systems(self, ada: Visitor) -> None:
        ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET, GOOGLE: "on"})
        page = ada.get(SHOP_URL)
        assert page.notes(GOOGLE_KEY).startswith("The system's key is used.")
        assert "0123" not in page.html

    def test_an_empty_field_keeps_it_and_a_box_removes_it(
        self, office: Office, ada: Visitor
    ) -> None:
        ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET, GOOGLE: "on"})
        ada.send(SYSTEM_URL, **{THRESHOLD: "0.2"})
        assert office.desk.settings().value(("google", "api_key")) is not None
        page = ada.send(SYSTEM_URL, **{"remove.google.api_key": "1"})
        assert "API key must be set before this provider is enabled." in (
            page.error(GOOGLE_KEY)
        )
        ada.send(SYSTEM_URL, **{"remove.google.api_key": "1", GOOGLE: "off"})
        assert ada.get(SYSTEM_URL).notes(GOOGLE_KEY).startswith("No key is set.")

    def test_another_endpoint_removes_it(self, office: Office, ada: Visitor) -> None:
        ada.send(SYSTEM_URL, **{ENDPOINT: PLACE, KEY: SECRET})
        saved = ada.send(SYSTEM_URL, **{ENDPOINT: PLACE.replace("//a", "//b")})
        page = ada.get(saved.location or "")
        assert page.text(".at-notice") == (
            "Saved. The change applies from the next image on. The key was removed,"
            " because the endpoint has changed."
        )
        assert office.desk.settings().value(("microsoft", "api_key")) is None

    @pytest.mark.parametrize(
        ("key", "stored"), [(SECRET, "one, ending in 0123,"), ("short", "one")]
    )
    def test_another_endpoint_needs_another(
        self, ada: Visitor, key: str, stored: str
    ) -> None:
        on = {"setting.microsoft.enabled": "on"}
        ada.send(SYSTEM_URL, **{ENDPOINT: PLACE, KEY: key, **on})
        page = ada.send(SYSTEM_URL, **{ENDPOINT: PLACE.replace("//a", "//b")})
        assert page.error(KEY) == (
            "API key must be typed again, because the endpoint has changed: the stored"
            f" {stored} belongs to {PLACE}."
        )
        assert "leave the field empty to keep it" not in page.notes(KEY)

    def test_one_for_another_endpoint_is_told(self, ada: Visitor) -> None:
        ada.send(SYSTEM_URL, **{ENDPOINT: PLACE})
        ada.send(SHOP_URL, **{KEY: SECRET})
        ada.send(SYSTEM_URL, **{ENDPOINT: PLACE.replace("//a", "//b")})
        assert (
            ada.get(SHOP_URL)
            .notes(KEY)
            .startswith("A key is stored for another endpoint, and is not used.")
        )

    def test_one_that_cannot_be_decrypted_is_told(
        self, office: Office, ada: Visitor
    ) -> None:
        ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET})
        office.host.app.config["SECRET_KEY"] = "another one"
        assert (
            ada.get(SYSTEM_URL)
            .notes(GOOGLE_KEY)
            .startswith("A key is stored, but cannot be decrypted")
        )

    def test_without_a_secret_none_can_be_saved(
        self, office: Office, ada: Visitor
    ) -> None:
        office.host.app.config["SECRET_KEY"] = None
        page = ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET})
        assert page.error(GOOGLE_KEY) == (
            "API key cannot be stored: set AUTOTAG_SECRET_KEYS or SECRET_KEY in the"
            " application's configuration."
        )

    def test_a_wrong_one_is_not_shown_again(self, ada: Visitor) -> None:
        for typed in ("two words", "x" * 2**20, "sécret"):
            page = ada.send(SYSTEM_URL, **{GOOGLE_KEY: typed, MAXIMUM: "4"})
            assert "must be a key of" in page.error(GOOGLE_KEY)
            assert page.fields[GOOGLE_KEY] == ""
            assert page.fields[MAXIMUM] == "4"
            assert typed not in page.html

    def test_none_is_in_clear_anywhere(
        self, office: Office, ada: Visitor, caplog: pytest.LogCaptureFixture
    ) -> None:
        """In no page, header, cookie, row, audit or log; also after errors."""
        caplog.set_level(0)
        answers = [
            ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET, MAXIMUM: "x"}),
            ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET, "command": "preview"}),
            ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET, "command": "try"}),
            ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET, "reset": "max_tags"}),
            ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET, "version": "x"}),
            ada.send(SYSTEM_URL, **{GOOGLE_KEY: SECRET, GOOGLE: "on"}),
            ada.get(SYSTEM_URL),
            ada.get(SHOP_URL),
            ada.get("/autotag/system/history"),
        ]
        for answer in answers:
            assert SECRET not in answer.html + str(answer.location)
        assert SECRET not in caplog.text
        models = office.host.autotag.state_of(office.host.app).database.models
        with office.host.app.app_context():
            for table in models.tables:
                for row in office.host.db.session.execute(select(table)):
                    assert SECRET not in repr(tuple(row))
                    assert SECRET[-4:] not in repr(tuple(row))


class TestPreview:
    @pytest.fixture(autouse=True)
    def images(self, office: Office) -> None:
        with office.host.app.app_context():
            for number, instance in ((1, "shop"), (2, "shop"), (3, "news")):
                labels = [("dog", 0.9), ("wolf", 0.4)]
                store_labels(
                    office.host, AssetRef("photo", str(number)), labels, instance
                )

    def figures(self, visitor: Visitor, path: str, **typed: str) -> list[int]:
        page = visitor.send(path, command="preview", **typed)
        assert page.status == 200
        return [int(text) for text in page.texts(".at-figures dd")]

    def test_of_an_instance(self, office: Office, mia: Visitor) -> None:
        assert self.figures(mia, SHOP_URL, **{THRESHOLD: "0.3"}) == [2, 2, 0, 0]
        assert self.figures(mia, SHOP_URL, **{THRESHOLD: "1"}) == [0, 0, 2, 2]
        assert office.desk.changes("shop") == []

    def test_of_the_system_is_of_those_that_inherit(self, ada: Visitor) -> None:
        assert self.figures(ada, SYSTEM_URL, **{THRESHOLD: "0.3"}) == [3, 3, 0, 0]
        ada.send(SHOP_URL, **{THRESHOLD: "0.5"})
        assert self.figures(ada, SYSTEM_URL, **{THRESHOLD: "0.3"}) == [1, 1, 0, 0]

    def test_names_the_tags(self, mia: Visitor) -> None:
        page = mia.send(SHOP_URL, command="preview", **{THRESHOLD: "0.3"})
        assert page.texts(".at-tag") == ["wolf +2"]

    def test_of_nothing_says_so(self, mia: Visitor) -> None:
        page = mia.send(SHOP_URL, command="preview")
        assert page.text(".at-result p") == "None of the 2 images would change."
        page = mia.send(SHOP_URL, command="preview", **{ENABLED: "off"})
        assert page.text(".at-result p").startswith("No image would change: there are")

    def test_leaves_out_what_is_wrong_and_says_so(self, mia: Visitor) -> None:
        page = mia.send(SHOP_URL, command="preview", **{THRESHOLD: "0.3", MAXIMUM: "x"})
        assert page.text(".at-alert") == (
            "The marked values cannot be used and were left out."
        )
        assert page.error(MAXIMUM)
        assert page.texts(".at-figures dd")[0] == "2"

    def test_of_very_many_is_of_the_first(
        self, mia: Visitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settings_page, "PREVIEWED", 1)
        monkeypatch.setattr("flask_autotag.tags.batches.BATCH_SIZE", 1)
        page = mia.send(SHOP_URL, command="preview", **{THRESHOLD: "0.3"})
        assert "Only the first 1 images were checked." in page.text(".at-result")

    @pytest.mark.parametrize(
        ("path", "instances"), [(SHOP_URL, ["shop"]), (SYSTEM_URL, ["news", "shop"])]
    )
    def test_applying_is_a_job(
        self, office: Office, ada: Visitor, path: str, instances: list[str]
    ) -> None:
        assert ada.send(path, **{THRESHOLD: "0.3"}).status == 303
        assert office.host.jobs() == []
        saved = ada.send(path, apply="1", **{THRESHOLD: "0.2"})
        page = ada.get(saved.location or "")
        assert "Existing images are being updated" in page.text(".at-notice")
        jobs = office.host.jobs()
        assert [(job.kind, job.instance) for job in jobs] == [
            ("rules", instance) for instance in instances
        ]

    def test_applying_with_no_provider_on_says_that_tags_stay(
        self, office: Office, ada: Visitor
    ) -> None:
        only, stays = "setting.tensorflow.enabled", "existing images keep the tags"
        saved = ada.send(SHOP_URL, apply="1", **{only: "off"})
        notice = ada.get(saved.location or "").text(".at-notice")
        assert stays in notice
        assert "Existing images are being updated" not in notice
        assert office.host.jobs() == []
        # The other instance is still on.
        saved = ada.send(SYSTEM_URL, apply="1", **{THRESHOLD: "0.3"})
        notice = ada.get(saved.location or "").text(".at-notice")
        assert stays in notice
        assert "Existing images are being updated" in notice

    def test_what_is_refused_applies_to_nothing(
        self, office: Office, ada: Visitor
    ) -> None:
        assert ada.send(SHOP_URL, apply="1", **{MAXIMUM: "x"}).status == 422
        assert office.host.jobs() == []


def test_pages_are_not_kept_by_caches(office: Office) -> None:
    client = office.host.app.test_client()
    for path in (
        "/autotag/",
        SYSTEM_URL,
        NEWS_URL,
        "/autotag/history/news",
        "/autotag/tags/news",
        "/autotag/tag/news?key=dog",
    ):
        response = client.get(path, headers={"X-User": "ada"})
        assert response.headers["Cache-Control"] == "no-store"


def test_nothing_inline(ada: Visitor) -> None:
    """A strict Content-Security-Policy passes."""
    for path in (
        "/autotag/",
        SYSTEM_URL,
        SHOP_URL,
        "/autotag/system/history",
        "/autotag/tags/shop",
        "/autotag/tag/shop?key=dog",
        "/autotag/system/activity",
        "/autotag/activity/shop",
    ):
        page = ada.get(path)
        assert not page.soup.select("style, [style], script:not([src])")
        assert not re.search(r"\son[a-z]+=", page.html)
        assert "http://" not in page.html.replace("http://localhost", "")


def test_what_others_wrote_is_text(office: Office, ada: Visitor) -> None:
    evil: Any = "<script>alert(1)</script>"
    with office.host.app.app_context():
        store_labels(office.host, AssetRef("photo", evil), [(evil, 0.4)], "shop")
        office.host.autotag.add_tag(
            AssetRef("photo", evil), evil, instance="shop", person=evil
        )
    office.host.autotag.image_loader(lambda _asset: b"")
    office.host.autotag.user_namer(lambda: evil)
    office.host.autotag.hidden_fields(lambda: {evil: evil})
    page = ada.send(SHOP_URL, command="preview", **{THRESHOLD: "0.1", ENDPOINT: evil})
    ada.send(SHOP_URL, **{THRESHOLD: "0.1"})
    for html in (
        page.html,
        ada.get(SHOP_URL).html,
        ada.get("/autotag/history/shop").html,
        ada.get(f"/autotag/review/shop?tag={quote(evil)}").html,
        ada.get(f"/autotag/explain/shop?type=photo&id={quote(evil)}").html,
    ):
        assert "&lt;script&gt;" in html
        assert "<script>" not in html
