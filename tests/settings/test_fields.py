from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flask_autotag import ConfigurationError
from flask_autotag.providers.registry import sections
from flask_autotag.settings.fields import GENERAL, Field, Input, Section
from flask_autotag.settings.resolution import (
    check_choices,
    read_config_layer,
    read_settings,
)

from ..providers.tensorflow.models import make_detector, make_model

FIELDS = [
    pytest.param(section, field, id=section.key(field))
    for section in sections()
    for field in section.fields
]


def test_without_keys_the_defaults_hold() -> None:
    settings = read_settings(sections(), {})
    assert settings.enabled is True
    assert settings.max_tags == 0
    assert dict(settings["tensorflow"]) == {
        "enabled": True,
        "confidence_threshold": 0.5,
        "model": "efficientnet-lite0",
        "detector": "none",
    }


def test_app_config_overrides_the_defaults() -> None:
    settings = read_settings(
        sections(),
        {
            "AUTOTAG_ENABLED": "off",
            "AUTOTAG_MAX_TAGS": "5",
            "AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD": 1,
        },
    )
    assert settings.enabled is False
    assert settings.max_tags == 5
    assert settings["tensorflow"]["confidence_threshold"] == 1.0
    assert settings["tensorflow"]["enabled"] is True


def test_settings_cannot_be_changed_by_accident() -> None:
    settings = read_settings(sections(), {})
    with pytest.raises(TypeError):
        settings["tensorflow"]["enabled"] = False  # type: ignore[index]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "AUTOTAG_ENABLED",
            "perhaps",
            "AUTOTAG_ENABLED must be true or false, not 'perhaps'.",
        ),
        (
            "AUTOTAG_MAX_TAGS",
            1001,
            "AUTOTAG_MAX_TAGS must be a whole number from 0 to 1000, not 1001.",
        ),
        (
            "AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD",
            50,
            "AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD must be a number from 0 to 1,"
            " not 50; for 50 % write 0.5, with a point.",
        ),
        (
            "AUTOTAG_TENSORFLOW_MODEL",
            "",
            "AUTOTAG_TENSORFLOW_MODEL must be a text, not ''.",
        ),
        (
            "AUTOTAG_TENSORFLOW_ENABLED",
            None,
            "AUTOTAG_TENSORFLOW_ENABLED must be true or false, not None.",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_key(
    key: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings(sections(), {key: value})
    assert str(caught.value) == message


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_a_default_passes_its_own_check(section: Section, field: Field) -> None:
    assert field.check(field.default) == field.default


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_each_field_says_what_it_does(section: Section, field: Field) -> None:
    assert field.label
    assert field.help.endswith(".")


@pytest.mark.parametrize("model", ["mine", "../x"])
def test_a_choice_that_is_not_there_is_refused_with_those_that_are(model: str) -> None:
    layer = read_config_layer(sections(), {"AUTOTAG_TENSORFLOW_MODEL": model})
    with pytest.raises(ConfigurationError) as caught:
        check_choices(sections(), layer, None)
    assert str(caught.value).startswith(
        f"AUTOTAG_TENSORFLOW_MODEL must be one of efficientnet-lite0, not {model!r}."
    )
    assert "AUTOTAG_MODEL_DIR" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "name", "fix"),
    [
        ("AUTOTAG_TENSORFLOW_MODEL", "seer", "AUTOTAG_TENSORFLOW_DETECTOR"),
        ("AUTOTAG_TENSORFLOW_DETECTOR", "mine", "AUTOTAG_TENSORFLOW_MODEL"),
    ],
)
def test_a_model_of_the_other_kind_is_refused_with_its_key(
    tmp_path: Path, key: str, name: str, fix: str
) -> None:
    make_model(tmp_path, "mine")
    make_detector(tmp_path)
    layer = read_config_layer(sections(), {key: name})
    with pytest.raises(ConfigurationError) as caught:
        check_choices(sections(), layer, str(tmp_path))
    assert str(caught.value).startswith(f"{key} must be ")
    assert f"settings page, to {name}." in str(caught.value)
    assert f": set {fix}, or the " in str(caught.value)


def test_a_detector_that_is_not_there_is_refused(tmp_path: Path) -> None:
    make_detector(tmp_path)
    layer = read_config_layer(sections(), {"AUTOTAG_TENSORFLOW_DETECTOR": "x"})
    with pytest.raises(
        ConfigurationError,
        match="AUTOTAG_TENSORFLOW_DETECTOR must be one of none, seer, not 'x'",
    ):
        check_choices(sections(), layer, str(tmp_path))


def test_a_choice_that_is_there_is_accepted(tmp_path: Path) -> None:
    make_model(tmp_path, "mine")
    layer = read_config_layer(sections(), {"AUTOTAG_TENSORFLOW_MODEL": "mine"})
    check_choices(sections(), layer, str(tmp_path))


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_a_choice_lists_its_default_and_a_secret_has_none(
    section: Section, field: Field
) -> None:
    assert (field.input is Input.CHOICE) == (field.choices is not None)
    if field.choices is not None:
        assert field.default in field.choices(None)
    if field.is_secret:
        assert field.default is None
    if field.bound_to:
        assert field.bound_to in {other.name for other in section.fields}


def test_no_two_fields_share_a_key() -> None:
    keys = [key for section in sections() for key in section.config_keys()]
    assert len(set(keys)) == len(keys)


def test_every_provider_can_be_turned_off_and_has_a_threshold() -> None:
    for section in sections():
        names = {field.name for field in section.fields}
        assert section is GENERAL or {"enabled", "confidence_threshold"} <= names
