"""Image → predictions → the tags to apply. No database, no threads, no Flask."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .errors import TaggingError, TaggingOff
from .providers.base import Label, Machine, Prediction
from .providers.registry import enabled_elsewhere, enabled_here
from .sandbox.pool import Answer, Question
from .settings.resolution import Settings
from .vocabulary import tag_name


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
    return Classified(hashlib.sha256(asked.data).hexdigest(), answer.predictions)


@dataclass(frozen=True)
class Choice:
    """A tag that the rules want applied.

    :param key: the tag's name in normal form; see :func:`.vocabulary.tag_name`.
    :param name: what people read.
    :param concept: the label's stable id.
    :param confidence: from 0 to 1, the best that a provider gave.
    :param provider: who gave it.
    :param model: with which model.
    :param providers: all who said it, the surest first.
    """

    key: str
    name: str
    concept: str
    confidence: float
    provider: str
    model: str
    providers: tuple[str, ...] = ()


def choose(
    predictions: Iterable[Prediction],
    settings: Settings,
    *,
    decided: Collection[str] = (),
    applied_by_people: int = 0,
) -> list[Choice]:
    """Choose the tags of one image.

    A label becomes a tag if its confidence reaches its provider's threshold. What
    a person decided is left to the person. The surest tags fill what the maximum
    leaves beside the tags that people applied.

    :param decided: keys of tags that a person added, removed or rejected here.
    :param applied_by_people: how many of those are applied.
    :return: surest first.
    """
    said: dict[str, list[Choice]] = {}
    for choice in _candidates(predictions, settings):
        if choice.key not in decided:
            said.setdefault(choice.key, []).append(choice)
    best = [_best(same) for same in said.values()]
    ranked = sorted(best, key=lambda choice: (-choice.confidence, choice.key))
    if settings.max_tags:
        return ranked[: max(0, settings.max_tags - applied_by_people)]
    return ranked


def _best(same: Sequence[Choice]) -> Choice:
    """Take the surest of what was said of one tag; of equals the first."""
    ranked = sorted(same, key=lambda choice: -choice.confidence)
    names = tuple(dict.fromkeys(choice.provider for choice in ranked))
    return replace(ranked[0], providers=names)


def _candidates(
    predictions: Iterable[Prediction], settings: Settings
) -> Iterator[Choice]:
    for prediction in predictions:
        values = settings.values.get(prediction.provider)
        if values is None or not values.get("enabled", True):
            # Turned off, or not installed any more, since it was asked.
            continue
        threshold = values["confidence_threshold"]
        for label in prediction.labels:
            if label.confidence >= threshold:
                yield from _choice(label, prediction)


def _choice(label: Label, prediction: Prediction) -> Iterator[Choice]:
    try:
        name = tag_name(label.name)
    except ValueError:
        # A provider's label that cannot be a tag is no reason to lose the others.
        return
    yield Choice(
        key=name.key,
        name=name.name,
        concept=label.id,
        confidence=label.confidence,
        provider=prediction.provider,
        model=prediction.model,
    )
