"""Merges the labels of a network's classes with those of other parts of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..base import Label


def merged(labels: Sequence[Label], others: Iterable[Label]) -> list[Label]:
    """Return one label for each concept.

    If several parts give the same concept, the highest confidence counts, unless it is
    one of the classes' that is doubtful.

    :param labels: of classes and broader concepts, each with another id.
    :param others: of heads and detectors; of equal ones the last counts.
    """
    best = {label.id: label for label in labels}
    for label in others:
        other = best.get(label.id)
        if other is None or other.is_doubtful or label.confidence >= other.confidence:
            best[label.id] = label
    return list(best.values())
