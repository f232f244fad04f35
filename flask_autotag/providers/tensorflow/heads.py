"""General labels, from linear classifiers on a network's embedding.

The classifiers are called heads. Each answers one question, such as whether a photo
shows sky, in some thousandths of the time that the network takes.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from ...errors import ModelError
from ..base import GENERAL, Label
from .class_doubts import ClassDoubts
from .heads_file import HeadsSpec

if TYPE_CHECKING:
    from .shapes import Array


class Heads:
    """The heads of one model.

    A head's score is ``scale * (weights · features) + bias``, and its confidence the
    logistic function of the score. The features are the square roots of the embedding,
    divided by their Euclidean norm: it makes few large values count less. See
    Arandjelović and Zisserman 2012, "Three things everyone should know to improve
    object retrieval", section 3.

    :ivar doubts: the classifier that finds doubtful labels of classes, if the archive
        has one.
    :param spec: the labels, and the archive with the arrays ``weights`` (int8, shape
        ``(heads, features)``), ``scale`` and ``bias`` (float32, shape ``(heads,)``).
    :raises ModelError: if the archive cannot be read, or does not match the labels.
    """

    def __init__(self, spec: HeadsSpec) -> None:
        import numpy as np

        arrays = _read(spec)
        try:
            weights, scale, self._bias = (
                arrays[name] for name in ("weights", "scale", "bias")
            )
            self.doubts = ClassDoubts.read(arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(spec, error) from error
        heads = len(spec.labels)
        if weights.ndim != 2 or not (
            len(weights) == len(scale) == len(self._bias) == heads
        ):
            raise ModelError(
                f"The heads in {spec.weights.name} do not match the {heads} labels."
            )
        self._labels = spec.labels
        self._weights = weights * np.reshape(scale, (-1, 1))
        if self.doubts and self.doubts.weights.shape != self._weights.shape[1:]:
            raise ModelError(
                f"class_weights in {spec.weights.name} does not match weights."
            )

    def features(self, embedding: Array) -> Array:
        """Return the square roots of the embedding, divided by their Euclidean norm.

        :param embedding: shape ``(1, features)``.
        :return: shape ``(features,)``.
        :raises ModelError: if the embedding has another shape, or is not finite.
        """
        import numpy as np

        if embedding.shape != (1, self._weights.shape[1]):
            raise ModelError(
                f"The embedding has the shape {list(embedding.shape)}, but the heads"
                f" read {[1, self._weights.shape[1]]}."
            )
        roots = np.sqrt(np.maximum(embedding[0], 0))
        features: Array = roots / max(float(np.linalg.norm(roots)), 1e-6)
        if not np.isfinite(features).all():
            raise ModelError("The embedding holds NaN or infinity.")
        return features

    def confidences(self, features: Array) -> Array:
        """Return the confidence of each head.

        :param features: shape ``(features,)``.
        :return: from 0 to 1, shape ``(heads,)``.
        """
        import numpy as np

        scores = self._weights @ features + self._bias
        confidences: Array = np.exp(-np.logaddexp(0, -scores))
        return confidences

    def labels(self, features: Array) -> list[Label]:
        """Return the label of each head, whatever its confidence.

        :param features: shape ``(features,)``.
        """
        named = zip(self._labels, self.confidences(features).tolist(), strict=True)
        return [
            Label(label_id, name, confidence, GENERAL)
            for (label_id, name), confidence in named
        ]


def _read(spec: HeadsSpec) -> dict[str, Array]:
    import numpy as np

    try:
        with np.load(spec.weights, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name], np.float32) for name in archive}
    except (OSError, AttributeError, ValueError, zipfile.BadZipFile) as error:
        raise _unreadable(spec, error) from error


def _unreadable(spec: HeadsSpec, error: Exception) -> ModelError:
    return ModelError(f"The heads in {spec.weights.name} cannot be read: {error}.")
