"""Image → predictions → the tags to apply. No database, no threads, no Flask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .errors import TaggingError, TaggingOff
from .providers.base import Machine, Prediction
from .providers.registry import enabled_elsewhere, enabled_here
from .sandbox.pool import Answer, Question
from .settings.resolution import Settings
from .verdicts import (
    APPLIED,
    NOTHING_DECIDED,
    SUGGESTED,
    Outcome,
    Verdict,
    by_rank,
    judge,
)


@dataclass(frozen=True)
class Classified:
    """The outcome of classifying one image.

    :param sha256: of the image's file.
    :param predictions: one of each provider that ran.
    :param failures: why others did not, by name; they cost those nothing.
    """

    sha256: str
    predictions: Sequence[Prediction]
    failures: Mapping[str, TaggingError] = field(default_factory=dict)


def question(data: bytes, settings: Settings, machine: Machine) -> Question:
    """Ask the enabled providers about one image.

    :raises TaggingOff: if there is nobody to ask.
    """
    here, elsewhere = enabled_here(settings), enabled_elsewhere(settings)
    if not settings.enabled or not (here or elsewhere):
        raise TaggingOff("Auto tagging is turned off.")
    longest = max((provider.side for provider in elsewhere), default=None)
    return Question(data, here, settings, machine, reduce_to=longest)


def classified(asked: Question, answer: Answer) -> Classified:
    """Put the answer to *asked* in the form that is stored."""
    sha256 = hashlib.sha256(asked.data).hexdigest()
    return Classified(sha256, answer.predictions, answer.failures)


@dataclass(frozen=True)
class Choice:
    """A tag that the rules want on an image.

    :param key: the tag's name in normal form; see :func:`.vocabulary.tag_name`.
    :param name: what people read.
    :param concept: the label's stable id.
    :param confidence: from 0 to 1, the best that a provider gave.
    :param provider: who gave it.
    :param model: with which model.
    :param providers: all who said it, the surest first.
    :param state: :data:`.verdicts.APPLIED` or :data:`.verdicts.SUGGESTED`.
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
) -> list[Choice]:
    """Choose the tags of one image: those to apply, and those to suggest.

    :param decided: what people decided here; see :func:`.verdicts.judge`.
    :return: those to apply first, of each kind the surest first.
    """
    verdicts = judge(predictions, settings, decided=decided)
    agreeing = _agreeing(verdicts)
    return [
        Choice(
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
        for verdict in sorted(verdicts, key=by_rank)
        if verdict.outcome is outcome and (name := verdict.name) is not None
    ]


#: What becomes a row, and in which state.
_STATES = {Outcome.APPLIED: APPLIED, Outcome.SUGGESTED: SUGGESTED}


def _agreeing(verdicts: Iterable[Verdict]) -> dict[str, list[str]]:
    """List who said each tag surely enough, the surest first."""
    said = {*_STATES, Outcome.ELSEWHERE}
    agreeing: dict[str, list[str]] = {}
    for verdict in sorted(verdicts, key=lambda each: -each.label.confidence):
        if verdict.outcome in said and verdict.name is not None:
            agreeing.setdefault(verdict.name.key, []).append(verdict.provider)
    return agreeing
