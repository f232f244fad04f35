"""Labels for what a model's classes have in common, from its confidences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..broader import groups, hierarchy
from .base import LEAST_CONFIDENCE, Label

if TYPE_CHECKING:
    from .network import Array


class BroaderLabels:
    """The broader concepts of one model's classes.

    :param labels: ``(id, name)`` of each class, in the order of the outputs.
    :param exclusive: whether the classes exclude each other, so that confidences add
        up; else the surest class counts.
    :param ignore: names that are no tags.
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
        # One run of places for each concept, one after the other, and their starts.
        runs = list(self._places.values())
        self._classes = np.array([place for run in runs for place in run], np.intp)
        self._starts = np.cumsum([0, *(len(run) for run in runs)])[:-1]

    def of(self, confidences: Array) -> list[Label]:
        """Make the labels of one image that are worth storing.

        :param confidences: of each class, shape ``(classes,)``.
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
        """Tell whether a class is such a concept itself."""
        return label_id in self._places
