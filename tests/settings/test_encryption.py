from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag import ConfigurationError
from flask_autotag.settings.encryption import Sealer, sealer_for
from flask_autotag.settings.secret import Secret

OLD, NEW = "old" * 11, "new" * 11
PATH = ("google", "api_key")
TEXT = "AIzaSyD-0123456789"


@given(
    text=st.text(min_size=1), bound=st.none() | st.text(), instance=st.text(max_size=5)
)
def test_what_is_sealed_can_be_opened(
    text: str, bound: str | None, instance: str
) -> None:
    sealer = Sealer([NEW])
    sealed = sealer.seal(instance, PATH, Secret(text, bound))
    assert sealer.open(instance, PATH, sealed) == Secret(text, bound)


def test_nothing_of_it_can_be_read() -> None:
    sealed = Sealer([NEW]).seal("shop", PATH, Secret(TEXT))
    raw = base64.urlsafe_b64decode(sealed)
    for clear in (TEXT, "shop", "google"):
        assert clear not in sealed
        assert clear.encode() not in raw


@pytest.mark.parametrize(
    ("instance", "path"),
    [("news", PATH), ("", PATH), ("shop", ("microsoft", "api_key"))],
)
def test_it_is_good_for_its_place_alone(instance: str, path: tuple[str, str]) -> None:
    sealed = Sealer([NEW]).seal("shop", PATH, Secret(TEXT))
    assert not Sealer([NEW]).open(instance, path, sealed).is_readable


@pytest.mark.parametrize("secrets", [[OLD], []])
def test_without_its_key_it_stays_closed(secrets: list[str]) -> None:
    sealed = Sealer([NEW]).seal("shop", PATH, Secret(TEXT))
    assert not Sealer(secrets).open("shop", PATH, sealed).is_readable


@pytest.mark.parametrize("nonsense", ["", "nonsense", "ü"])
def test_what_was_never_sealed_stays_closed(nonsense: str) -> None:
    assert not Sealer([NEW]).open("shop", PATH, nonsense).is_readable


def test_keys_rotate() -> None:
    sealed = Sealer([OLD]).seal("shop", PATH, Secret(TEXT))
    both = Sealer([NEW, OLD])
    assert both.open("shop", PATH, sealed).reveal() == TEXT
    rotated = both.rotate(sealed)
    assert rotated is not None
    assert Sealer([NEW]).open("shop", PATH, rotated).reveal() == TEXT
    assert not Sealer([OLD]).open("shop", PATH, rotated).is_readable
    assert Sealer([OLD]).rotate(rotated) is None


def test_without_a_key_nothing_can_be_stored() -> None:
    assert not Sealer([]).is_ready
    with pytest.raises(ConfigurationError) as caught:
        Sealer([]).seal("", PATH, Secret(TEXT))
    assert str(caught.value) == (
        "API keys cannot be stored: set AUTOTAG_SECRET_KEYS or SECRET_KEY."
    )


def test_the_hosts_own_secrets_serve_where_there_are_no_others() -> None:
    config = {"SECRET_KEY": b"bytes of the host", "SECRET_KEY_FALLBACKS": [OLD]}
    sealed = sealer_for(None, {"SECRET_KEY": OLD}).seal("", PATH, Secret(TEXT))
    assert sealer_for(None, config).open("", PATH, sealed).reveal() == TEXT
    assert not sealer_for([NEW], config).open("", PATH, sealed).is_readable
    assert not sealer_for(None, {"SECRET_KEY": None}).is_ready
