from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from flask_autotag.models import KEY_LENGTH, NAME_LENGTH
from flask_autotag.vocabulary import TagName, tag_name

#: Everything that JSON can carry, lone surrogates too.
TEXTS = st.text(st.characters(), max_size=40)
#: Latin, Greek and Cyrillic letters, and ligatures.
LETTERS = st.sampled_from(
    ["ß", "é", "ø", "ñ", "ğ", "ž", *"abcxyz", "\ufb01", "\ufb03", "\u03c2"]
    + [chr(code) for start in (0x3B1, 0x430) for code in range(start, start + 17)]
)


def named(text: str) -> TagName:
    """Make a tag's name, or give the example up if that makes none."""
    try:
        return tag_name(text)
    except ValueError:
        assume(False)
        raise


@pytest.mark.parametrize(
    ("text", "name", "key"),
    [
        ("dog", "dog", "dog"),
        ("Great  White\tShark\n", "Great White Shark", "great white shark"),
        ("Straße", "Straße", "strasse"),
        ("ﬁg", "fig", "fig"),
        ("\uff24\uff4f\uff47", "Dog", "dog"),
        ("caf\u0065\u0301", "caf\u00e9", "caf\u00e9"),
        ("\u00a0dog\u3000", "dog", "dog"),
        ("d\0o\x07g", "dog", "dog"),
        ("\u202edog\u202c", "dog", "dog"),
        ("\ufeffdog\u200b", "dog", "dog"),
        ("d\ud800og", "dog", "dog"),
        ("<b>dog</b>", "<b>dog</b>", "<b>dog</b>"),
        ("犬", "犬", "犬"),
    ],
)
def test_a_name_is_brought_into_normal_form(text: str, name: str, key: str) -> None:
    assert tag_name(text) == TagName(key=key, name=name)


@given(TEXTS)
@example("e\u200d\u0301")
@example("\u00a8")
@example("\u0345")
def test_a_name_in_normal_form_stays_as_it_is(text: str) -> None:
    made = named(text)
    assert tag_name(made.name) == made


@given(TEXTS)
@example("ΐ" * 30)
def test_a_name_has_no_strange_characters_and_fits_its_columns(text: str) -> None:
    made = named(text)
    for value in (made.name, made.key):
        assert value == unicodedata.normalize("NFKC", value)
        assert not {unicodedata.category(each) for each in value} & {"Cc", "Cf", "Cs"}
        value.encode()
    assert made.name == " ".join(made.name.split())
    assert 0 < len(made.name) <= NAME_LENGTH
    assert 0 < len(made.key) <= KEY_LENGTH


@given(st.text(LETTERS, min_size=1))
def test_a_name_is_the_same_tag_in_every_case(text: str) -> None:
    key = named(text).key
    assert named(text.upper()).key == key
    assert named(text.lower()).key == key
    assert named(text.swapcase()).key == key


@given(TEXTS)
def test_a_name_is_the_same_tag_in_every_unicode_form(text: str) -> None:
    made = named(text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert tag_name(unicodedata.normalize(form, text)) == made


@given(
    st.text("abc ", min_size=1).filter(str.strip),
    st.sampled_from("\0\x1b\x7f\u200b\u200e\u202e\u2066\ufeff"),
    st.integers(0, 20),
)
def test_what_cannot_be_seen_makes_no_other_tag(
    text: str, unseen: str, position: int
) -> None:
    assert tag_name(text[:position] + unseen + text[position:]) == tag_name(text)


@pytest.mark.parametrize("text", ["", "  \t\n", "\0", "\u200b\u202e", "\ud800"])
def test_a_name_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        tag_name(text)
    assert str(caught.value) == f"a tag needs a name, not {text!r}"


def test_a_name_has_at_most_100_characters() -> None:
    assert tag_name("x" * 100).name == "x" * 100
    with pytest.raises(ValueError) as caught:
        tag_name("x" * 101)
    assert str(caught.value) == "a tag's name has at most 100 characters"


def test_the_length_is_that_of_the_normal_form() -> None:
    assert len(tag_name("  " * 200 + "x" * 100).name) == 100
    with pytest.raises(ValueError, match="at most 100"):
        tag_name("ﬃ" * 34)
