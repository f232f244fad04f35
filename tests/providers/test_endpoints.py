from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag.providers.azure_vision import HOSTS
from flask_autotag.providers.endpoints import Endpoint
from flask_autotag.settings.checks import origins

EXAMPLE = "https://my-resource.cognitiveservices.azure.com"
check = Endpoint(EXAMPLE, suffixes=HOSTS)


@pytest.mark.parametrize(
    ("given_", "accepted"),
    [
        (None, None),
        (EXAMPLE, EXAMPLE),
        (f" {EXAMPLE}/ ", EXAMPLE),
        (EXAMPLE.upper().replace("HTTPS", "https"), EXAMPLE),
        (
            "https://westeurope.api.cognitive.microsoft.com/",
            "https://westeurope.api.cognitive.microsoft.com",
        ),
        (
            "https://x.cognitiveservices.azure.cn",
            "https://x.cognitiveservices.azure.cn",
        ),
    ],
)
def test_hosts_of_the_vendor_are_accepted(
    given_: str | None, accepted: str | None
) -> None:
    assert check(given_) == accepted


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ("http://a.cognitiveservices.azure.com", "must begin with https://, such as"),
        ("a.cognitiveservices.azure.com", "must begin with https://, such as"),
        ("https://u:p@a.cognitiveservices.azure.com", "must not contain a user's name"),
        ("https://@a.cognitiveservices.azure.com", "must not contain a user's name"),
        ("https://a.cognitiveservices.azure.com:8443", "must not contain a port"),
        ("https://a.cognitiveservices.azure.com:x", "must not contain a port"),
        ("https://127.0.0.1", "must name a host, such as"),
        ("https://[::1]", "must name a host, such as"),
        ("https://[::1", "must be an address, not 'https://[::1'"),
        ("https://169.254.169.254/latest", "must end after the host's name"),
        ("https://a.cognitiveservices.azure.com/vision", "must end after the host's"),
        ("https://a.cognitiveservices.azure.com?x=1", "must end after the host's"),
        ("https://evil.example", "must be a host of the vendor, such as"),
        ("https://cognitiveservices.azure.com", "must be a host of the vendor"),
        ("https://.cognitiveservices.azure.com", "must be a host of the vendor"),
        ("https://a.b.cognitiveservices.azure.com", "must be a host of the vendor"),
        ("https://evil.example#.cognitiveservices.azure.com", "must end after the"),
        ("https://a.cognitiveservices.azure.com.evil.example", "must be a host of"),
        ("https://acognitiveservices.azure.com", "must be a host of the vendor"),
        ("https://a\\.cognitiveservices.azure.com", "must be a host of the vendor"),
        ("https://ä.cognitiveservices.azure.com", "must be a host of the vendor"),
        ("", "must be a text, not ''"),
        ("https://" + "a" * 600, "must be at most 500 characters long, not 608"),
        ("https://a.cognitiveservices.azure.com\0", "must be a text of one line"),
    ],
)
def test_all_others_are_refused(given_: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        check(given_)
    assert str(caught.value).startswith(message)


def test_where_there_is_no_vendor_the_configuration_is_named() -> None:
    own = Endpoint("http://127.0.0.1:8501")
    for address in ("http://127.0.0.1:8501", "https://example.com"):
        with pytest.raises(ValueError) as caught:
            own(address)
        assert str(caught.value) == (
            "must be an address that AUTOTAG_ALLOWED_ORIGINS names, such as"
            f" http://127.0.0.1:8501, not {address!r}"
        )


@given(text=st.text())
def test_what_is_accepted_is_https_at_the_vendor(text: str) -> None:
    for address in (text, f"https://{text}", f"https://{text}{HOSTS[0]}"):
        try:
            accepted = check(address)
        except ValueError:
            continue
        assert accepted is not None
        assert accepted.startswith("https://")
        assert accepted.endswith(HOSTS)
        assert check(accepted) == accepted
        assert not set(accepted.removeprefix("https://")) & set("/@:?#\\")


def test_more_is_accepted_only_where_the_configuration_allows_it() -> None:
    allowing = check.allowing(origins("http://127.0.0.1:8501/, https://Vision.Local"))
    assert allowing("http://127.0.0.1:8501/") == "http://127.0.0.1:8501"
    assert allowing("https://vision.local") == "https://vision.local"
    assert allowing(EXAMPLE) == EXAMPLE
    for other in ("http://127.0.0.1:8502", "http://127.0.0.1:8501/x", "https://local"):
        with pytest.raises(ValueError):
            allowing(other)


@pytest.mark.parametrize(
    "value", ["ftp://x", "http://x/y", "http://u@x", "x", "http://", [7], 7]
)
def test_what_is_no_origin(value: object) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        origins(value)
