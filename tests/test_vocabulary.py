from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from flask_autotag.models import KEY_LENGTH
from flask_autotag.vocabulary import (
    NAME_LENGTH,
    TagName,
    Vocabulary,
    Word,
    find_ring,
    join_words,
    tag_name,
)

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


KEYS = st.sampled_from(["a", "b", "c", "d"])
#: What words become, without a ring.
RENAMED = st.dictionaries(KEYS, KEYS).map(
    lambda pairs: {key: Word(becomes=becomes) for key, becomes in pairs.items()}
)
ACYCLIC = RENAMED.filter(lambda words: find_ring(words) is None)


def called(words: Mapping[str, Word], text: str) -> str:
    return Vocabulary(words).called(tag_name(text)).name


def test_a_word_is_called_what_its_new_name_is_called() -> None:
    words = {"tabby": Word(becomes="Cat"), "cat": Word(becomes="House Cat")}
    assert called(words, "Tabby") == "House Cat"
    assert called(words, "CAT") == "House Cat"
    assert called(words, "dog") == "dog"


def test_a_word_may_be_spelt_otherwise() -> None:
    assert called({"ibm": Word(becomes="IBM")}, "Ibm") == "IBM"


def test_a_chain_of_thousands_of_words_is_followed_to_its_end() -> None:
    # As many as a file has. Followed word by word anew, it would take hours.
    words = {f"w{number}": Word(becomes=f"w{number + 1}") for number in range(20_000)}
    assert find_ring(words) is None
    assert called(words, "w0") == called(words, "w19999") == "w20000"
    ring = {**words, "w20000": Word(becomes="w10000")}
    found = find_ring(ring)
    assert found is not None
    assert (found[0], found[-1], len(found)) == ("w10000", "w20000", 10_001)


def test_words_that_become_each_other_are_found() -> None:
    words = {key: Word(becomes=other) for key, other in ("ab", "bC", "cb", "dd")}
    assert find_ring(words) in (["b", "c"], ["c", "b"])
    assert find_ring({"d": Word(becomes="D"), "e": Word(becomes="d")}) is None


@given(ACYCLIC, ACYCLIC)
def test_system_and_instance_make_no_ring_together(
    system: dict[str, Word], instance: dict[str, Word]
) -> None:
    joined = join_words(system, instance)
    assert find_ring(joined) is None
    for key in "abcd":
        name = tag_name(called(joined, key))
        assert Vocabulary(joined).called(name).key == name.key


@given(ACYCLIC)
def test_an_instance_that_decides_nothing_is_as_the_system(
    system: dict[str, Word],
) -> None:
    assert join_words(system, {}) == system
    assert join_words({}, system) == system


def test_each_decision_of_an_instance_counts_by_itself() -> None:
    system = {"dog": Word(becomes="hound", blocked=True, threshold=0.7)}
    joined = join_words(system, {"dog": Word(blocked=False)})
    assert joined["dog"] == Word(becomes="hound", blocked=False, threshold=0.7)


def test_a_name_that_the_instance_gives_stays_what_it_is() -> None:
    system = {"cat": Word(becomes="feline")}
    assert called(join_words(system, {"tabby": Word(becomes="cat")}), "tabby") == "cat"
    assert called(join_words(system, {"dog": Word(blocked=True)}), "cat") == "feline"
