"""A key is found in untrusted texts, in any encoding."""

from __future__ import annotations

import base64
import html
import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flask_autotag.errors import (
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    TaggingError,
)
from flask_autotag.providers import remote_call
from flask_autotag.providers.base import Label, RemoteProvider, SentImage
from flask_autotag.providers.google_vision import HOST, GoogleVisionProvider
from flask_autotag.providers.http import Http, vendor_message
from flask_autotag.providers.redaction import FRAGMENT, WITHHELD, Redactor
from flask_autotag.settings.secret import Secret

KEY = "AIza-Secret+0123/of_the~shop"
#: Characters that nobody sees, and some that people put between parts.
BETWEEN = [
    chr(code)
    for code in (
        *(0x00, 0x07, 0x09, 0x0A, 0x0D, 0x1B, 0x20, 0x7F, 0x85, 0xA0, 0xAD, 0x34F),
        *(0x61C, 0x115F, 0x1160, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x2028),
        *(0x202E, 0x2060, 0x2064, 0x206A, 0x2800, 0x3000, 0x3164, 0xFE0F, 0xFEFF),
        *(0xFFA0, 0xFFF9, 0xE0001, 0xE0061, 0xE01EF, 0x0301),
    )
]


def spread(text: str, between: str) -> str:
    return between.join(text)


def widened(text: str) -> str:
    return "".join(chr(ord(each) + 0xFEE0) for each in text)


WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "lower case": str.lower,
    "upper case": str.upper,
    "full width": widened,
    "decomposed": lambda text: unicodedata.normalize("NFD", spread(text, "\u0308")),
    "percent-encoded": lambda text: "".join(f"%{ord(each):02x}" for each in text),
    "percent-encoded where needed": lambda text: quote(text, safe=""),
    "percent-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "HTML entities": lambda text: "".join(f"&#x{ord(each):x};" for each in text),
    "HTML": html.escape,
    "between entities": lambda text: spread(text, "&ZeroWidthSpace;"),
    "JSON escapes": lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    "escaped zero-width spaces": lambda text: spread(text, "\\u200b"),
    "escaped line breaks": lambda text: spread(text, "\\n"),
    "hexadecimal": lambda text: text.encode().hex(" "),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(
        text.encode()
    ).decode(),
    "base64 behind one": lambda text: base64.b64encode(b"x" + text.encode()).decode(),
    "base64 behind two": lambda text: base64.b64encode(b"k=" + text.encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(text.encode() * 3).decode(),
    "in quoted lines": lambda text: spread(text, "\r\n> "),
    "the first half": lambda text: text[: len(text) // 2],
    "the second half": lambda text: text[len(text) // 2 :],
    "cut off": lambda text: text[:-4] + "…",
}


@pytest.mark.parametrize("way", WRITTEN)
def test_however_it_is_written(way: str) -> None:
    written = WRITTEN[way](KEY)
    assert Redactor([KEY]).repeats(written)
    assert Redactor(["another", KEY]).repeats(f"No: {written}, sorry.")


@given(
    key=st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60
    ),
    way=st.sampled_from([*WRITTEN.values()][:4]),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    between=st.sampled_from(BETWEEN),
    data=st.data(),
)
def test_nothing_that_is_not_seen_hides_it(
    key: str,
    way: Callable[[str], str],
    before: str,
    after: str,
    between: str,
    data: st.DataObject,
) -> None:
    places = data.draw(st.lists(st.integers(0, len(key)), max_size=4).map(sorted))
    parts = [key[a:b] for a, b in zip([0, *places], [*places, len(key)], strict=True)]
    said = f"{before}{between.join(map(way, parts))}{after}"
    assert Redactor([key]).repeats(said)
    assert key.lower() not in vendor_message(said, key).lower() or len(key) < FRAGMENT


@given(st.text(st.characters(max_codepoint=0x7F, exclude_characters="qQ")))
@example("API key not valid. Please pass a valid API key.")
@example("The subscription is disabled. Retry after 20 seconds (request 4f3a-99).")
@example("%zz &#xffffffff; \\ud800 \\u12 &bogus; %")
def test_other_words_are_kept(said: str) -> None:
    assert not Redactor(["q" * 16]).repeats(said)


def test_what_a_vendor_says_without_the_key_is_passed_on() -> None:
    said = "API key not valid. Please pass a valid API key."
    assert vendor_message(said, KEY) == said
    assert vendor_message(said, "") == said
    assert vendor_message(f"Key {KEY} is bad", KEY) == "Key … is bad"
    assert vendor_message(f"Key {KEY.lower()} is bad", KEY) == WITHHELD
    assert vendor_message(f"Key {KEY[:9]} is bad", KEY) == WITHHELD
    assert vendor_message(f"Key ending in {KEY[-4:]} is bad", KEY).endswith(
        "shop is bad"
    )


def test_a_key_without_letters() -> None:
    key = "+-+-!!??==**"
    assert Redactor([key]).repeats(spread(key, "\u200b"))
    assert not Redactor([key]).repeats("A sentence, with a few signs: (1) + 2.")


class Trouble(ProviderRefused):
    """An error of another package, with other arguments."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(f"{number}: {words}")


SETTINGS = {
    "api_key": Secret(KEY, HOST),
    "endpoint": HOST,
    "old_key": Secret(None),
    "enabled": True,
}


def call(answer: Any, **other: Any) -> Any:
    """Call a provider that returns the labels, or raises the error."""

    class Vendor(GoogleVisionProvider):
        @classmethod
        def classify(cls, images: Any, settings: Any, http: Http) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    provider: type[RemoteProvider] = Vendor
    return remote_call.ask(
        provider, [SentImage(b"", 1, 1)], {**SETTINGS, **other}, Http()
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ProviderError(f"No: {KEY.lower()}"), ProviderError),
        (Trouble(7, KEY), ProviderRefused),
        (ProviderBusy(f"Wait, {KEY[:12]}", 7), ProviderBusy),
    ],
)
def test_an_error_of_any_provider(error: TaggingError, kind: type[Any]) -> None:
    error.__cause__ = ValueError(KEY)
    error.add_note(KEY)
    with pytest.raises(kind) as caught:
        call(error)
    [returned] = call([error])
    for each in (caught.value, returned):
        assert type(each) is kind
        assert str(each) == f"The provider failed: {WITHHELD}."
        assert each.__cause__ is each.__context__ is None
        assert getattr(each, "__notes__", []) == []
        assert getattr(each, "seconds", 7) == 7


def test_an_error_without_the_key_stays_as_it_is() -> None:
    error = Trouble(7, "The subscription ended.")
    error.__cause__ = ValueError(KEY)
    with pytest.raises(Trouble) as caught:
        call(error)
    assert caught.value is error
    assert error.__cause__ is None


def test_a_label_that_repeats_the_key_is_left_out() -> None:
    labels = [
        Label("/m/1", "cup", 0.9),
        Label("/m/2", spread(KEY, "\u200b"), 0.8),
        Label(KEY.upper(), "drink", 0.7),
    ]
    assert call([labels]) == [labels[:1]]


def test_answers_are_counted() -> None:
    with pytest.raises(ProviderError, match="gave no usable answer"):
        call([])


def test_a_key_for_another_endpoint_is_not_used() -> None:
    """Code changed the settings after they were resolved."""
    with pytest.raises(ProviderRefused) as caught:
        call(AssertionError("sent"), endpoint="https://eu-vision.googleapis.com")
    assert str(caught.value) == (
        "The API key of Google Cloud Vision was saved for another endpoint: enter it"
        " again."
    )
