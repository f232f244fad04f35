"""The local TensorFlow provider: turns images into pixels, and outputs into labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from ...settings import checks
from ...settings.fields import Field, Input, Section
from ...settings.machine import Machine
from ..base import LEAST_CONFIDENCE, Label, LocalProvider, ranked, surest
from . import model_file
from .concept_labels import BroaderLabels
from .general_labels import GeneralLabels
from .litert import is_installed
from .model_file import BUNDLED, LITERT, NONE, SIGMOID, SOFTMAX
from .network import Network, open_network
from .outputs import Outputs
from .shapes import check_output

if TYPE_CHECKING:
    from PIL.Image import Image

    from .shapes import Array

DEFAULT_MODEL = "efficientnet-lite0"
#: Files that TensorFlow reads: Keras's settings, and the list of devices.
_READ_BY_TENSORFLOW = (
    Path("~/.keras/keras.json"),
    Path("/proc/driver/nvidia"),
    Path("/proc/devices"),
    Path("/sys/bus/pci"),
    Path("/sys/devices"),
)
#: The devices of NVIDIA's and AMD's drivers.
_GRAPHICS_CARDS = ("/dev/nvidia*", "/dev/kfd", "/dev/dri")
#: Rounding error up to which a network's own confidences may lie outside 0 to 1.
_ROUNDING = 1e-3


class TensorFlowProvider(LocalProvider):
    """Classifies with a model that LiteRT or TensorFlow itself runs.

    The runtime is imported and the network opened with the first image.

    :param model: one of :func:`.model_file.available`.
    :param model_dir: the folder of further models; not needed for bundled ones.
    :param threads: processor threads for one image.
    :param device: the device for TensorFlow itself, such as ``GPU:0``; ``None`` leaves
        the choice to TensorFlow.
    :raises ModelError: if the model does not exist or is incomplete.
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
                "From 0 to 1: the lowest confidence of the model at which a label"
                " becomes a tag. A lower threshold finds more tags, and more wrong"
                " ones.",
                Input.FRACTION,
            ),
            Field(
                "model",
                DEFAULT_MODEL,
                checks.text,
                "Model",
                "The network that classifies. Further models can be installed in the"
                " folder that AUTOTAG_MODEL_DIR names.",
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
        """Return the chosen model, and the folder and device of the machine."""
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
        """Return the model's name and version."""
        return self._file.full_name

    @property
    def side(self) -> int:
        """Return the side that still fills the network's input after the crop."""
        return round(self._file.input.size / (self._file.input.crop or 1))

    @property
    def forkable(self) -> bool:
        """Whether LiteRT runs the model; TensorFlow's threads do not survive a fork."""
        return self._file.format == LITERT and is_installed()

    @property
    def files(self) -> Sequence[Path]:
        """Return the folder of the model.

        A child with TensorFlow itself is not replaced when the model changes, so it
        may read all models, and it reads files of the system.
        """
        folder = self._file.network.parent
        if self.forkable:
            return [folder]
        system = [path.expanduser() for path in _READ_BY_TENSORFLOW]
        return [BUNDLED, folder.parent, *system]

    @property
    def devices(self) -> Sequence[str]:
        """Return the devices of graphics cards; LiteRT uses none."""
        if self.forkable:
            return ()
        return [path for pattern in _GRAPHICS_CARDS for path in glob(pattern)]

    def classify(self, images: Sequence[Image]) -> list[list[Label]]:
        """Classify images one after the other: the network's batch size is 1.

        :raises ModelError: if the network's file is damaged, or its input or output
            does not match ``model.toml`` and the labels.
        """
        return [self._labels(self._run(self._pixels(image)), image) for image in images]

    def _pixels(self, image: Image) -> Array:
        """Convert an image to the network's input.

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
        """Return the part that is classified: the square in the middle, or all."""
        crop = self._file.input.crop
        if crop is None:
            return 0, 0, image.width, image.height
        side = min(image.size) * crop
        left, top = (image.width - side) / 2, (image.height - side) / 2
        return left, top, left + side, top + side

    def _run(self, pixels: Array) -> Outputs:
        """Run the network and check its output."""
        import numpy as np

        outputs = self._network.run(pixels)
        check_output(self._file, outputs.classes.shape)
        if not np.isfinite(outputs.classes).all():
            raise ModelError(f"The model {self._file.name} returned NaN or infinity.")
        return outputs

    @cached_property
    def _general(self) -> GeneralLabels | None:
        spec, ids = self._file.heads, [label_id for label_id, _ in self._file.labels]
        return None if spec is None else GeneralLabels(spec, ids)

    @cached_property
    def _network(self) -> Network:
        return open_network(self._file, self._threads, self._device)

    def _labels(self, outputs: Outputs, image: Image) -> list[Label]:
        """Return the labels of the classes, of broader and of general concepts."""
        confidences = self._confidences(outputs.classes[0])[: len(self._file.labels)]
        classes = surest(self._of_classes(confidences))
        labels = [*classes, *self._broader.of(confidences)]
        if self._general is None or outputs.embedding is None:
            return ranked(labels)
        return self._general.combine(labels, outputs.embedding, image)

    def _of_classes(self, shares: Array) -> list[Label]:
        """Return the labels of the classes themselves.

        Classes with the same name mean the same. If classes exclude each other, their
        confidences add up; otherwise the highest counts.

        :param shares: the confidence of each class, shape ``(classes,)``.
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
        return self._file.output.activation != SIGMOID

    @cached_property
    def _broader(self) -> BroaderLabels:
        return BroaderLabels(
            self._file.labels,
            exclusive=self._exclusive,
            ignore=self._file.output.ignore,
        )

    def _confidences(self, outputs: Array) -> Any:
        """Apply the activation that the description names.

        It is applied here, in float, because a quantised activation has only 256
        different values.

        :return: from 0 to 1, shape ``(width,)``.
        :raises ModelError: if the activation is ``none`` and the output holds no
            confidences.
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
                f"The model {self._file.name} returned numbers from"
                f" {numbers.min():.3g} to {numbers.max():.3g}, which are not"
                f" confidences: its output.activation is not {NONE!r}."
            )
        return np.clip(numbers, 0, 1)

    @cached_property
    def _names(self) -> tuple[list[tuple[str, str]], list[int]]:
        """The different names, and the name of each class.

        :return: ``(id, name)`` of each different name, with the id of its first class;
            and for each class the position of its name in that list.
        """
        places: dict[str, int] = {}
        different: list[tuple[str, str]] = []
        for label_id, name in self._file.labels:
            if name not in places:
                places[name] = len(different)
                different.append((label_id, name))
        return different, [places[name] for _, name in self._file.labels]
