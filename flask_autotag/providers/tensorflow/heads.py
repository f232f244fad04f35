"""General labels, from linear classifiers on a network's embedding.

The classifiers are called heads. Each answers one question, such as whether a photo
shows sky, in some thousandths of the time that the network takes.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from ...errors import ModelError
from ..base import GENERAL, Label
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

    :param spec: the labels, and the archive with the arrays ``weights`` (int8, shape
        ``(heads, features)``), ``scale`` and ``bias`` (float32, shape ``(heads,)``).
    :raises ModelError: if the archive cannot be read, or does not match the labels.
    """

    def __init__(self, spec: HeadsSpec) -> None:
        import numpy as np

        try:
            with np.load(spec.weights, allow_pickle=False) as arrays:
                weights, scale, self._bias = (
                    np.asarray(arrays[name], np.float32)
                    for name in ("weights", "scale", "bias")
                )
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"The heads in {spec.weights.name} cannot be read: {error}."
            ) from error
        heads = len(spec.labels)
        if weights.ndim != 2 or not (
            len(weights) == len(scale) == len(self._bias) == heads
        ):
            raise ModelError(
                f"The heads in {spec.weights.name} do not match the {heads} labels."
            )
        self._labels = spec.labels
        self._weights = weights * scale.reshape(-1, 1)

    def confidences(self, embedding: Array) -> Array:
        """Return the confidence of each head.

        :param embedding: shape ``(1, features)``.
        :return: from 0 to 1, shape ``(heads,)``.
        :raises ModelError: if the embedding has another shape, or is not finite.
        """
        import numpy as np

        if embedding.shape != (1, self._weights.shape[1]):
            raise ModelError(
                f"The embedding has the shape {list(embedding.shape)}, but the heads"
                f" read {[1, self._weights.shape[1]]}."
            )
        roots = np.sqrt(np.maximum(embedding[0], 0))
        features = roots / max(float(np.linalg.norm(roots)), 1e-6)
        scores = self._weights @ features + self._bias
        if not np.isfinite(scores).all():
            raise ModelError("The embedding holds NaN or infinity.")
        confidences: Array = np.exp(-np.logaddexp(0, -scores))
        return confidences

    def labels(self, embedding: Array) -> list[Label]:
        """Return the label of each head, whatever its confidence.

        :param embedding: as in :meth:`confidences`.
        """
        named = zip(self._labels, self.confidences(embedding).tolist(), strict=True)
        return [
            Label(label_id, name, confidence, GENERAL)
            for (label_id, name), confidence in named
        ]
