"""What makes a name a tag, when two names are the same tag, and what words become."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property, lru_cache
from types import MappingProxyType

#: Characters of a tag's name.
NAME_LENGTH = 100
#: Names whose normal form is remembered: a model has some thousand.
_REMEMBERED = 4096


@dataclass(frozen=True)
class TagName:
    """A name in normal form.

    :param key: equal for names that are the same tag.
    :param name: what people read.
    """

    key: str
    name: str


def tag_name(text: str) -> TagName:
    """Bring a name into normal form.

    Unicode's NFKC makes one form of the ways to write a character; control
    characters go, white space is folded to single blanks, and the key ignores case.

    :raises ValueError: if it is no text, if nothing is left, or if more than 100
        characters are.
    """
    if not isinstance(text, str):
        raise ValueError(f"a tag's name is a text, not {text!r:.80}")
    return _tag_name(text)


@lru_cache(_REMEMBERED)
def _tag_name(text: str) -> TagName:
    name = unicodedata.normalize("NFKC", text)
    name = " ".join("".join(map(_without_controls, name)).split())
    # What stood on both sides of a character that went may be one character now.
    name = unicodedata.normalize("NFKC", name)
    if not name:
        raise ValueError(f"a tag needs a name, not {text!r:.80}")
    if len(name) > NAME_LENGTH:
        raise ValueError(f"a tag's name has at most {NAME_LENGTH} characters")
    # Folding can undo the normal form ("ͅ" for one), so it is made again.
    return TagName(unicodedata.normalize("NFKC", name.casefold()), name)


def _without_controls(character: str) -> str:
    """Drop what cannot be seen, such as NUL or a change of writing direction."""
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character


@dataclass(frozen=True)
class Word:
    """What was decided about a word; ``None`` where nothing was.

    :param becomes: the name that is used instead: a better spelling, or another tag.
    :param blocked: whether no provider may apply it.
    :param listed: whether providers may apply it where only listed words are tags.
    :param threshold: the confidence that it needs, from 0 to 1, whoever says it.
    :param dropped_at: what people said of it on images before counts no more; in UTC,
        without a zone.
    """

    becomes: str | None = None
    blocked: bool | None = None
    listed: bool | None = None
    threshold: float | None = None
    dropped_at: datetime | None = None

    def over(self, below: Word) -> Word:
        """Decide what this word decides, and else what the one below it does."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return Word(
            **{
                name: getattr(below, name) if value is None else value
                for name, value in own.items()
            }
        )

    @property
    def is_empty(self) -> bool:
        """Whether it decides nothing."""
        return self == Word()


@dataclass(frozen=True)
class Vocabulary:
    """The words of one instance on which something was decided.

    :param words: by key.
    """

    words: Mapping[str, Word] = field(default_factory=lambda: MappingProxyType({}))

    def called(self, name: TagName) -> TagName:
        """Find what a word is called in the end, where one becomes another."""
        return self._called.get(name.key, name)

    def same_as(self, key: str) -> frozenset[str]:
        """Find the keys of the words that are called so in the end, and this one."""
        called = {word for word, name in self._called.items() if name.key == key}
        return frozenset({key, *called})

    @property
    def given_names(self) -> Iterable[TagName]:
        """The names that words have got."""
        return self._called.values()

    def is_blocked(self, key: str) -> bool:
        """Whether no provider may apply a word, under that name."""
        return bool(self._word(key).blocked)

    def is_listed(self, key: str) -> bool:
        """Whether providers may apply a word where only listed ones are tags."""
        return bool(self._word(key).listed)

    def threshold(self, key: str) -> float | None:
        """Give the confidence that a word needs, if it was decided."""
        return self._word(key).threshold

    def dropped_at(self, key: str) -> datetime | None:
        """Give the time before which what people said of a word counts no more."""
        return self._word(key).dropped_at

    def _word(self, key: str) -> Word:
        return self.words.get(key, _UNDECIDED)

    @cached_property
    def _called(self) -> dict[str, TagName]:
        """What each word that becomes another is called in the end."""
        called: dict[str, TagName] = {}
        for key in self.words:
            path: dict[str, TagName] = {}
            while key not in called and key not in path:
                becomes = self._word(key).becomes
                if not becomes:
                    break
                path[key] = tag_name(becomes)
                key = path[key].key
            # Of a chain of thousands each word is looked at once.
            if path:
                last = called.get(key, [*path.values()][-1])
                called.update(dict.fromkeys(path, last))
        return called


_UNDECIDED = Word()


def join_words(
    system: Mapping[str, Word], instance: Mapping[str, Word]
) -> Mapping[str, Word]:
    """Let an instance's decisions count before the system's, one by one.

    A name that the instance gives to some word stays what it is there, whatever the
    system calls it. So the two together make no ring where neither alone does.
    """
    if not instance:
        return system
    joined = {
        key: instance.get(key, _UNDECIDED).over(system.get(key, _UNDECIDED))
        for key in system.keys() | instance.keys()
    }
    for word in instance.values():
        given = tag_name(word.becomes).key if word.becomes else None
        if given in joined and instance.get(given, _UNDECIDED).becomes is None:
            joined[given] = replace(joined[given], becomes=None)
    return joined


def find_ring(words: Mapping[str, Word]) -> list[str] | None:
    """Find words that become each other in turn; a word may become itself.

    :return: their keys, or ``None`` if there are none.
    """
    seen: set[str] = set()
    for key in words:
        path: dict[str, None] = {}
        while key not in seen and (becomes := words.get(key, _UNDECIDED).becomes):
            path[key] = None
            further = tag_name(becomes).key
            if further == key:
                break
            if further in path:
                return list(path)[list(path).index(further) :]
            key = further
        seen.update(path)
    return None
