"""What becomes of each label that providers gave an image, and why.

The rules, in the order in which they are asked:

1. The label has a name that can be a tag, under the name that the vocabulary gives it.
2. Its provider is on; broader tags are, if it is one.
3. The word is not blocked and, where only listed words are tags, it is listed.
4. No person has decided on it on this image.
5. Its confidence reaches the threshold of its word, or else of its provider: then it
   is to be applied. If it reaches the suggestion threshold, it is to be suggested.
6. Of the labels of one tag the surest counts.
7. No narrower broader tag applies: beside "dog", "animal" says nothing.
8. The surest fill what the maximum leaves beside the tags that people added. A broader
   tag does so after the surest class of its provider: "espresso" says more than
   "drink", which is surer because it sums up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from .broader import hierarchy
from .providers.base import Label, Prediction
from .settings.resolution import Settings
from .vocabulary import TagName, tag_name

#: How a tag stands on an asset.
APPLIED, SUGGESTED, REJECTED = "applied", "suggested", "rejected"

_NOT_INSTALLED: Mapping[str, Any] = {"enabled": False, "confidence_threshold": 1.0}

#: Where no person has decided anything.
NOTHING_DECIDED: Mapping[str, str] = MappingProxyType({})


class Outcome(StrEnum):
    """What becomes of a label."""

    #: It is a tag of the image.
    APPLIED = "applied"
    #: A person is asked whether it is one.
    SUGGESTED = "suggested"
    #: It is, by a surer label.
    ELSEWHERE = "elsewhere"
    #: Its confidence is below the threshold.
    BELOW = "below"
    #: The image has as many tags as it may have.
    OVER = "over"
    #: A narrower broader tag says more.
    NARROWER = "narrower"
    #: No provider may apply the word.
    BLOCKED = "blocked"
    #: Only listed words are tags, and it is none of them.
    UNLISTED = "unlisted"
    #: A person added the tag.
    ADDED = "added"
    #: A person rejected or removed it.
    REJECTED = "rejected"
    #: Broader tags are turned off.
    BROADER_OFF = "broader_off"
    #: Its provider is turned off, or not installed any more.
    OFF = "off"
    #: It can be no tag: it is too long, or has no letter that can be seen.
    NO_TAG = "no_tag"


@dataclass(frozen=True)
class Verdict:
    """One label, and what becomes of it.

    :param provider: who said it.
    :param model: with which model.
    :param name: the tag that it is or would be; ``None`` if it can be none.
    :param threshold: the confidence that it needs to be applied, from 0 to 1.
    """

    provider: str
    model: str
    label: Label
    name: TagName | None
    threshold: float
    outcome: Outcome


def judge(
    predictions: Iterable[Prediction],
    settings: Settings,
    *,
    decided: Mapping[str, str] = NOTHING_DECIDED,
) -> list[Verdict]:
    """Judge every label of one image.

    :param settings: those of its instance, with its vocabulary.
    :param decided: key of each tag that a person decided on here → :data:`APPLIED` or
        :data:`REJECTED`.
    :return: one verdict a label, in the order of the predictions and labels.
    """
    verdicts = [
        verdict
        for prediction in predictions
        for verdict in _judge_alone(prediction, settings, decided)
    ]
    verdicts = list(_surest_of_each_tag(verdicts))
    verdicts = list(_narrowest(verdicts))
    return list(_within(settings.max_tags, verdicts, decided))


def by_rank(verdict: Verdict) -> tuple[float, str]:
    """Sort the surest first, and equals by name."""
    return -verdict.label.confidence, verdict.name.key if verdict.name else ""


def _judge_alone(
    prediction: Prediction, settings: Settings, decided: Mapping[str, str]
) -> Iterator[Verdict]:
    """Judge the labels of one provider without regard to any other label."""
    values = settings.values.get(prediction.provider, _NOT_INSTALLED)
    for label in prediction.labels:
        said, name = _names(label, settings)
        threshold = _threshold(said, name, settings, values["confidence_threshold"])
        outcome = (
            Outcome.OFF
            if not values.get("enabled", True)
            else _refusal(label, said, name, settings, decided)
        )
        yield Verdict(
            prediction.provider,
            prediction.model,
            label,
            name,
            threshold,
            outcome or _by_confidence(label.confidence, threshold, settings),
        )


def _names(label: Label, settings: Settings) -> tuple[TagName | None, TagName | None]:
    """Give the label's own name, and the one that the vocabulary gives it."""
    try:
        said = tag_name(label.name)
    except ValueError:
        # A provider's label that cannot be a tag is no reason to lose the others.
        return None, None
    return said, settings.vocabulary.called(said)


def _threshold(
    said: TagName | None, name: TagName | None, settings: Settings, usual: float
) -> float:
    """Find what a label needs: by its own name, by its tag's, by its provider."""
    if said is None or name is None:
        return usual
    vocabulary = settings.vocabulary
    own, of_tag = vocabulary.threshold(said.key), vocabulary.threshold(name.key)
    if own is not None:
        return own
    return usual if of_tag is None else of_tag


def _refusal(
    label: Label,
    said: TagName | None,
    name: TagName | None,
    settings: Settings,
    decided: Mapping[str, str],
) -> Outcome | None:
    """Say why a label cannot be applied, however sure it is."""
    if said is None or name is None:
        return Outcome.NO_TAG
    if not settings.broader_tags and label.id in hierarchy().names:
        return Outcome.BROADER_OFF
    vocabulary = settings.vocabulary
    if vocabulary.is_blocked(said.key) or vocabulary.is_blocked(name.key):
        return Outcome.BLOCKED
    if settings.listed_only and not vocabulary.is_listed(name.key):
        return Outcome.UNLISTED
    state = decided.get(name.key)
    if state is None:
        return None
    return Outcome.ADDED if state == APPLIED else Outcome.REJECTED


def _by_confidence(confidence: float, threshold: float, settings: Settings) -> Outcome:
    if confidence >= threshold:
        return Outcome.APPLIED
    if confidence >= settings.suggestion_threshold:
        return Outcome.SUGGESTED
    return Outcome.BELOW


def _surest_of_each_tag(verdicts: Sequence[Verdict]) -> Iterator[Verdict]:
    """Keep one verdict a tag; of equals the first."""
    best: dict[str, Verdict] = {}
    for outcome in (Outcome.APPLIED, Outcome.SUGGESTED):
        for verdict in verdicts:
            if verdict.outcome is not outcome or verdict.name is None:
                continue
            so_far = best.get(verdict.name.key)
            if so_far is None or (
                so_far.outcome is outcome
                and verdict.label.confidence > so_far.label.confidence
            ):
                best[verdict.name.key] = verdict
    for verdict in verdicts:
        first = best.get(verdict.name.key) if verdict.name else None
        if first is None or first is verdict:
            yield verdict
        elif verdict.outcome is first.outcome:
            yield replace(verdict, outcome=Outcome.ELSEWHERE)
        elif verdict.outcome is Outcome.SUGGESTED:
            yield replace(verdict, outcome=Outcome.BELOW)
        else:
            yield verdict


def _narrowest(verdicts: Sequence[Verdict]) -> Iterator[Verdict]:
    """Leave out each broader tag above another one that stands at least as well."""
    known = hierarchy()
    broader = [each for each in verdicts if each.label.id in known.names]
    if not broader:
        yield from verdicts
        return
    applied = _all_above(broader, {Outcome.APPLIED, Outcome.ADDED, Outcome.ELSEWHERE})
    suggested = applied | _all_above(broader, {Outcome.SUGGESTED})
    hidden = {Outcome.APPLIED: applied, Outcome.SUGGESTED: suggested}
    for verdict in verdicts:
        if verdict.label.id in hidden.get(verdict.outcome, ()):
            yield replace(verdict, outcome=Outcome.NARROWER)
        else:
            yield verdict


def _all_above(broader: Sequence[Verdict], outcomes: set[Outcome]) -> set[str]:
    """Collect the concepts above those with one of the outcomes."""
    known = hierarchy()
    return {
        above
        for verdict in broader
        if verdict.outcome in outcomes
        for above in known.above(verdict.label.id)
    }


def _within(
    most: int, verdicts: Sequence[Verdict], decided: Mapping[str, str]
) -> Iterator[Verdict]:
    """Leave out what is too many; tags that people added count first."""
    if not most:
        yield from verdicts
        return
    by_people = sum(state == APPLIED for state in decided.values())
    applied = [each for each in verdicts if each.outcome is Outcome.APPLIED]
    room = max(0, most - by_people)
    over = {id(each) for each in _most_telling(applied)[room:]}
    for verdict in verdicts:
        if id(verdict) in over:
            yield replace(verdict, outcome=Outcome.OVER)
        else:
            yield verdict


def _most_telling(applied: Sequence[Verdict]) -> list[Verdict]:
    """Sort the surest first, and broader tags after the surest class beside them.

    That class need not lie below: to look that up takes longer than to judge an image,
    and another one is hardly ever sure enough.
    """
    known = hierarchy()
    surest: dict[str, float] = {}
    for verdict in applied:
        if verdict.label.id not in known:
            so_far = surest.get(verdict.provider, 0.0)
            surest[verdict.provider] = max(so_far, verdict.label.confidence)

    def rank(verdict: Verdict) -> tuple[float, bool, tuple[float, str]]:
        is_broader = verdict.label.id in known
        confidence = verdict.label.confidence
        if is_broader:
            confidence = min(confidence, surest.get(verdict.provider, confidence))
        return -confidence, is_broader, by_rank(verdict)

    return sorted(applied, key=rank)
