"""The tags that the rules choose from predictions, without a database or Flask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..providers.base import Prediction
from ..settings.resolution import Settings
from .rules import (
    APPLIED,
    NOTHING_DECIDED,
    SUGGESTED,
    Outcome,
    Verdict,
    by_confidence,
    evaluate,
)


@dataclass(frozen=True)
class ChosenTag:
    """A tag that the rules apply to an image, or suggest for it.

    :param key: the tag's name in normal form; see :func:`.tag_names.tag_name`.
    :param name: the name that people read.
    :param concept: the label's stable id.
    :param confidence: the highest of any provider, from 0 to 1.
    :param provider: the provider with that confidence.
    :param model: that provider's model.
    :param providers: all providers that gave the tag, by confidence, highest first.
    :param state: :data:`.rules.APPLIED` or :data:`.rules.SUGGESTED`.
    """

    key: str
    name: str
    concept: str
    confidence: float
    provider: str
    model: str
    providers: tuple[str, ...] = ()
    state: str = APPLIED


def choose(
    predictions: Iterable[Prediction],
    settings: Settings,
    *,
    decided: Mapping[str, str] = NOTHING_DECIDED,
) -> list[ChosenTag]:
    """Choose the tags to apply to one image, and the tags to suggest for it.

    :param decided: people's decisions on the image; see :func:`.rules.evaluate`.
    :return: the tags to apply, then the suggestions, each by confidence, highest first.
    """
    verdicts = evaluate(predictions, settings, decided=decided)
    agreeing = _agreeing(verdicts)
    return [
        ChosenTag(
            key=name.key,
            name=name.name,
            concept=verdict.label.id,
            confidence=verdict.label.confidence,
            provider=verdict.provider,
            model=verdict.model,
            providers=tuple(dict.fromkeys(agreeing[name.key])),
            state=state,
        )
        for outcome, state in _STATES.items()
        for verdict in sorted(verdicts, key=by_confidence)
        if verdict.outcome is outcome and (name := verdict.name) is not None
    ]


#: The outcomes that become assignments, and the state of each.
_STATES = {Outcome.APPLIED: APPLIED, Outcome.SUGGESTED: SUGGESTED}


def _agreeing(verdicts: Iterable[Verdict]) -> dict[str, list[str]]:
    """List the providers of each tag by confidence, highest first."""
    agreed = {*_STATES, Outcome.ELSEWHERE}
    agreeing: dict[str, list[str]] = {}
    for verdict in sorted(verdicts, key=lambda each: -each.label.confidence):
        if verdict.outcome in agreed and verdict.name is not None:
            agreeing.setdefault(verdict.name.key, []).append(verdict.provider)
    return agreeing
