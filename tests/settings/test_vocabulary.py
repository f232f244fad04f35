from __future__ import annotations

import subprocess
import sys
import unicodedata
from collections.abc import Mapping

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from flask_autotag.db.columns import KEY_LENGTH
from flask_autotag.host.assets import NAME_LENGTH
from flask_autotag.settings.tag_names import TagName, tag_name
from flask_autotag.settings.vocabulary import (
    Vocabulary,
    WordRule,
    combine_rules,
    find_circle,
)

#: Any text that JSON can represent, including lone surrogates.
TEXTS = st.text(st.characters(), max_size=40)
#: Latin, Greek and Cyrillic letters, and ligatures.
LETTERS = st.sampled_from(
    ["ß", "é", "ø", "ñ", "ğ", "ž", *"abcxyz", "\ufb01", "\ufb03", "\u03c2"]
    + [chr(code) for start in (0x3B1, 0x430) for code in range(start, start + 17)]
)


def named(text: str) -> TagName:
    """Return a tag's name, or reject the example if it has none."""
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
        ("ﬁg", "ﬁg", "fig"),
        ("\uff24\uff4f\uff47", "\uff24\uff4f\uff47", "dog"),
        ("H₂O", "H₂O", "h2o"),
        # Thai: the compatibility form writes another vowel after the tone.
        ("น้ำ", "น้ำ", "น\u0e49\u0e4d\u0e32"),
        ("caf\u0065\u0301", "caf\u00e9", "caf\u00e9"),
        ("\u00a0dog\u3000", "dog", "dog"),
        ("d\0o\x07g", "dog", "dog"),
        ("\u202edog\u202c", "dog", "dog"),
        ("\ufeffdog\u200b", "dog", "dog"),
        ("d\ud800og", "dog", "dog"),
        ("<b>dog</b>", "<b>dog</b>", "<b>dog</b>"),
        ("犬", "犬", "犬"),
        ("\u2800⠙⠕⠛\u2800⠁\u2800", "⠙⠕⠛ ⠁", "⠙⠕⠛ ⠁"),
        ("\u060012", "\u060012", "\u060012"),
        # Turkish: the dotted capital folds to two characters, the dotless small letter
        # stays.
        ("İstanbul", "İstanbul", "i\u0307stanbul"),
        ("ISPARTA", "ISPARTA", "isparta"),
        ("\u0131sparta", "\u0131sparta", "\u0131sparta"),
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
@example("\u0345")
@example("\u1fb3\u0300")
def test_a_key_is_its_own_key(text: str) -> None:
    key = named(text).key
    assert tag_name(key).key == key


@given(TEXTS)
@example("ΐ" * 30)
@example("ﷺ" * 5)
def test_a_name_has_no_strange_characters_and_fits_its_columns(text: str) -> None:
    made = named(text)
    assert made.name == unicodedata.normalize("NFC", made.name)
    assert made.key == unicodedata.normalize("NFKC", made.key)
    for value in (made.name, made.key):
        assert not {unicodedata.category(each) for each in value} & {"Cc", "Cs"}
        assert value == " ".join(value.split())
        value.encode()
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
    for form in ("NFC", "NFD"):
        assert tag_name(unicodedata.normalize(form, text)) == made
    for form in ("NFKC", "NFKD"):
        assert named(unicodedata.normalize(form, text)).key == made.key


#: Joiners, selectors, direction controls, invisible marks, fillers, blanks.
UNSEEN = st.sampled_from(
    "\0\x1b\x7f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180e\u200b\u200c\u200d"
    "\u200e\u200f\u202a\u202e\u2060\u2064\u2066\u2069\u206f\u3164\ufe00\ufe0e\ufe0f\ufeff"
    "\uffa0\ufff9\ufffb\ufffc\U00016fe4\U0001bca0\U0001d159\U0001d173\U000e0100\U000e01ef"
)
TAG_CHARACTERS = st.sampled_from("\U000e0001\U000e0020\U000e0067\U000e007f")
#: Words that need joiners or selectors, and others.
WORDS = [
    "abc",
    "Straße",
    "می\u200cرویم",
    "नमस्ते",
    "क्\u200dष",
    "क्\u200cष",
    "ශ්\u200dරී",
    "র\u200d্যাব",
    "葛\U000e0100飾",
    "ᠮᠣᠩᠭᠣᠯ\u180eᠠ",
    "👨\u200d👩\u200d👧",
    "👩🏽\u200d🚀",
    "❤\ufe0f\u200d🔥",
    "🏴\u200d☠\ufe0f",
    "1\ufe0f\u20e3",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "🏴\ufe0f\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
]


@pytest.mark.parametrize("word", WORDS)
def test_a_name_keeps_what_is_needed_to_write_it(word: str) -> None:
    assert tag_name(word).name == word


@given(st.sampled_from(WORDS) | TEXTS, st.text(UNSEEN, max_size=5), st.integers(0, 20))
@example("می\u200cرویم", "\u200c", 2)
@example("می\u200cرویم", "\u200e", 2)
@example("🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "\ufe0e", 1)
def test_what_cannot_be_seen_makes_no_other_tag(
    text: str, unseen: str, position: int
) -> None:
    key = named(text).key
    assert tag_name(text[:position] + unseen + text[position:]).key == key


@given(st.sampled_from(WORDS), UNSEEN | TAG_CHARACTERS)
def test_what_cannot_be_seen_at_the_end_makes_no_other_tag(
    text: str, unseen: str
) -> None:
    assert tag_name(text + unseen).key == tag_name(text).key


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("می\u200c\u200cرویم", "می\u200cرویم"),
        ("می\u200e\u200c\u200fرویم", "می\u200cرویم"),
        # After a letter that does not join, it changes nothing.
        ("دو\u200cرو", "دورو"),
        ("dog\u200d", "dog"),
        ("1\ufe0f", "1"),
        ("❤\ufe0f\ufe0f", "❤\ufe0f"),
        ("❤\u200d", "❤"),
        ("葛\U000e0100\U000e0101", "葛\U000e0100"),
        # A flag that is not complete, and one that no font has.
        ("🏴\U000e0067\U000e0062", "🏴"),
        ("🏴\U000e0078\U000e0078\U000e0078\U000e0078\U000e007f", "🏴"),
        ("dog\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "dog"),
    ],
)
def test_what_is_not_needed_goes(text: str, name: str) -> None:
    assert tag_name(text).name == name


def test_what_is_seen_makes_another_tag() -> None:
    flags = [word for word in WORDS if word.startswith("🏴")]
    assert len({tag_name(flag).key for flag in [*flags, "🏴"]}) == len(flags) + 1


def test_joiners_are_ignored_where_tags_are_compared() -> None:
    assert tag_name("می\u200cرویم").key == tag_name("میرویم").key
    assert tag_name("❤\ufe0f").key == tag_name("❤").key


@given(st.text(UNSEEN | TAG_CHARACTERS | st.sampled_from(" \u2800\u3000\xa0")))
@example("\u2800")
@example("\u3164")
@example("\U000e0067\U000e007f")
def test_a_name_of_nothing_that_is_seen_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        tag_name(text)
    sentence = f"a tag needs a name that can be seen, not {text!a:.80}"
    assert str(caught.value) == sentence


@pytest.mark.parametrize("text", ["", "  \t\n", "\ud800", "\u202e"])
def test_a_name_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        tag_name(text)
    assert str(caught.value) == f"a tag needs a name that can be seen, not {text!a}"


def test_ascii_names_import_no_further_package() -> None:
    program = (
        "import sys; from flask_autotag.settings.vocabulary import tag_name;"
        "tag_name('dog'); assert 'regex' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_name_has_at_most_100_characters() -> None:
    assert tag_name("x" * 100).name == "x" * 100
    with pytest.raises(ValueError) as caught:
        tag_name("x" * 101)
    assert str(caught.value) == "a tag's name has at most 100 characters"


def test_the_length_is_that_of_the_normal_form() -> None:
    assert len(tag_name("  " * 200 + "x" * 100).name) == 100
    assert len(tag_name("ﬃ" * 33).key) == 99
    for long in ("ﬃ" * 34, "ﷺ" * 6, "क्\u200d" * 34):
        with pytest.raises(ValueError, match="at most 100"):
            tag_name(long)


def test_a_text_of_megabytes_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="at most 100"):
        tag_name("e\u200d" * 1_000_000)


KEYS = st.sampled_from(["a", "b", "c", "d"])
#: Words that become others, without a circle.
RENAMED = st.dictionaries(KEYS, KEYS).map(
    lambda pairs: {key: WordRule(becomes=becomes) for key, becomes in pairs.items()}
)
ACYCLIC = RENAMED.filter(lambda words: find_circle(words) is None)


def called(words: Mapping[str, WordRule], text: str) -> str:
    return Vocabulary(words).called(tag_name(text)).name


def test_a_word_is_called_what_its_new_name_is_called() -> None:
    words = {"tabby": WordRule(becomes="Cat"), "cat": WordRule(becomes="House Cat")}
    assert called(words, "Tabby") == "House Cat"
    assert called(words, "CAT") == "House Cat"
    assert called(words, "dog") == "dog"


def test_a_word_may_be_spelt_otherwise() -> None:
    assert called({"ibm": WordRule(becomes="IBM")}, "Ibm") == "IBM"


def test_a_chain_of_thousands_of_words_is_followed_to_its_end() -> None:
    # As many words as a file has. Following each word separately would take hours.
    words = {
        f"w{number}": WordRule(becomes=f"w{number + 1}") for number in range(20_000)
    }
    assert find_circle(words) is None
    assert called(words, "w0") == called(words, "w19999") == "w20000"
    ring = {**words, "w20000": WordRule(becomes="w10000")}
    found = find_circle(ring)
    assert found is not None
    assert (found[0], found[-1], len(found)) == ("w10000", "w20000", 10_001)


def test_words_that_become_each_other_are_found() -> None:
    words = {key: WordRule(becomes=other) for key, other in ("ab", "bC", "cb", "dd")}
    assert find_circle(words) in (["b", "c"], ["c", "b"])
    assert find_circle({"d": WordRule(becomes="D"), "e": WordRule(becomes="d")}) is None


@given(ACYCLIC, ACYCLIC)
def test_system_and_instance_make_no_ring_together(
    system: dict[str, WordRule], instance: dict[str, WordRule]
) -> None:
    joined = combine_rules(system, instance)
    assert find_circle(joined) is None
    for key in "abcd":
        name = tag_name(called(joined, key))
        assert Vocabulary(joined).called(name).key == name.key


@given(ACYCLIC)
def test_an_instance_that_decides_nothing_is_as_the_system(
    system: dict[str, WordRule],
) -> None:
    assert combine_rules(system, {}) == system
    assert combine_rules({}, system) == system


def test_each_decision_of_an_instance_counts_by_itself() -> None:
    system = {"dog": WordRule(becomes="hound", blocked=True, threshold=0.7)}
    joined = combine_rules(system, {"dog": WordRule(blocked=False)})
    assert joined["dog"] == WordRule(becomes="hound", blocked=False, threshold=0.7)


def test_a_name_that_the_instance_gives_stays_what_it_is() -> None:
    system = {"cat": WordRule(becomes="feline")}
    assert (
        called(combine_rules(system, {"tabby": WordRule(becomes="cat")}), "tabby")
        == "cat"
    )
    assert (
        called(combine_rules(system, {"dog": WordRule(blocked=True)}), "cat")
        == "feline"
    )
