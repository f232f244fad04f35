"""Decisions about words in sentences, and the rules that are typed like settings."""

from __future__ import annotations

from collections.abc import Mapping

from ....settings import checks
from ....settings.fields import Field, Input, Layer, Section
from ....settings.resolution import Layers, WordRules
from ....settings.tag_names import tag_name
from ....settings.vocabulary import WordRule
from ...translation import gettext
from ..setting_text import plain

#: Decisions that are typed like settings. An empty field inherits.
RULES = Section(
    "",
    "Rules",
    (
        Field(
            "blocked",
            False,
            checks.boolean,
            "Blocked",
            "No provider may apply it, however confident it is. Tags that people added"
            " stay.",
            Input.SWITCH,
        ),
        Field(
            "listed",
            False,
            checks.boolean,
            "Listed",
            "Providers may apply it if the vocabulary is restricted to listed words.",
            Input.SWITCH,
        ),
        Field(
            "threshold",
            None,
            checks.fraction,
            "Own threshold",
            "From 0 to 1: the confidence that it needs from any provider. If empty,"
            " each provider's own threshold applies.",
            Input.FRACTION,
        ),
    ),
)


def rule_layers(key: str, system: WordRules, own: WordRules | None) -> Layers:
    """Return the rules of one word as layers of settings.

    :param system: the system's decisions.
    :param own: the instance's decisions; ``None`` if the scope is the system.
    """
    return Layers(
        (RULES,), {}, _rules(key, system), None if own is None else _rules(key, own)
    )


def decided(key: str, system: WordRules, own: WordRules | None) -> list[str]:
    """Return the decisions about a word in sentences, the scope's own first."""
    by_system = in_words(key, system)
    if own is None:
        return (
            [gettext("Decided: %(decided)s.", decided=by_system)] if by_system else []
        )
    by_instance = in_words(key, own)
    sentences = []
    if by_instance:
        sentences.append(gettext("Here: %(decided)s.", decided=by_instance))
    if by_system:
        sentences.append(gettext("System: %(decided)s.", decided=by_system))
    return sentences


def in_words(key: str, words: WordRules) -> str:
    """Return the decisions about a word, separated by commas."""
    word = words.get(key)
    return "" if word is None else ", ".join(filter(None, _parts(key, word)))


def _rules(key: str, words: Mapping[str, WordRule]) -> Layer:
    word = words.get(key, WordRule())
    values = {("", field.name): getattr(word, field.name) for field in RULES.fields}
    return {path: value for path, value in values.items() if value is not None}


def _parts(key: str, word: WordRule) -> list[str]:
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


def _blocked(word: WordRule) -> str:
    if word.blocked and word.dropped_at:
        return gettext("deleted")
    return {True: gettext("blocked"), False: gettext("allowed"), None: ""}[word.blocked]
