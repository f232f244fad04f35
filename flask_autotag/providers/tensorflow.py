"""TensorFlow on this machine: pixels for a network, and labels from its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .. import checks
from ..errors import ModelError
from ..settings.fields import Field, Input, Section
from . import model_file
from .base import LEAST_CONFIDENCE, Label, LocalProvider, Machine, ranked, surest
from .broader_labels import BroaderLabels
from .model_file import NONE, SIGMOID, SOFTMAX
from .network import Network, check_output, open_network

if TYPE_CHECKING:
    from PIL.Image import Image

    from .network import Array

DEFAULT_MODEL = "efficientnet-lite0"
#: By how much a network's own confidences may leave 0 to 1.
_ROUNDING = 1e-3


class TensorFlowProvider(LocalProvider):
    """Classify with a TensorFlow model: LiteRT runs it, or TensorFlow itself.

    Nothing heavy is imported or read before the first image.

    :param model: a model's name; see :func:`.model_file.available`.
    :param model_dir: where further models are; the bundled ones need none.
    :param threads: processor threads for one image.
    :param device: where TensorFlow itself runs, such as ``GPU:0``; it chooses without.
    """

    name = "tensorflow"
    section = Section(
        "tensorflow",
        "TensorFlow Image Auto Tagging",
        (
            Field(
                "enabled",
                True,
                checks.boolean,
                "Enable TensorFlow image auto tagging",
                "Classifies on this machine; no image leaves it.",
                Input.SWITCH,
            ),
            Field(
                "confidence_threshold",
                0.5,
                checks.fraction,
                "Confidence threshold",
                "From 0 to 1: how sure the model must be of a tag. Lower finds more"
                " tags and more wrong ones.",
                Input.FRACTION,
            ),
            Field(
                "model",
                DEFAULT_MODEL,
                checks.text,
                "Model",
                "Which network classifies. Further ones are looked for in the folder"
                " that AUTOTAG_MODEL_DIR names.",
                Input.CHOICE,
                choices=model_file.available,
            ),
        ),
    )

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        model_dir: str | None = None,
        threads: int = 1,
        device: str | None = None,
    ) -> None:
        self._file = model_file.find(model, model_dir)
        self._threads = threads
        self._device = device

    @classmethod
    def options(cls, settings: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
        """Choose the model."""
        return {
            "model": settings["model"],
            "model_dir": machine.model_dir,
            "device": machine.tensorflow_device,
        }

    @classmethod
    def current_model(cls, settings: Mapping[str, Any], machine: Machine) -> str:
        """Read the model's name and version from its description."""
        return model_file.find(settings["model"], machine.model_dir).full_name

    @property
    def model(self) -> str:
        """Give the model's name and version."""
        return self._file.full_name

    @property
    def side(self) -> int:
        """Give the side that leaves the network's input size after the crop."""
        return round(self._file.input.size / (self._file.input.crop or 1))

    def classify(self, images: Sequence[Image]) -> list[list[Label]]:
        """Classify images one after the other: the network's batch is 1.

        :raises ModelError: if the network's file is damaged, or does not take or
            give what ``model.toml`` and the labels say.
        """
        return [self._labels(self._run(self._pixels(image))) for image in images]

    def _pixels(self, image: Image) -> Array:
        """Make of an image what the network takes.

        :return: shape ``(1, size, size, 3)``.
        """
        import numpy as np
        from PIL.Image import Resampling

        wanted = self._file.input
        small = image.resize(
            (wanted.size, wanted.size),
            Resampling[wanted.resize.upper()],
            box=self._box(image),
        )
        values = np.asarray(small, dtype=np.float32)
        if wanted.channels == "bgr":
            values = values[:, :, ::-1]
        mean, scale = (
            np.array(each, np.float32) for each in (wanted.mean, wanted.scale)
        )
        pixels: Array = (values[np.newaxis] - mean) / scale
        return pixels

    def _box(self, image: Image) -> tuple[float, float, float, float]:
        """Choose what is looked at: the square in the middle, or all."""
        crop = self._file.input.crop
        if crop is None:
            return 0, 0, image.width, image.height
        side = min(image.size) * crop
        left, top = (image.width - side) / 2, (image.height - side) / 2
        return left, top, left + side, top + side

    def _run(self, pixels: Array) -> Array:
        """Run the network, and believe nothing of what it gives.

        :return: the number of each class that has a label, shape ``(classes,)``.
        """
        import numpy as np

        outputs = self._network.run(pixels)
        check_output(self._file, outputs.shape)
        if not np.isfinite(outputs).all():
            raise ModelError(
                f"The model {self._file.name} gives numbers that are none (NaN)."
            )
        of_image: Array = outputs[0]
        return of_image

    @cached_property
    def _network(self) -> Network:
        return open_network(self._file, self._threads, self._device)

    def _labels(self, outputs: Array) -> list[Label]:
        """Turn the network's numbers into labels: of classes, and broader ones.

        :param outputs: of each class, shape ``(width,)``.
        """
        confidences = self._confidences(outputs)[: len(self._file.labels)]
        classes = surest(self._of_classes(confidences))
        return ranked([*classes, *self._broader.of(confidences)])

    def _of_classes(self, shares: Array) -> list[Label]:
        """Make the labels of the classes themselves.

        Classes of one name add up where they exclude each other, for they mean the
        same; else the surest counts.

        :param shares: each class's confidence, shape ``(classes,)``.
        """
        import numpy as np

        names, places = self._names
        confidences = np.zeros(len(names))
        join = np.add if self._exclusive else np.maximum
        join.at(confidences, places, shares)
        likely = np.flatnonzero(confidences >= LEAST_CONFIDENCE).tolist()
        return [
            Label(*names[place], min(1.0, float(confidences[place])))
            for place in likely
            if names[place][0] not in self._broader
            and names[place][1] not in self._file.output.ignore
        ]

    @property
    def _exclusive(self) -> bool:
        """Whether an image is of one class alone."""
        return self._file.output.activation != SIGMOID

    @cached_property
    def _broader(self) -> BroaderLabels:
        return BroaderLabels(
            self._file.labels,
            exclusive=self._exclusive,
            ignore=self._file.output.ignore,
        )

    def _confidences(self, outputs: Array) -> Any:
        """Take the activation that the description names.

        It is taken here, in float: a quantised one would know only 256 different
        confidences.

        :return: from 0 to 1, shape ``(width,)``.
        :raises ModelError: if the network says that it has, and has not.
        """
        import numpy as np

        numbers = outputs.astype(np.float64)
        if self._file.output.activation == SOFTMAX:
            shares = np.exp(numbers - numbers.max())
            return shares / shares.sum()
        if self._file.output.activation == SIGMOID:
            return np.exp(-np.logaddexp(0, -numbers))
        if numbers.min() < -_ROUNDING or numbers.max() > 1 + _ROUNDING:
            raise ModelError(
                f"The model {self._file.name} gives numbers from {numbers.min():.3g} to"
                f" {numbers.max():.3g}, which are no confidences: its output.activation"
                f" is not {NONE!r}."
            )
        return np.clip(numbers, 0, 1)

    @cached_property
    def _names(self) -> tuple[list[tuple[str, str]], list[int]]:
        """List the different labels, and which of them each class has.

        :return: ``(id, name)`` of each different name, by its first class; and for
            each class the place of its name among these.
        """
        places: dict[str, int] = {}
        different: list[tuple[str, str]] = []
        for label_id, name in self._file.labels:
            if name not in places:
                places[name] = len(different)
                different.append((label_id, name))
        return different, [places[name] for _, name in self._file.labels]
