"""What people's rejections teach: a threshold for a tag, or that it be blocked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from .decisions import PERSON
from .models import Models
from .settings.resolution import Settings
from .verdicts import APPLIED, REJECTED
from .vocabulary import TagName

#: Rejections of a tag from which on something is proposed, and their share of all its
#: labels: below these a proposal would follow single tastes.
LEAST_REJECTED, LEAST_SHARE = 5, 0.2
#: Steps of a proposed threshold from 0 to 1.
_STEPS = 100

#: Confidence → on how many images.
Confidences = Mapping[float, int]


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
    what was proposed and done is not proposed again.

    :param settings: of the instance, with its vocabulary.
    """
    rows = session.execute(_select_confidences(models, instance)).all()
    of_tag: dict[TagName, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        of_tag[TagName(row.key, row.name)].append(row)
    found = [_propose_for(name, rows, settings) for name, rows in of_tag.items()]
    proposals = [each for each in found if each is not None]
    return sorted(proposals, key=lambda each: (-each.cut.gain, each.name.key))


def _propose_for(
    name: TagName, rows: Iterable[Row[Any]], settings: Settings
) -> Proposal | None:
    vocabulary = settings.vocabulary
    if vocabulary.is_blocked(name.key) or vocabulary.called(name).key != name.key:
        return None
    said = [row for row in rows if settings.values.get(row.provider, {}).get("enabled")]
    if not said:
        return None
    own = vocabulary.threshold(name.key)
    usual = max(settings[row.provider]["confidence_threshold"] for row in said)
    present = usual if own is None else own
    least = min(present, settings.suggestion_threshold)
    rejected, kept = Counter[float](), Counter[float]()
    for row in said:
        if row.confidence >= least:
            counter = rejected if row.state == REJECTED else kept
            counter[row.confidence] += row.images
    if not _are_enough(rejected.total(), kept.total()):
        return None
    cut = find_cut(rejected, kept, present)
    if cut is None:
        return None
    return Proposal(name, cut, rejected.total(), kept.total())


def _are_enough(rejected: int, kept: int) -> bool:
    return rejected >= LEAST_REJECTED and rejected >= LEAST_SHARE * (rejected + kept)


def _select_confidences(models: Models, instance: str) -> Select[Any]:
    """Select how often each confidence was rejected, or not, of the tags in question.

    A confidence has four digits: these are at most 10,000 rows a tag, of however
    many images.
    """
    tag, assigned = models.tag, models.assignment
    of_provider = assigned.provider.is_not(None)
    in_question = (
        select(assigned.tag_id)
        .join_from(tag, assigned, assigned.tag_id == tag.id)
        .where(
            tag.instance == instance,
            assigned.state == REJECTED,
            assigned.source == PERSON,
            of_provider,
        )
        .group_by(assigned.tag_id)
        .having(func.count() >= LEAST_REJECTED)
        .subquery()
    )
    columns: tuple[Any, ...] = (
        tag.key,
        tag.name,
        assigned.provider,
        assigned.state,
        assigned.confidence,
    )
    return (
        select(*columns, func.count().label("images"))
        .join_from(in_question, tag, tag.id == in_question.c.tag_id)
        .join(assigned, assigned.tag_id == tag.id)
        .where(assigned.state.in_([APPLIED, REJECTED]), of_provider)
        .group_by(*columns)
    )


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
