"""Labels of a detector, a model that runs beside another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import DETECTED, LEAST_CONFIDENCE, MOST_DETECTED, Label, ranked
from .concept_labels import BroaderLabels
from .detector_file import DetectorSpec
from .model_file import ModelFile
from .open_model import OpenModel

if TYPE_CHECKING:
    from PIL.Image import Image

    from .shapes import Array


class Detector:
    """A detector: a network, and the labels that it is allowed to give.

    The network scores each label by itself: several of them may be true. A label is
    given from the confidence in ``[detector.allowed]`` up; below it, and for all other
    labels, the answer is as if the network had not seen anything.

    :param file: the model.
    :param spec: the allowed labels.
    :param threads: processor threads for one image.
    :param device: as in :func:`.network.open_network`.
    """

    def __init__(
        self, file: ModelFile, spec: DetectorSpec, threads: int, device: str | None
    ) -> None:
        import numpy as np

        self._file = file
        self._model = OpenModel(file, threads, device)
        self._least = np.full(len(file.labels), np.inf)
        self._least[list(spec.allowed)] = list(spec.allowed.values())
        self._broader = BroaderLabels(
            file.labels, exclusive=False, ignore=file.output.ignore
        )

    def detect(self, image: Image) -> list[Label]:
        """Return the labels of an image, and the broader concepts of these.

        :param image: of mode ``RGB``.
        :raises ModelError: as :meth:`.OpenModel.run`.
        """
        return self.labels(self._model.confidences(self._model.run(image)))

    def labels(self, confidences: Array) -> list[Label]:
        """Return the labels that are given at some confidences.

        :param confidences: of each label, shape ``(labels,)``.
        """
        import numpy as np

        given = np.where(confidences >= self._least, confidences, 0)
        likely = np.flatnonzero(given >= LEAST_CONFIDENCE).tolist()
        labels = ranked(
            Label(*self._file.labels[place], float(given[place]), DETECTED)
            for place in likely
            if self._file.labels[place][1] not in self._file.output.ignore
        )
        return [*self._broader.of(given), *labels[:MOST_DETECTED]]
