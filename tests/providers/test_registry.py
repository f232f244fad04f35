from __future__ import annotations

import pytest

from flask_autotag.providers.registry import PROVIDERS, enabled, find, sections
from flask_autotag.providers.tensorflow import TensorFlowProvider
from flask_autotag.settings import GENERAL, read_settings


def test_a_provider_is_found_by_its_name() -> None:
    for provider in PROVIDERS:
        assert find(provider.name) is provider


def test_an_unknown_provider_is_not_found() -> None:
    with pytest.raises(LookupError) as caught:
        find("nobody")
    assert caught.value.args == ("There is no provider 'nobody'.",)


def test_the_general_section_comes_first_and_each_provider_has_one() -> None:
    assert sections() == (GENERAL, *(provider.section for provider in PROVIDERS))
    assert [provider.name for provider in PROVIDERS] == [
        provider.section.name for provider in PROVIDERS
    ]


def test_a_provider_that_is_turned_off_is_not_used() -> None:
    on = read_settings(sections(), {})
    off = read_settings(sections(), {"AUTOTAG_TENSORFLOW_ENABLED": False})
    assert enabled(on) == [TensorFlowProvider]
    assert enabled(off) == []
