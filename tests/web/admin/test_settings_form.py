"""The WTForms fields that are made from declared settings."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
import wtforms
from werkzeug.datastructures import FileStorage, MultiDict

from flask_autotag.settings import checks
from flask_autotag.settings.fields import Field, Input, Section
from flask_autotag.settings.resolution import Layers
from flask_autotag.settings.secret import Secret
from flask_autotag.web.admin.settings_form import SectionsForm, form_class

from .conftest import SYSTEM_URL, Office, Visitor


def odd(value: Any) -> int:
    """A check of a provider's own, which knows no CheckError."""
    if int(value) % 2:
        return int(value)
    raise ValueError(f"must be odd, not {value}")


SECTION = Section(
    "wizard",
    "The wizard",
    (
        Field("enabled", False, checks.boolean, "On", "Whether.", Input.SWITCH),
        Field("power", 0.5, checks.fraction, "Power", "How much.", Input.FRACTION),
        Field("wands", 3, odd, "Wands", "How many.", Input.COUNT),
        Field("name", None, checks.optional_text, "Name", "Which one."),
        Field(
            "school",
            "air",
            checks.text,
            "School",
            "Which one.",
            Input.CHOICE,
            choices=lambda _model_dir: ("air", "fire"),
        ),
        Field("key", None, checks.secret, "Key", "To its door.", Input.SECRET),
    ),
)


@pytest.fixture(autouse=True)
def request_of_office(office: Office) -> Iterator[None]:
    with office.host.app.test_request_context("/"):
        yield


def make(stored: dict[str, Any] | None = None, /, **sent: str) -> SectionsForm:
    """A form of the section; with *sent* as if it were sent complete otherwise."""
    own = {("wizard", name): value for name, value in (stored or {}).items()}
    names = [f"setting.wizard.{field.name}" for field in SECTION.fields]
    data = MultiDict({**dict.fromkeys(names, ""), **_named(sent)}) if sent else None
    layers = Layers((SECTION,), {}, own)
    return form_class(SectionsForm, (SECTION,))(layers, formdata=data)


def _named(sent: dict[str, str]) -> dict[str, str]:
    return {
        f"remove.wizard.{name.removeprefix('remove_')}"
        if name.startswith("remove_")
        else f"setting.wizard.{name}": text
        for name, text in sent.items()
    }


@pytest.mark.parametrize(
    ("name", "base", "html"),
    [
        ("enabled", wtforms.SelectField, '<option selected value="">Inherit (off)'),
        ("power", wtforms.StringField, 'inputmode="decimal"'),
        ("wands", wtforms.StringField, 'inputmode="numeric"'),
        ("name", wtforms.StringField, 'placeholder="not set"'),
        ("school", wtforms.SelectField, '<option value="fire">fire</option>'),
        ("key", wtforms.PasswordField, 'autocomplete="new-password"'),
    ],
)
def test_a_setting_is_a_field_of_wtforms(name: str, base: type, html: str) -> None:
    field: Any = make()[f"wizard.{name}"]
    assert isinstance(field, base)
    assert field.type == base.__name__
    assert html in field()
    assert f'id="autotag-wizard-{name}"' in field(class_="theirs")
    assert 'class="theirs"' in field(class_="theirs")
    assert field.description


def test_checks_are_validators() -> None:
    form = make(power="high", wands="4", name="Ged", school="water", key="two words")
    assert not form.validate()
    assert form.errors == {
        "wizard.power": ["must be a number from 0 to 1, not 'high'"],
        "wizard.wands": ["must be odd, not 4"],
        "wizard.school": ["must be one of air, fire, not 'water'"],
        "wizard.key": [
            "must be a key of ASCII letters, digits and symbols, without spaces"
        ],
    }
    assert 'aria-invalid="true"' in form["wizard.power"]()
    assert "aria-invalid" not in form["wizard.name"]()
    # The refused choice is shown again; the refused key is not.
    assert '<option selected value="water">' in form["wizard.school"]()
    assert "two words" not in form["wizard.key"]()


def test_an_empty_field_inherits() -> None:
    form = make({"power": 0.25, "name": "Ged"}, power=" ", name="Ogion")
    assert form.validate()
    assert form.typed["wizard", "power"] is None
    assert dict(form.change.after.own) == {("wizard", "name"): "Ogion"}


def test_stored_values_are_shown() -> None:
    form = make({"power": 0.25, "enabled": True, "school": "earth"})
    assert 'value="0.25"' in form["wizard.power"]()
    assert '<option selected value="on">' in form["wizard.enabled"]()
    # A model that is no longer there.
    assert '<option selected value="earth">' in form["wizard.school"]()
    assert form["wizard.power"].notes == ["Set here. Default: 0.50."]


class TestKeys:
    KEY = ("wizard", "key")

    def test_an_empty_field_keeps_the_stored_one(self) -> None:
        form = make({"key": Secret("abracadabra-99")}, key="")
        assert self.KEY not in form.typed
        assert form.change.after.own[self.KEY] == Secret("abracadabra-99")

    def test_a_box_removes_it(self) -> None:
        stored = {"key": Secret("abracadabra-99")}
        assert 'type="checkbox"' in make(stored)["remove.wizard.key"]()
        form = make(stored, remove_key="1")
        assert form.typed[self.KEY] is None
        assert self.KEY not in form.change.after.own

    def test_a_typed_one_wins_over_the_box(self) -> None:
        form = make({"key": Secret("old-one")}, key="new-one", remove_key="1")
        assert form.change.after.own[self.KEY] == Secret("new-one")

    def test_there_is_no_box_where_none_is_stored(self) -> None:
        assert "remove.wizard.key" not in make()
        assert make(remove_key="1").typed.get(self.KEY, "kept") == "kept"

    def test_it_is_never_rendered(self) -> None:
        for form in (make({"key": Secret("abracadabra-99")}), make(key="typed-one")):
            html = "".join(str(field()) for field in form)
            assert "abracadabra" not in html
            assert "typed-one" not in html


def test_a_disabled_form() -> None:
    form = make()
    form.disable()
    assert all(" disabled" in field() for field in form.setting_fields)


@pytest.mark.parametrize("name", ["setting.max_tags", "csrf_token", "version"])
def test_a_file_in_the_place_of_a_text(office: Office, ada: Visitor, name: str) -> None:
    office.host.app.config["WTF_CSRF_ENABLED"] = True
    page = ada.get(SYSTEM_URL)
    file = FileStorage(io.BytesIO(b"5"), "five.txt")
    assert ada.send(SYSTEM_URL, page, **{name: file}).status in (400, 422)
    assert office.desk.changes() == []
