"""What was decided about words, as a page tells it; and the rules that are typed."""

from __future__ import annotations

from collections.abc import Mapping

from .. import checks
from ..settings.fields import Field, Input, Layer, Section
from ..settings.resolution import Layers, Words
from ..vocabulary import Word, tag_name
from .display import plain
from .text import gettext

#: The decisions that are typed like settings: each inherits where it is empty.
RULES = Section(
    "",
    "Rules",
    (
        Field(
            "blocked",
            False,
            checks.boolean,
            "Blocked",
            "No provider may apply it, however sure it is. Where people added it, it"
            " stays.",
            Input.SWITCH,
        ),
        Field(
            "listed",
            False,
            checks.boolean,
            "Listed",
            "Providers may apply it where the vocabulary is set to listed words only.",
            Input.SWITCH,
        ),
        Field(
            "threshold",
            None,
            checks.fraction,
            "Own threshold",
            "From 0 to 1: the confidence that it needs, whichever provider says it."
            " Without one the provider's counts.",
            Input.FRACTION,
        ),
    ),
)


def rule_layers(key: str, system: Words, own: Words | None) -> Layers:
    """Give the rules of one word as layers of settings.

    :param system: what was decided for the system, by key.
    :param own: what was for the instance; ``None`` where the scope is the system.
    """
    return Layers(
        (RULES,), {}, _rules(key, system), None if own is None else _rules(key, own)
    )


def decided(key: str, system: Words, own: Words | None) -> list[str]:
    """Tell what was decided about a word, and whether for the system or here."""
    by_system = in_words(key, system)
    if own is None:
        return (
            [gettext("Decided: %(decided)s.", decided=by_system)] if by_system else []
        )
    here = in_words(key, own)
    told = [gettext("Here: %(decided)s.", decided=here)] if here else []
    if by_system:
        told.append(gettext("System: %(decided)s.", decided=by_system))
    return told


def in_words(key: str, words: Words) -> str:
    """Write what was decided about a word, with commas; nothing if nothing was."""
    word = words.get(key)
    return "" if word is None else ", ".join(filter(None, _parts(key, word)))


def _rules(key: str, words: Mapping[str, Word]) -> Layer:
    word = words.get(key, Word())
    values = {("", field.name): getattr(word, field.name) for field in RULES.fields}
    return {path: value for path, value in values.items() if value is not None}


def _parts(key: str, word: Word) -> list[str]:
    return [
        _becomes(key, word.becomes) if word.becomes else "",
        _blocked(word),
        {True: gettext("listed"), False: gettext("not listed"), None: ""}[word.listed],
        ""
        if word.threshold is None
        else gettext("needs %(threshold)s", threshold=plain(word.threshold)),
    ]


def _becomes(key: str, name: str) -> str:
    if tag_name(name).key == key:
        return gettext("is written %(name)s", name=name)
    return gettext("becomes %(name)s", name=name)


def _blocked(word: Word) -> str:
    if word.blocked and word.dropped_at:
        return gettext("deleted")
    return {True: gettext("blocked"), False: gettext("allowed"), None: ""}[word.blocked]
