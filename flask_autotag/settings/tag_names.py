"""The normal form of tag names, and the key that equal names share."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ..characters import clean_name, visible
from ..host.assets import NAME_LENGTH

#: The most characters of a text, including invisible ones, that is read as a name.
_MOST_CHARACTERS = 10 * NAME_LENGTH
#: Names in the cache: a model has some thousand labels.
_CACHE_SIZE = 4096


@dataclass(frozen=True)
class TagName:
    """A name in normal form.

    :param key: equal for names that are the same tag.
    :param name: the name that people see.
    """

    key: str
    name: str


def tag_name(text: str) -> TagName:
    """Return a name in normal form.

    Control characters and invisible characters are removed, except joiners and
    variation selectors that a script or an emoji needs. White space is folded to single
    spaces. The key also ignores those joiners and selectors, case, and compatible forms
    of characters (NFKC).

    :raises ValueError: if *text* is not a text, has no visible character, or has more
        than 100 characters in normal form.
    """
    if not isinstance(text, str):
        raise ValueError(f"a tag's name is a text, not {text!r:.80}")
    return _tag_name(text)


@lru_cache(_CACHE_SIZE)
def _tag_name(text: str) -> TagName:
    if len(text) > _MOST_CHARACTERS:
        raise _too_long()
    name = clean_name(text)
    shown = _fold(name, str)
    if not shown:
        raise ValueError(f"a tag needs a name that can be seen, not {text!a:.80}")
    if max(len(name), len(shown)) > NAME_LENGTH:
        raise _too_long()
    return TagName(_fold(name, str.casefold), name)


def _too_long() -> ValueError:
    return ValueError(f"a tag's name has at most {NAME_LENGTH} characters")


def _fold(name: str, fold: Callable[[str], str]) -> str:
    """Return one form for all ways to write the visible characters of a name."""
    before, key = None, name
    # Repeat the steps until nothing changes: each can undo another, as for "\u0345".
    while key != before:
        before = key
        key = unicodedata.normalize("NFKC", visible(fold(key)))
    return key
