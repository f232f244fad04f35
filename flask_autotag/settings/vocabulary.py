"""Rules for words: renamed, blocked, listed, with a threshold of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property
from types import MappingProxyType

from .tag_names import TagName, tag_name


@dataclass(frozen=True)
class WordRule:
    """The rule for a word; a field that is ``None`` sets nothing.

    :param becomes: the name to use instead: a better spelling, or another tag.
    :param blocked: whether no provider may apply the word.
    :param listed: whether providers may apply the word if the vocabulary is limited to
        listed words.
    :param threshold: the confidence, from 0 to 1, that any provider must reach.
    :param dropped_at: the time before which decisions of people about the word are
        ignored; in UTC, without a time zone.
    """

    becomes: str | None = None
    blocked: bool | None = None
    listed: bool | None = None
    threshold: float | None = None
    dropped_at: datetime | None = None

    def over(self, below: WordRule) -> WordRule:
        """Return this rule, with the fields that it does not set from *below*."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return WordRule(
            **{
                name: getattr(below, name) if value is None else value
                for name, value in own.items()
            }
        )

    @property
    def is_empty(self) -> bool:
        """Whether the rule sets nothing."""
        return self == WordRule()


@dataclass(frozen=True)
class Vocabulary:
    """The rules that apply in one instance.

    :param words: the rules by key.
    """

    words: Mapping[str, WordRule] = field(default_factory=lambda: MappingProxyType({}))

    def called(self, name: TagName) -> TagName:
        """Return the name that a word becomes in the end, or *name* itself."""
        return self._called.get(name.key, name)

    def same_as(self, key: str) -> frozenset[str]:
        """Return the keys of all words that become a tag in the end, and its own."""
        called = {word for word, name in self._called.items() if name.key == key}
        return frozenset({key, *called})

    @property
    def given_names(self) -> Iterable[TagName]:
        """The names that words become in the end."""
        return self._called.values()

    def is_blocked(self, key: str) -> bool:
        """Return whether no provider may apply a word."""
        return bool(self._word(key).blocked)

    def is_listed(self, key: str) -> bool:
        """Return whether a word is listed."""
        return bool(self._word(key).listed)

    def threshold(self, key: str) -> float | None:
        """Return the word's own threshold, from 0 to 1, if it has one."""
        return self._word(key).threshold

    def dropped_at(self, key: str) -> datetime | None:
        """Return the time before which people's decisions are ignored, if any."""
        return self._word(key).dropped_at

    def _word(self, key: str) -> WordRule:
        return self.words.get(key, _NO_RULE)

    @cached_property
    def _called(self) -> dict[str, TagName]:
        """The name that each word with ``becomes`` has in the end."""
        called: dict[str, TagName] = {}
        for key in self.words:
            path: dict[str, TagName] = {}
            while key not in called and key not in path:
                becomes = self._word(key).becomes
                if not becomes:
                    break
                path[key] = tag_name(becomes)
                key = path[key].key
            # Words of a chain share its end, so that long chains are followed once.
            if path:
                last = called.get(key, [*path.values()][-1])
                called.update(dict.fromkeys(path, last))
        return called


_NO_RULE = WordRule()


def combine_rules(
    system: Mapping[str, WordRule], instance: Mapping[str, WordRule]
) -> Mapping[str, WordRule]:
    """Return the rules that apply in an instance: its own over the system's.

    If the instance makes a word become a tag, the system's ``becomes`` for that tag is
    ignored. The two together therefore have no circle if neither alone has one.
    """
    if not instance:
        return system
    joined = {
        key: instance.get(key, _NO_RULE).over(system.get(key, _NO_RULE))
        for key in system.keys() | instance.keys()
    }
    for word in instance.values():
        given = tag_name(word.becomes).key if word.becomes else None
        if given in joined and instance.get(given, _NO_RULE).becomes is None:
            joined[given] = replace(joined[given], becomes=None)
    return joined


def find_circle(words: Mapping[str, WordRule]) -> list[str] | None:
    """Return the keys of words that become each other in a circle, or ``None``.

    A word that becomes itself, in another spelling, is not a circle.
    """
    seen: set[str] = set()
    for key in words:
        path: dict[str, None] = {}
        while key not in seen and (becomes := words.get(key, _NO_RULE).becomes):
            path[key] = None
            further = tag_name(becomes).key
            if further == key:
                break
            if further in path:
                return list(path)[list(path).index(further) :]
            key = further
        seen.update(path)
    return None
