"""Removes invisible characters from names, and unprintable ones from messages.

Invisible characters that a script needs are kept. The sets are Unicode properties, from
the package ``regex``. The contexts in which invisible characters are needed come from
UAX #31 (joiners in Arabic and Indic scripts), UTS #51 (emoji) and UTS #37 (variants of
ideographs). ``regex`` is imported at the first name that is not ASCII.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

#: The Braille blank, which is not white space in Unicode.
_BRAILLE_BLANK = "\u2800"
#: Invisible, although not default-ignorable: the object replacement character, the
#: Khitan filler, and the musical null notehead.
_BLANK = r"\uFFFC\U00016FE4\U0001D159"
_JOINERS = r"\u200C\u200D"
#: The free variation selectors and the vowel separator of Mongolian, and the
#: variation selectors of all scripts.
_SELECTORS = r"\u180B-\u180F\uFE00-\uFE0F\U000E0100-\U000E01EF"
_TAGS = r"\U000E0020-\U000E007F"
_UNSEEN = (
    r"[[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Cs}" + _BLANK + "]"
    # Arabic signs that precede a number are visible.
    r"--\p{Prepended_Concatenation_Mark}]"
)

#: Marks beside a virama: those whose combining class is not 0.
_MARKS = r"[\p{M}--\p{ccc=0}]*"
_VIRAMA = r"\p{L}\p{M}*\p{ccc=9}" + _MARKS
_PICTURE = r"\p{Extended_Pictographic}"
#: The contexts in which a joiner or selector is needed.
_NEEDED = "|".join(
    (
        # UAX #31, A1: a letter that joins to the left of one that joins, as in Persian.
        r"(?<=[\p{jt=L}\p{jt=D}]\p{jt=T}*)\u200C(?=\p{jt=T}*[\p{jt=R}\p{jt=D}])",
        # UAX #31, A2: after a virama and before a letter, as in Hindi.
        rf"(?<={_VIRAMA})\u200C(?={_MARKS}\p{{L}})",
        # UAX #31, B: after a virama.
        rf"(?<={_VIRAMA})\u200D(?!\p{{InSC=Vowel_Dependent}})",
        # The Unicode Standard, 12.2: the ra before a ya-phalaa of Bengali.
        r"(?<=\p{L})\u200D(?=\p{ccc=9}\p{L})",
        # UTS #51: a sequence of several emoji, such as a family.
        rf"(?<={_PICTURE}\p{{Emoji_Modifier}}?\uFE0F?)\u200D(?={_PICTURE})",
        # UTS #51: emoji or text presentation, and keycaps.
        rf"(?<={_PICTURE})[\uFE0E\uFE0F]",
        r"(?<=[0-9#*])\uFE0F(?=\u20E3)",
        # UTS #37 and the standardized variants: a form of an ideograph.
        r"(?<=\p{Script=Han})[\uFE00-\uFE02\U000E0100-\U000E01EF]",
        # The Unicode Standard, 13.5: the forms of Mongolian letters.
        r"(?<=\p{Script=Mongolian})[\u180B-\u180D\u180F]",
        r"(?<=\p{Script=Mongolian})\u180E(?=\p{Script=Mongolian})",
    )
)
#: The flags of England, Scotland and Wales: the only sequences of tag characters that
#: are recommended for interchange (RGI_Emoji_Tag_Sequence, UTS #51).
_FLAGS = "|".join(
    "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"
    for region in ("gbeng", "gbsct", "gbwls")
)
_FLAG = rf"(?<=\U0001F3F4[\uFE0E\uFE0F]?)(?:{_FLAGS})"


def clean_name(text: str) -> str:
    """Return a name without unneeded invisible characters and extra blanks.

    :return: in the normalization form NFC; empty if nothing of it is visible.
    """
    before = None
    # A removal makes other characters neighbours, which the next round looks at.
    while text != before:
        before = text
        text = _fold_blanks(unicodedata.normalize("NFC", text))
        if text.isascii():
            text = "".join(filter(str.isprintable, text))
        elif _patterns().has_unseen(text):
            for drop in _patterns().drops:
                text = drop(text)
    return text


def visible(text: str) -> str:
    """Return only the visible characters, without joiners or selectors, to compare."""
    if not text.isascii() and _patterns().has_unseen(text):
        text = _patterns().drop_unseen(text)
    return _fold_blanks(text)


def printable(text: str) -> str:
    r"""Return a name as one line of printable characters, for logs and terminals.

    Control characters, line separators, bidirectional controls and lone surrogates are
    escaped as in Python, such as ``\x1b``.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def one_line(value: Any, length: int) -> str:
    """Return a text that every database can store and every page can show.

    :param length: characters to keep.
    :return: the text with a space for each unprintable character.
    :raises ValueError: if *value* is not a string.
    """
    if not isinstance(value, str):
        raise ValueError("not a string")
    return "".join(each if each.isprintable() else " " for each in value[:length])


def _fold_blanks(text: str) -> str:
    return " ".join(text.replace(_BRAILLE_BLANK, " ").split())


@dataclass(frozen=True)
class _Patterns:
    """Compiled regular expressions.

    :param has_unseen: finds a character that may be invisible.
    :param drops: called one after the other, they remove unneeded characters.
    :param drop_unseen: removes all invisible characters.
    """

    has_unseen: Callable[[str], Any]
    drops: tuple[Callable[[str], str], ...]
    drop_unseen: Callable[[str], str]


@cache
def _patterns() -> _Patterns:
    import regex

    def dropping(unseen: str, kept: str | None = None) -> Callable[[str], str]:
        pattern: Any = regex.compile(
            f"({kept})|{unseen}" if kept else unseen, regex.VERSION1
        )
        return lambda text: pattern.sub(r"\1" if kept else "", text)

    return _Patterns(
        has_unseen=regex.compile(f"[{_UNSEEN}]", regex.VERSION1).search,
        drops=(
            dropping(f"[{_UNSEEN}--[{_JOINERS}{_SELECTORS}{_TAGS}]]"),
            dropping(f"(?<=[{_JOINERS}])[{_JOINERS}]+"),
            dropping(f"[{_JOINERS}{_SELECTORS}]", _NEEDED),
            dropping(f"[{_TAGS}]", _FLAG),
        ),
        drop_unseen=dropping(f"[{_UNSEEN}]", _FLAG),
    )
