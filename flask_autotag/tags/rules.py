"""The rules that decide which of an image's labels become tags.

The rules, in the order in which they are checked:

1. The label's name, or the name that the vocabulary gives it, is a valid tag name.
2. The provider is on, and broader tags are on if the label is a broader tag.
3. The word is not blocked and, if only listed words may be tags, it is listed.
4. No person has decided on this tag on this image.
5. The confidence reaches the threshold of the word, or of the provider if the word has
   none: the tag is applied. If it reaches only the suggestion threshold, the tag is
   suggested. A label that the model marks as doubtful is suggested at most, unless its
   word is listed or has a threshold of its own.
6. If several labels give the same tag, the one with the highest confidence counts.
7. No more specific tag applies: "animal" is left out beside "dog", and "water" beside
   "sea".
8. The labels with the highest confidence fill the places that the maximum leaves beside
   the tags that people added. A broader tag ranks after the best class of its provider
   if that class is more probable than all others together: "espresso" is more specific
   than "drink", whose confidence is higher because it is the sum of several classes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ..providers.base import Label, Prediction
from ..providers.concept_hierarchy import hierarchy
from ..settings.resolution import Settings
from ..settings.tag_names import TagName, tag_name

#: The states of an assignment.
APPLIED, SUGGESTED, REJECTED = "applied", "suggested", "rejected"

_NOT_INSTALLED: Mapping[str, Any] = {"enabled": False, "confidence_threshold": 1.0}

#: The confidence from which a class ranks before broader tags: it is then more probable
#: than all other classes together. Below it, "cat" 0.41 is right more often than "tabby
#: cat" 0.22.
SURE_CLASS = 0.5

#: The decisions on an image on which nobody has decided.
NOTHING_DECIDED: Mapping[str, str] = MappingProxyType({})


class Outcome(StrEnum):
    """The result of the rules for one label."""

    #: The tag is applied to the image.
    APPLIED = "applied"
    #: The tag is suggested for review.
    SUGGESTED = "suggested"
    #: Another label with a higher confidence gives the same tag.
    ELSEWHERE = "elsewhere"
    #: The confidence is below the threshold.
    BELOW = "below"
    #: The model marks the label as doubtful, and it is not suggested either.
    DOUBTFUL = "doubtful"
    #: The image already has the maximum number of tags.
    OVER = "over"
    #: A more specific broader tag applies.
    NARROWER = "narrower"
    #: The word is blocked for providers.
    BLOCKED = "blocked"
    #: Only listed words may be tags, and the word is not listed.
    UNLISTED = "unlisted"
    #: A person added the tag.
    ADDED = "added"
    #: A person rejected or removed the tag.
    REJECTED = "rejected"
    #: Broader tags are off.
    BROADER_OFF = "broader_off"
    #: The provider is off, or is no longer installed.
    OFF = "off"
    #: The name is not a valid tag name: it is too long, or has no visible letter.
    NO_TAG = "no_tag"


@dataclass(frozen=True)
class Verdict:
    """One label, and the result of the rules for it.

    :param name: the tag that the label gives; ``None`` if its name is not valid.
    :param threshold: the confidence at which the tag is applied, from 0 to 1.
    :param suggested_at_most: whether the label is doubtful, and its word is neither
        listed nor has a threshold of its own.
    """

    provider: str
    model: str
    label: Label
    name: TagName | None
    threshold: float
    outcome: Outcome
    suggested_at_most: bool = False

    @property
    def is_doubted(self) -> bool:
        """Whether the tag is not applied only because the label is doubtful."""
        return self.suggested_at_most and self.label.confidence >= self.threshold


def evaluate(
    predictions: Iterable[Prediction],
    settings: Settings,
    *,
    decided: Mapping[str, str] = NOTHING_DECIDED,
) -> list[Verdict]:
    """Apply the rules to every label of one image.

    :param settings: the settings of the image's instance, with its vocabulary.
    :param decided: the state, :data:`APPLIED` or :data:`REJECTED`, of each tag on which
        a person has decided on this image, by the tag's key.
    :return: one verdict for each label, in the order of the predictions and labels.
    """
    verdicts = [
        verdict
        for prediction in predictions
        for verdict in _judge_alone(prediction, settings, decided)
    ]
    verdicts = list(_best_of_each_tag(verdicts))
    verdicts = list(_most_specific(verdicts))
    return list(_within_maximum(settings.max_tags, verdicts, decided))


def by_confidence(verdict: Verdict) -> tuple[float, str]:
    """Return a sort key: the highest confidence first, and equals by name."""
    return -verdict.label.confidence, _key(verdict)


def _key(verdict: Verdict) -> str:
    return verdict.name.key if verdict.name else ""


def _judge_alone(
    prediction: Prediction, settings: Settings, decided: Mapping[str, str]
) -> Iterator[Verdict]:
    """Apply the rules that look at one label alone."""
    values = settings.values.get(prediction.provider, _NOT_INSTALLED)
    for label in prediction.labels:
        own_name, name = _names(label, settings)
        own_threshold = _own_threshold(own_name, name, settings)
        threshold = (
            values["confidence_threshold"] if own_threshold is None else own_threshold
        )
        suggested_at_most = (
            label.is_doubtful
            and own_threshold is None
            and not _is_listed(own_name, name, settings)
        )
        outcome = (
            Outcome.OFF
            if not values.get("enabled", True)
            else _refusal(label, own_name, name, settings, decided)
        )
        yield Verdict(
            prediction.provider,
            prediction.model,
            label,
            name,
            threshold,
            outcome
            or _by_confidence(label.confidence, threshold, settings, suggested_at_most),
            suggested_at_most,
        )


def _names(label: Label, settings: Settings) -> tuple[TagName | None, TagName | None]:
    """Return the label's own name, and the name that the vocabulary gives it."""
    try:
        own_name = tag_name(label.name)
    except ValueError:
        # One invalid label must not cost the image its other tags.
        return None, None
    return own_name, settings.vocabulary.called(own_name)


def _own_threshold(
    own_name: TagName | None, name: TagName | None, settings: Settings
) -> float | None:
    """Return the threshold of the label's own name or of its tag, if one has any."""
    if own_name is None or name is None:
        return None
    own = settings.vocabulary.threshold(own_name.key)
    return settings.vocabulary.threshold(name.key) if own is None else own


def _is_listed(
    own_name: TagName | None, name: TagName | None, settings: Settings
) -> bool:
    return any(
        each is not None and settings.vocabulary.is_listed(each.key)
        for each in (own_name, name)
    )


def _refusal(
    label: Label,
    own_name: TagName | None,
    name: TagName | None,
    settings: Settings,
    decided: Mapping[str, str],
) -> Outcome | None:
    """Return why a label gives no tag whatever its confidence; ``None`` if it may."""
    if own_name is None or name is None:
        return Outcome.NO_TAG
    if not settings.broader_tags and is_broader(label):
        return Outcome.BROADER_OFF
    vocabulary = settings.vocabulary
    if vocabulary.is_blocked(own_name.key) or vocabulary.is_blocked(name.key):
        return Outcome.BLOCKED
    if settings.listed_only and not vocabulary.is_listed(name.key):
        return Outcome.UNLISTED
    state = decided.get(name.key)
    if state is None:
        return None
    return Outcome.ADDED if state == APPLIED else Outcome.REJECTED


def is_broader(label: Label) -> bool:
    """Return whether a label stands for the classes below it."""
    return label.id in hierarchy().broader and not label.is_judged_alone


def _by_confidence(
    confidence: float, threshold: float, settings: Settings, suggested_at_most: bool
) -> Outcome:
    if confidence >= threshold and not suggested_at_most:
        return Outcome.APPLIED
    # A threshold of 1 turns suggestions off.
    if (
        settings.suggestion_threshold < 1
        and confidence >= settings.suggestion_threshold
    ):
        return Outcome.SUGGESTED
    return Outcome.DOUBTFUL if confidence >= threshold else Outcome.BELOW


def _best_of_each_tag(verdicts: Sequence[Verdict]) -> Iterator[Verdict]:
    """Keep the best label of each tag; the first one if several are equal."""
    best: dict[str, Verdict] = {}
    for outcome in (Outcome.APPLIED, Outcome.SUGGESTED):
        for verdict in verdicts:
            if verdict.outcome is not outcome or verdict.name is None:
                continue
            current = best.get(verdict.name.key)
            if current is None or (
                current.outcome is outcome
                and verdict.label.confidence > current.label.confidence
            ):
                best[verdict.name.key] = verdict
    for verdict in verdicts:
        chosen = best.get(verdict.name.key) if verdict.name else None
        if chosen is None or chosen is verdict:
            yield verdict
        elif verdict.outcome is chosen.outcome:
            yield replace(verdict, outcome=Outcome.ELSEWHERE)
        elif verdict.outcome is Outcome.SUGGESTED:
            yield replace(
                verdict,
                outcome=Outcome.DOUBTFUL if verdict.is_doubted else Outcome.BELOW,
            )
        else:
            yield verdict


def _most_specific(verdicts: Sequence[Verdict]) -> Iterator[Verdict]:
    """Drop each concept that an applied, or equally suggested, one hides."""
    known = hierarchy()
    broader = [each for each in verdicts if each.label.id in known]
    if not broader:
        yield from verdicts
        return
    applied = _hidden_by(broader, {Outcome.APPLIED, Outcome.ADDED, Outcome.ELSEWHERE})
    suggested = applied | _hidden_by(broader, {Outcome.SUGGESTED})
    hidden = {Outcome.APPLIED: applied, Outcome.SUGGESTED: suggested}
    for verdict in verdicts:
        if verdict.label.id in hidden.get(verdict.outcome, ()):
            yield replace(verdict, outcome=Outcome.NARROWER)
        else:
            yield verdict


def _hidden_by(broader: Sequence[Verdict], outcomes: set[Outcome]) -> set[str]:
    """Collect the concepts that a tag with one of the outcomes hides."""
    hiding = [each for each in broader if each.outcome in outcomes]
    concepts = defaultdict(set)
    for verdict in hiding:
        concepts[_key(verdict)].add(verdict.label.id)
    return {
        hidden
        for verdict in hiding
        for hidden in _hidden_beside(verdict.label.id, concepts[_key(verdict)])
    }


def _hidden_beside(concept: str, same_tag: Set[str]) -> Set[str]:
    """Return what one concept hides, and each of its ancestors with the same tag.

    Where the vocabulary turns "hound" into "dog", it is as broad as "dog".
    """
    known = hierarchy()
    hidden = known.hidden_by(concept)
    same = known.above(concept) & same_tag
    return hidden.intersection(*(known.hidden_by(each) for each in same))


def _within_maximum(
    maximum: int, verdicts: Sequence[Verdict], decided: Mapping[str, str]
) -> Iterator[Verdict]:
    """Drop tags over the maximum, in which tags that people added count first."""
    if not maximum:
        yield from verdicts
        return
    by_people = sum(state == APPLIED for state in decided.values())
    applied = [each for each in verdicts if each.outcome is Outcome.APPLIED]
    room = max(0, maximum - by_people)
    over = {id(each) for each in _by_specificity(applied)[room:]}
    for verdict in verdicts:
        if id(verdict) in over:
            yield replace(verdict, outcome=Outcome.OVER)
        else:
            yield verdict


def _by_specificity(applied: Sequence[Verdict]) -> list[Verdict]:
    """Sort by confidence, but broader tags after a sure class of their provider.

    That class may lie outside the broader concept. To check this would take longer than
    all other rules, and another class hardly ever has a confidence that high.
    """
    best_class: dict[str, float] = {}
    for verdict in applied:
        if not (verdict.label.is_judged_alone or is_broader(verdict.label)):
            current = best_class.get(verdict.provider, 0.0)
            best_class[verdict.provider] = max(current, verdict.label.confidence)

    def rank(verdict: Verdict) -> tuple[float, bool, tuple[float, str]]:
        stands_for_classes = is_broader(verdict.label)
        confidence = verdict.label.confidence
        best = best_class.get(verdict.provider, 0.0)
        if stands_for_classes and best >= SURE_CLASS:
            confidence = min(confidence, best)
        return -confidence, stands_for_classes, by_confidence(verdict)

    return sorted(applied, key=rank)
