from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from flask_autotag import ConfigurationError
from flask_autotag.errors import ProviderError
from flask_autotag.providers import registry
from flask_autotag.providers.base import Label, Provider, RemoteProvider, SentImage
from flask_autotag.providers.http import Http
from flask_autotag.providers.registry import (
    BUNDLED,
    GROUP,
    enabled,
    find,
    local_enabled,
    providers,
    sections,
)
from flask_autotag.providers.tensorflow.provider import TensorFlowProvider
from flask_autotag.settings import checks
from flask_autotag.settings.fields import GENERAL, Field, Section
from flask_autotag.settings.resolution import read_settings


def test_a_provider_is_found_by_its_name() -> None:
    assert find("tensorflow") is TensorFlowProvider


def test_an_unknown_provider_is_not_found() -> None:
    with pytest.raises(LookupError) as caught:
        find("nobody")
    assert caught.value.args == ("There is no provider 'nobody'.",)


def test_the_general_section_comes_first_and_each_provider_has_one() -> None:
    assert sections() == (GENERAL, *(provider.section for provider in providers()))
    assert [provider.name for provider in providers()] == [
        provider.section.name for provider in providers()
    ]


def test_a_provider_that_is_turned_off_is_not_used() -> None:
    on = read_settings(sections(), {})
    off = read_settings(sections(), {"AUTOTAG_TENSORFLOW_ENABLED": False})
    assert enabled(on) == local_enabled(on) == [TensorFlowProvider]
    assert enabled(off) == local_enabled(off) == []


def test_a_provider_elsewhere_is_not_asked_here() -> None:
    on = read_settings(sections(), {"AUTOTAG_GOOGLE_ENABLED": True})
    assert [provider.name for provider in enabled(on)] == ["tensorflow", "google"]
    assert local_enabled(on) == [TensorFlowProvider]
    with pytest.raises(LookupError):
        find("google")


def entry(value: str) -> EntryPoint:
    return EntryPoint("mine", value, GROUP)


@pytest.fixture
def announce(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Let packages announce providers."""

    def announce(*values: str) -> None:
        entries = [entry(value) for value in values]
        monkeypatch.setattr(registry, "entry_points", lambda group: entries)
        providers.cache_clear()

    yield announce
    providers.cache_clear()


def test_a_provider_of_another_package(announce: Callable[..., None]) -> None:
    announce(f"{__name__}:Mine")
    assert providers() == (*BUNDLED, Mine)
    assert sections()[-1].key(Mine.section.fields[0]) == "AUTOTAG_MINE_ENABLED"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_package:Mine", "cannot be imported (ModuleNotFoundError: No module"),
        (f"{__name__}:entry", "is not a subclass of Provider."),
        (f"{__name__}:Nameless", "needs a name of lower-case letters, digits and"),
        (f"{__name__}:Misnamed", "needs a section with the same name."),
        (f"{__name__}:Bare", "needs the fields 'enabled' and 'confidence_threshold'."),
        (f"{__name__}:Neither", "has to be a LocalProvider or a RemoteProvider."),
        (f"{__name__}:Abstract", "does not define all abstract members: classify."),
        (f"{__name__}:Doubled", "has a field 'enabled' twice."),
        (
            f"{__name__}:Unbound",
            "has a field 'key' that is bound to 'place', which is no",
        ),
        (
            f"{__name__}:Percent",
            "has a field 'share' whose check refuses its default (CheckError: must be",
        ),
        (f"{__name__}:Second", "has the name 'tensorflow' of another provider."),
    ],
)
def test_a_provider_that_cannot_be_used_is_named_with_its_fault(
    announce: Callable[..., None], value: str, message: str
) -> None:
    announce(value)
    with pytest.raises(ConfigurationError) as caught:
        providers()
    assert value in str(caught.value)
    assert message in str(caught.value)


FIELDS = (
    Field("enabled", False, checks.boolean, "On", "Help."),
    Field("confidence_threshold", 0.5, checks.fraction, "Threshold", "Help."),
)


def section(name: str, *fields: Field) -> Section:
    return Section(name, "My provider", (*FIELDS, *fields))


class Usable(RemoteProvider):
    """Defines all methods; subclasses declare something wrong."""

    @classmethod
    def model(cls, settings: Mapping[str, Any]) -> str:
        return "1"

    @classmethod
    def classify(
        cls, images: Sequence[SentImage], settings: Mapping[str, Any], http: Http
    ) -> list[list[Label] | ProviderError]:
        return [[] for _ in images]


class Mine(Usable):
    name = "mine"
    section = section("mine")


class Nameless(Usable):
    name = "My own"


class Misnamed(Usable):
    name = "mine"
    section = section("other")


class Bare(Usable):
    name = "mine"
    section = Section("mine", "My provider", FIELDS[:1])


class Neither(Provider):
    name = "mine"
    section = section("mine")


class Abstract(RemoteProvider):
    name = "mine"
    section = section("mine")

    @classmethod
    def model(cls, settings: Mapping[str, Any]) -> str:
        return "1"


class Doubled(Usable):
    name = "mine"
    section = section("mine", FIELDS[0])


class Unbound(Usable):
    name = "mine"
    section = section(
        "mine", Field("key", None, checks.secret, "Key", "Help.", bound_to="place")
    )


class Percent(Usable):
    name = "mine"
    section = section("mine", Field("share", 50, checks.fraction, "Share", "Help."))


class Second(Usable):
    name = "tensorflow"
    section = section("tensorflow")
