"""Default < ``app.config`` < system < instance, for any values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag import ConfigurationError
from flask_autotag.providers.registry import sections
from flask_autotag.settings.fields import Path, override, paths, smaller_limit
from flask_autotag.settings.resolution import Layers, Origin, read_config_layer
from flask_autotag.settings.secret import Secret

FIELDS = paths(sections())
ENABLED, MAXIMUM = ("", "enabled"), ("", "max_tags")
ENDPOINT, KEY = ("microsoft", "endpoint"), ("microsoft", "api_key")
PLACES = [f"https://{name}.cognitiveservices.azure.com" for name in "ab"]

#: Values of each field; some equal the default.
VALUES: dict[Path, st.SearchStrategy[Any]] = {
    path: st.booleans()
    if path[1] == "enabled"
    else st.integers(0, 20)
    if field.combine is smaller_limit
    else st.sampled_from([0.0, 0.5, 0.9])
    if path[1] == "confidence_threshold"
    else st.builds(Secret, st.sampled_from(["one", "two"]), st.sampled_from(PLACES))
    if path == KEY
    else st.builds(Secret, st.just("google's"))
    if field.is_secret
    else st.sampled_from(PLACES)
    if path == ENDPOINT
    else st.sampled_from(["x", "y"])
    for path, field in FIELDS.items()
}
LAYERS = st.fixed_dictionaries({}, optional=VALUES)


def layered(*layers: dict[Path, Any]) -> Layers:
    return Layers(sections(), *layers)


@given(config=LAYERS, system=LAYERS, instance=LAYERS)
def test_the_nearest_layer_that_sets_a_field_counts(
    config: dict[Path, Any], system: dict[Path, Any], instance: dict[Path, Any]
) -> None:
    settings = layered(config, system, instance).resolve()
    for path, field in FIELDS.items():
        if field.combine is not override or field.is_secret:
            continue
        names = (
            ({} if field.system_only else instance, Origin.INSTANCE),
            (system, Origin.SYSTEM),
            (config, Origin.CONFIG),
            ({path: field.default}, Origin.DEFAULT),
        )
        value, origin = next(
            (layer[path], name) for layer, name in names if path in layer
        )
        assert settings.value(path) == value
        assert settings.origins[path] is origin


@given(config=LAYERS, system=LAYERS, instance=LAYERS)
def test_tagging_needs_the_system_and_the_instance(
    config: dict[Path, Any], system: dict[Path, Any], instance: dict[Path, Any]
) -> None:
    of_system = layered(config, system).resolve()
    of_instance = layered(config, system, instance).resolve()
    wanted = instance.get(ENABLED, True)
    assert of_instance.enabled == (of_system.enabled and wanted)


@given(config=LAYERS, system=LAYERS, instance=LAYERS)
def test_the_maximum_is_the_smaller_one_and_0_is_none(
    config: dict[Path, Any], system: dict[Path, Any], instance: dict[Path, Any]
) -> None:
    limits = [
        layered(config, system).resolve().max_tags,
        instance.get(MAXIMUM, 0),
    ]
    settings = layered(config, system, instance).resolve()
    assert settings.max_tags == min(filter(None, limits), default=0)


@given(config=LAYERS, system=LAYERS, instance=LAYERS)
def test_no_key_is_sent_where_it_was_not_saved_for(
    config: dict[Path, Any], system: dict[Path, Any], instance: dict[Path, Any]
) -> None:
    settings = layered(config, system, instance).resolve()
    secret = settings.value(KEY)
    if secret is not None:
        assert secret.bound_to == settings.value(ENDPOINT)


@given(config=LAYERS, system=LAYERS, instance=LAYERS)
def test_an_instance_that_sets_nothing_is_as_the_system(
    config: dict[Path, Any], system: dict[Path, Any], instance: dict[Path, Any]
) -> None:
    of_system = layered(config, system).resolve()
    assert layered(config, system, {}).resolve() == of_system
    layers = layered(config, system, instance)
    assert layers.inherited() == of_system
    assert layers.with_own({}).resolve() == of_system
    assert layered(config, system).inherited() == layered(config, {}).resolve()


@given(first=st.integers(0, 50), second=st.integers(0, 50), third=st.integers(0, 50))
def test_limits_combine_in_any_order(first: int, second: int, third: int) -> None:
    assert smaller_limit(first, second) == smaller_limit(second, first)
    assert smaller_limit(first, 0) == first
    assert smaller_limit(smaller_limit(first, second), third) == smaller_limit(
        first, smaller_limit(second, third)
    )


def test_a_limit_says_who_set_it() -> None:
    layers = layered({}, {MAXIMUM: 5}, {MAXIMUM: 8})
    assert layers.resolve().origins[MAXIMUM] is Origin.SYSTEM
    layers = layered({}, {MAXIMUM: 5}, {MAXIMUM: 3})
    assert layers.resolve().origins[MAXIMUM] is Origin.INSTANCE


def test_an_instances_endpoint_is_not_sent_the_systems_key() -> None:
    system = {ENDPOINT: PLACES[0], KEY: Secret("the system's", PLACES[0])}
    assert layered({}, system, {}).resolve().value(KEY).reveal() == "the system's"
    assert layered({}, system, {ENDPOINT: PLACES[1]}).resolve().value(KEY) is None


def test_a_key_of_app_config_belongs_to_its_endpoint() -> None:
    config = read_config_layer(
        sections(),
        {
            "AUTOTAG_MICROSOFT_ENDPOINT": PLACES[0] + "/",
            "AUTOTAG_MICROSOFT_API_KEY": "configured",
        },
    )
    assert layered(config, {}).resolve().value(KEY).reveal() == "configured"
    assert layered(config, {ENDPOINT: PLACES[1]}).resolve().value(KEY) is None


def test_a_key_that_cannot_be_decrypted_is_none() -> None:
    path = ("google", "api_key")
    assert layered({}, {path: Secret(None)}).resolve().value(path) is None


def test_a_wrong_key_of_app_config_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_config_layer(sections(), {"AUTOTAG_GOOGLE_API_KEY": "two words"})
    assert "two" not in str(caught.value)
    assert str(caught.value) == (
        "AUTOTAG_GOOGLE_API_KEY must be a key of ASCII letters, digits and symbols,"
        " without spaces."
    )
