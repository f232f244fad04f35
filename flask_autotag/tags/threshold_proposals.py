"""Proposals from people's rejections: a higher threshold for a tag, or to block it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Row,
    Select,
    func,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from ..db.models import Models
from ..db.tables import AssignmentMixin
from ..settings.resolution import Settings
from ..settings.tag_names import TagName
from .decisions import PERSON
from .rules import APPLIED, REJECTED

#: A proposal needs at least so many rejections of a tag, and at most so many kept
#: labels for each rejection: at least 20 % were rejected. With fewer, a proposal
#: would follow the taste of a single person.
LEAST_REJECTED, MOST_KEPT = 5, 4
#: Maximum number of tags that are considered, the most rejected first.
_TAGS = 50
#: A proposed threshold is a multiple of 1 / 100.
_STEPS = 100

#: Number of images, by confidence.
Confidences = Mapping[float, int]
#: Number of images, by provider and confidence.
_Labels = Counter[tuple[str, float]]


@dataclass(frozen=True)
class Cutoff:
    """A new threshold for a tag, or a block, and its effect on past labels.

    :param threshold: the confidence that the tag would need, from 0 to 1; ``None`` to
        block it.
    :param avoided: number of rejected labels that it would have prevented.
    :param lost: number of kept labels that it would have prevented.
    """

    threshold: float | None
    avoided: int
    lost: int

    @property
    def gain(self) -> int:
        """The number of avoided rejections less the number of lost tags."""
        return self.avoided - self.lost


@dataclass(frozen=True)
class ThresholdProposal:
    """A proposal for one tag.

    :param rejected: number of labels of the tag that people rejected.
    :param kept: number of labels that people accepted or left in place.
    """

    name: TagName
    cut: Cutoff
    rejected: int
    kept: int


def find_cutoff(
    rejected: Confidences, kept: Confidences, current: float
) -> Cutoff | None:
    """Find the threshold that avoids most rejections for the fewest lost tags.

    :param rejected: confidences of the labels of a tag that people rejected.
    :param kept: confidences of the labels that people accepted or left in place.
    :param current: the current threshold. Labels below it are not applied, so a higher
        threshold does not change them; only a block does.
    :return: the lowest of the best thresholds above the current one; a block if that
        is better, or as good and the threshold would leave no label; ``None`` if
        neither avoids more rejections than it loses tags.
    """
    cuts = [
        Cutoff(
            threshold,
            _between(rejected, current, threshold),
            _between(kept, current, threshold),
        )
        for threshold in sorted(set(map(_just_above, rejected)))
        if current < threshold <= 1.0
    ]
    best = max(cuts, key=lambda cut: cut.gain, default=None)
    block = Cutoff(None, sum(rejected.values()), sum(kept.values()))
    if best is None or _is_better(block, best, kept):
        best = block
    return best if best.gain > 0 else None


def propose_thresholds(
    session: Session, models: Models, instance: str, settings: Settings
) -> list[ThresholdProposal]:
    """Propose thresholds from the rejections in an instance, the best proposal first.

    Labels that the current settings would neither apply nor suggest do not count, so
    that an accepted proposal is not made again. Only the most rejected tags are
    considered, and of each no more rows than the proposal needs.

    :param settings: the instance's settings, with its vocabulary.
    """
    tags = _most_rejected(session, models, instance)
    if not tags:
        return []
    rejected = _collect(session.execute(_select_rejected(models, list(tags))))
    kept = _collect(session.execute(_select_kept(models, rejected)))
    found = [
        _propose_for(name, rejected[tag_id], kept[tag_id], settings)
        for tag_id, name in tags.items()
    ]
    proposals = [each for each in found if each is not None]
    return sorted(proposals, key=lambda each: (-each.cut.gain, each.name.key))


def _propose_for(
    name: TagName, rejected: _Labels, kept: _Labels, settings: Settings
) -> ThresholdProposal | None:
    vocabulary = settings.vocabulary
    if vocabulary.is_blocked(name.key) or vocabulary.called(name).key != name.key:
        return None
    thresholds = [
        settings[provider]["confidence_threshold"]
        for provider in {provider for provider, _ in rejected + kept}
        if settings.values.get(provider, {}).get("enabled")
    ]
    if not thresholds or not _are_enough(rejected, kept):
        return None
    own = vocabulary.threshold(name.key)
    current = max(thresholds) if own is None else own
    rejected, kept = (
        _still_given(labels, current, settings) for labels in (rejected, kept)
    )
    if not _are_enough(rejected, kept):
        return None
    cut = find_cutoff(_confidences(rejected), _confidences(kept), current)
    if cut is None:
        return None
    return ThresholdProposal(name, cut, rejected.total(), kept.total())


def _still_given(labels: _Labels, current: float, settings: Settings) -> _Labels:
    """Drop labels that the current settings would neither apply nor suggest."""
    least = min(current, settings.suggestion_threshold)
    return Counter(
        {
            (provider, confidence): images
            for (provider, confidence), images in labels.items()
            if confidence >= least and settings.values.get(provider, {}).get("enabled")
        }
    )


def _confidences(labels: _Labels) -> Confidences:
    found = Counter[float]()
    for (_provider, confidence), images in labels.items():
        found[confidence] += images
    return found


def _are_enough(rejected: _Labels, kept: _Labels) -> bool:
    number = rejected.total()
    return number >= LEAST_REJECTED and kept.total() <= MOST_KEPT * number


def _most_rejected(
    session: Session, models: Models, instance: str
) -> dict[int, TagName]:
    """Return the most rejected tags, by their rows."""
    tag, assigned = models.tag, models.assignment
    number = func.count()
    rows = session.execute(
        select(tag.id, tag.key, tag.name)
        .join_from(tag, assigned, assigned.tag_id == tag.id)
        .where(tag.instance == instance, *_by_people(assigned))
        .group_by(tag.id, tag.key, tag.name)
        .having(number >= LEAST_REJECTED)
        .order_by(number.desc(), tag.id)
        .limit(_TAGS)
    )
    return {row.id: TagName(row.key, row.name) for row in rows}


def _by_people(assigned: type[AssignmentMixin]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for labels of providers that people rejected."""
    return (
        assigned.state == REJECTED,
        assigned.source == PERSON,
        assigned.provider.is_not(None),
    )


def _select_rejected(models: Models, tag_ids: Sequence[int]) -> Select[Any]:
    assigned = models.assignment
    columns: tuple[Any, ...] = (
        assigned.tag_id,
        assigned.provider,
        assigned.confidence,
    )
    return (
        select(*columns, func.count().label("images"))
        .where(assigned.tag_id.in_(tag_ids), *_by_people(assigned))
        .group_by(*columns)
    )


def _select_kept(
    models: Models, rejected: Mapping[int, _Labels]
) -> CompoundSelect[Any]:
    """Select the labels that people accepted or left in place.

    A tag may be on very many images, so each tag's rows are limited to one more than
    rules a proposal out.
    """
    assigned = models.assignment
    parts = []
    for tag_id, labels in rejected.items():
        some = (
            select(assigned.tag_id, assigned.provider, assigned.confidence)
            .where(
                assigned.tag_id == tag_id,
                assigned.state == APPLIED,
                assigned.provider.is_not(None),
            )
            .limit(MOST_KEPT * labels.total() + 1)
            .subquery()
        )
        columns = (some.c.tag_id, some.c.provider, some.c.confidence)
        count = func.count().label("images")
        parts.append(select(*columns, count).group_by(*columns))
    return union_all(*parts)


def _collect(rows: Iterable[Row[Any]]) -> dict[int, _Labels]:
    """Group labels by their tag's row."""
    found: dict[int, _Labels] = defaultdict(Counter)
    for row in rows:
        found[row.tag_id][row.provider, row.confidence] += row.images
    return found


def _is_better(block: Cutoff, best: Cutoff, kept: Confidences) -> bool:
    """Whether to block a tag instead of raising its threshold."""
    if block.gain == best.gain:
        return not _between(kept, best.threshold, None)
    return block.gain > best.gain


def _between(confidences: Confidences, least: float | None, below: float | None) -> int:
    """Count the labels whose confidence is at least *least* and below *below*."""
    return sum(
        images
        for confidence, images in confidences.items()
        if (least is None or confidence >= least)
        and (below is None or confidence < below)
    )


def _just_above(confidence: float) -> float:
    """Return the lowest threshold that excludes a label of this confidence."""
    step = int(confidence * _STEPS)
    while step / _STEPS <= confidence:
        step += 1
    return step / _STEPS
