"""Gates: labels of classes that a head makes unlikely, such as a puzzle on a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..base import DOUBTFUL, Label
from ..concept_hierarchy import concepts_of, hierarchy

#: The confidence from which a head's answer counts.
SURE = 0.5
#: Labels with a lower confidence are not marked: they are hardly ever applied.
LEAST_DOUBTED = 0.45


@dataclass(frozen=True)
class Gate:
    """Labels that are unlikely where a head is sure.

    Of the photos that were labelled to train the heads, most show such a label wrong.

    :param head: the id of the head's label.
    :param labels: ids of labels, or of concepts above them; ``None`` stands for all.
    :param exempt: ids of labels, or of concepts above them, that are likely all the
        same.
    """

    head: str
    labels: frozenset[str] | None
    exempt: frozenset[str]

    def stops(self, ids: frozenset[str]) -> bool:
        """Return whether a label is unlikely.

        :param ids: the ids of the label and of all concepts above it.
        """
        if self.exempt & ids:
            return False
        return self.labels is None or bool(self.labels & ids)


class Gates:
    """The gates of one model.

    :param gates: in any order.
    :param ids: the ids of the model's classes.
    """

    def __init__(self, gates: Sequence[Gate], ids: Sequence[str]) -> None:
        self._gates = gates
        self._concepts = concepts_of(frozenset(ids))

    def apply(self, labels: Sequence[Label], sure: Mapping[str, float]) -> list[Label]:
        """Mark unlikely labels as doubtful.

        :param labels: of classes and broader concepts.
        :param sure: the confidence of each head, by the id of its label.
        """
        gates = [gate for gate in self._gates if sure.get(gate.head, 0) >= SURE]
        if not gates:
            return list(labels)
        return [
            replace(label, part=DOUBTFUL)
            if label.confidence >= LEAST_DOUBTED and self._is_stopped(label.id, gates)
            else label
            for label in labels
        ]

    def _is_stopped(self, label_id: str, gates: Sequence[Gate]) -> bool:
        none: frozenset[str] = frozenset()
        above = self._concepts.get(label_id, none) | hierarchy().above(label_id)
        return any(gate.stops(above | {label_id}) for gate in gates)
