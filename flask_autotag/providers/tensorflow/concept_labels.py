"""Labels of broader concepts, from the confidences of a model's classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..base import LEAST_CONFIDENCE, Label
from ..concept_hierarchy import groups, hierarchy

if TYPE_CHECKING:
    from .shapes import Array


class BroaderLabels:
    """The broader concepts of one model's classes.

    :param labels: ``(id, name)`` of each class, in the order of the outputs.
    :param exclusive: whether classes exclude each other. If so, the confidences of a
        concept's classes add up; otherwise the highest counts.
    :param ignore: names that do not become labels.
    """

    def __init__(
        self,
        labels: Sequence[tuple[str, str]],
        *,
        exclusive: bool,
        ignore: frozenset[str] = frozenset(),
    ) -> None:
        import numpy as np

        found = groups([label_id for label_id, _ in labels])
        names = {concept: hierarchy().names[concept] for concept in found}
        self._places = {
            concept: places
            for concept, places in found.items()
            if names[concept] not in ignore
        }
        self._names = names
        self._join = np.add if exclusive else np.maximum
        # The positions of all concepts one after the other, and where each starts.
        runs = list(self._places.values())
        self._classes = np.array([place for run in runs for place in run], np.intp)
        self._starts = np.cumsum([0, *(len(run) for run in runs)])[:-1]

    def of(self, confidences: Array) -> list[Label]:
        """Return the labels of one image, from :data:`.LEAST_CONFIDENCE` up.

        :param confidences: the confidence of each class, shape ``(classes,)``.
        """
        if not self._places:
            return []
        sums = self._join.reduceat(confidences[self._classes], self._starts)
        return [
            Label(concept, self._names[concept], min(1.0, value))
            for concept, value in zip(self._places, sums.tolist(), strict=True)
            if value >= LEAST_CONFIDENCE
        ]

    def __contains__(self, label_id: object) -> bool:
        """Return whether a class is itself one of the concepts."""
        return label_id in self._places
