"""Finds labels of classes that are probably wrong for the kind of photo.

A network that was trained on objects names one in every photo, and its confidence is
too high for photos of other kinds. A linear classifier, trained on labels that people
judged, estimates from a label's confidence and the photo's embedding whether the label
is right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..base import DOUBTFUL, Label
from .gates import LEAST_DOUBTED

if TYPE_CHECKING:
    from .shapes import Array

#: Labels that are right with a smaller probability are doubtful. Of those that people
#: judged, 11 % are right, with acceptable ones counted half. See
#: ``docs/general_tags.rst``.
LEAST_PROBABILITY = 0.25
#: The nearest that a confidence comes to 0 or 1 before its logit is taken.
_MARGIN = 0.0005


@dataclass(frozen=True)
class ClassDoubts:
    """The classifier of one model.

    The probability that a label is right is the logistic function of
    ``slope * logit(confidence) + weights · features + bias``.

    :param weights: shape ``(features,)``.
    """

    slope: float
    weights: Array
    bias: float

    @classmethod
    def read(cls, arrays: Mapping[str, Array]) -> ClassDoubts | None:
        """Read ``class_slope``, ``class_weights``, ``class_scale`` and ``class_bias``.

        :return: ``None`` if there are none.
        """
        if "class_weights" not in arrays:
            return None
        weights = arrays["class_weights"] * arrays["class_scale"]
        return cls(float(arrays["class_slope"]), weights, float(arrays["class_bias"]))

    def mark(self, labels: Sequence[Label], features: Array) -> list[Label]:
        """Mark doubtful labels.

        :param labels: of classes and broader concepts.
        :param features: of the photo, shape ``(features,)``.
        """
        photo = float(self.weights @ features) + self.bias
        least = math.log(LEAST_PROBABILITY / (1 - LEAST_PROBABILITY))
        return [
            replace(label, part=DOUBTFUL)
            if label.confidence >= LEAST_DOUBTED
            and self.slope * _logit(label.confidence) + photo < least
            else label
            for label in labels
        ]


def _logit(confidence: float) -> float:
    inside = min(max(confidence, _MARGIN), 1 - _MARGIN)
    return math.log(inside / (1 - inside))
