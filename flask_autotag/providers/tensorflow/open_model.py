"""Runs one model on images, and returns its confidences."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ...errors import ModelError
from .model_file import ModelFile
from .network import Network, open_network
from .outputs import Outputs
from .pixels import to_input
from .shapes import check_output
from .tensors_file import NONE, SIGMOID, SOFTMAX

if TYPE_CHECKING:
    from PIL.Image import Image

    from .shapes import Array

#: Rounding error up to which a network's own confidences may lie outside 0 to 1.
_ROUNDING = 1e-3


class OpenModel:
    """A model that can be run. Its network is opened with the first image.

    :param file: the model.
    :param threads: processor threads for one image.
    :param device: as in :func:`.network.open_network`.
    """

    def __init__(self, file: ModelFile, threads: int, device: str | None) -> None:
        self._file = file
        self._threads = threads
        self._device = device

    def run(self, image: Image) -> Outputs:
        """Run the network on an image and check its output.

        :param image: of mode ``RGB``.
        :raises ModelError: if the network's file is damaged, or its input or output
            does not match ``model.toml`` and the labels.
        """
        import numpy as np

        outputs = self._network.run(to_input(image, self._file.input))
        check_output(self._file, outputs.classes.shape)
        if not np.isfinite(outputs.classes).all():
            raise ModelError(f"The model {self._file.name} returned NaN or infinity.")
        return outputs

    def confidences(self, outputs: Outputs) -> Array:
        """Return the confidence of each label.

        :return: from 0 to 1, shape ``(labels,)``.
        :raises ModelError: as :func:`activate`.
        """
        confidences = activate(self._file, outputs.classes[0])
        return confidences[: len(self._file.labels)]

    @cached_property
    def _network(self) -> Network:
        return open_network(self._file, self._threads, self._device)


def activate(file: ModelFile, outputs: Array) -> Array:
    """Apply the activation that the description names.

    It is applied here, in float, because a quantised activation has only 256 different
    values.

    :return: from 0 to 1, shape ``(width,)``.
    :raises ModelError: if the activation is ``none`` and the output holds no
        confidences.
    """
    import numpy as np

    confidences: Array
    numbers = outputs.astype(np.float64)
    if file.output.activation == SOFTMAX:
        shares = np.exp(numbers - numbers.max())
        confidences = shares / shares.sum()
        return confidences
    if file.output.activation == SIGMOID:
        confidences = np.exp(-np.logaddexp(0, -numbers))
        return confidences
    if numbers.min() < -_ROUNDING or numbers.max() > 1 + _ROUNDING:
        raise ModelError(
            f"The model {file.name} returned numbers from {numbers.min():.3g} to"
            f" {numbers.max():.3g}, which are not confidences: its output.activation is"
            f" not {NONE!r}."
        )
    confidences = np.clip(numbers, 0, 1)
    return confidences
