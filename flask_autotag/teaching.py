"""What people's rejections teach: a threshold for a tag, or that it be blocked."""

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

from .decisions import PERSON
from .models import AssignmentMixin, Models
from .settings.resolution import Settings
from .verdicts import APPLIED, REJECTED
from .vocabulary import TagName

#: Rejections of a tag from which on something is proposed, and the kept labels that
#: there may be for each: from a share of 20 % on. Below, a proposal would follow single
#: tastes.
LEAST_REJECTED, MOST_KEPT = 5, 4
#: Tags that are looked at, those that were rejected most.
_TAGS = 50
#: Steps of a proposed threshold from 0 to 1.
_STEPS = 100

#: Confidence → on how many images.
Confidences = Mapping[float, int]
#: Provider and confidence → on how many images.
_Labels = Counter[tuple[str, float]]


@dataclass(frozen=True)
class Cut:
    """What would be done about a tag, and what of its past it would have changed.

    :param threshold: the confidence that the tag would need; ``None`` to block it.
    :param avoided: labels that people rejected, and would not have been applied or
        suggested.
    :param lost: labels that were right, and would not either.
    """

    threshold: float | None
    avoided: int
    lost: int

    @property
    def gain(self) -> int:
        """How many more rejections would be avoided than tags lost."""
        return self.avoided - self.lost


@dataclass(frozen=True)
class Proposal:
    """What is proposed for a tag.

    :param rejected: labels of it that people rejected.
    :param kept: labels that they accepted, or left standing.
    """

    name: TagName
    cut: Cut
    rejected: int
    kept: int


def find_cut(rejected: Confidences, kept: Confidences, present: float) -> Cut | None:
    """Find what avoids most rejections for the fewest tags that are lost.

    :param rejected: confidences of the labels of a tag that people rejected.
    :param kept: those of the labels that they accepted, or left standing.
    :param present: the threshold that holds now. A label below it is not applied, so
        that only blocking the tag changes anything of it.
    :return: the lowest of the best thresholds, all above the present one; or to block
        the tag if that is better, or as good and no label would be left; ``None`` if
        nothing avoids more than it loses.
    """
    cuts = [
        Cut(
            threshold,
            _between(rejected, present, threshold),
            _between(kept, present, threshold),
        )
        for threshold in sorted(set(map(_just_above, rejected)))
        if present < threshold <= 1.0
    ]
    best = max(cuts, key=lambda cut: cut.gain, default=None)
    block = Cut(None, sum(rejected.values()), sum(kept.values()))
    if best is None or _is_better(block, best, kept):
        best = block
    return best if best.gain > 0 else None


def propose(
    session: Session, models: Models, instance: str, settings: Settings
) -> list[Proposal]:
    """Learn from what people rejected in an instance, the best proposal first.

    Labels that the present settings would neither apply nor suggest count no more:
    what was proposed and done is not proposed again. The tags that were rejected most
    are looked at, and no more rows of each than make a proposal possible.

    :param settings: of the instance, with its vocabulary.
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
) -> Proposal | None:
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
    present = max(thresholds) if own is None else own
    rejected, kept = (
        _standing(labels, present, settings) for labels in (rejected, kept)
    )
    if not _are_enough(rejected, kept):
        return None
    cut = find_cut(_confidences(rejected), _confidences(kept), present)
    if cut is None:
        return None
    return Proposal(name, cut, rejected.total(), kept.total())


def _standing(labels: _Labels, present: float, settings: Settings) -> _Labels:
    """Leave out labels that would be neither applied nor suggested now."""
    least = min(present, settings.suggestion_threshold)
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
    """Find the tags that were rejected most, by the keys of their rows."""
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
    """Select the labels of providers that people rejected."""
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
    """Select the labels that people accepted or left standing.

    Of each tag at most one more than rules a proposal out: a tag may be on very many
    images.
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
    """Put labels together by the key of their tag's row."""
    found: dict[int, _Labels] = defaultdict(Counter)
    for row in rows:
        found[row.tag_id][row.provider, row.confidence] += row.images
    return found


def _is_better(block: Cut, best: Cut, kept: Confidences) -> bool:
    """Whether to block a tag, rather than to raise its threshold."""
    if block.gain == best.gain:
        return not _between(kept, best.threshold, None)
    return block.gain > best.gain


def _between(confidences: Confidences, least: float | None, below: float | None) -> int:
    """Count the labels from *least* to below *below*."""
    return sum(
        images
        for confidence, images in confidences.items()
        if (least is None or confidence >= least)
        and (below is None or confidence < below)
    )


def _just_above(confidence: float) -> float:
    """Give the lowest step that a label of this confidence does not reach."""
    step = int(confidence * _STEPS)
    while step / _STEPS <= confidence:
        step += 1
    return step / _STEPS
