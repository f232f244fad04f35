"""The local TensorFlow provider: merges the labels of a model's parts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...settings import checks
from ...settings.fields import Field, Input, Section
from ...settings.machine import Machine
from ..base import LEAST_CONFIDENCE, Label, LocalProvider, ranked, surest
from .concept_labels import BroaderLabels
from .detector import Detector
from .general_labels import GeneralLabels
from .kinds import (
    NO_DETECTOR,
    classifiers,
    detectors,
    find_classifier,
    find_detector,
    refuse_as_classifier,
    refuse_as_detector,
)
from .litert import is_installed
from .merging import merged
from .model_file import BUNDLED, LITERT, ModelFile
from .open_model import OpenModel
from .outputs import Outputs
from .tensors_file import SIGMOID

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
#: Characters of the stored name of the model and the detector, and of the digest that
#: ends a longer one.
_NAME_LENGTH, _DIGEST_LENGTH = 128, 8


class TensorFlowProvider(LocalProvider):
    """Classifies with a model that LiteRT or TensorFlow itself runs.

    The runtime is imported and the network opened with the first image.

    :param model: one of :func:`.kinds.classifiers`.
    :param detector: one of :func:`.kinds.detectors`, which runs beside the model.
    :param model_dir: the folder of further models; not needed for bundled ones.
    :param threads: processor threads for one image.
    :param device: the device for TensorFlow itself, such as ``GPU:0``; ``None`` leaves
        the choice to TensorFlow.
    :raises ModelError: if a model does not exist, is incomplete, or is of the wrong
        kind.
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
                choices=classifiers,
                refusal=refuse_as_classifier,
            ),
            Field(
                "detector",
                NO_DETECTOR,
                checks.text,
                "Detector",
                "A second network that runs beside the model and finds single things,"
                " such as people. An image takes several times as long. Detectors can"
                " be installed in the folder that AUTOTAG_MODEL_DIR names.",
                Input.CHOICE,
                choices=detectors,
                refusal=refuse_as_detector,
            ),
        ),
    )

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        model_dir: str | None = None,
        threads: int = 1,
        device: str | None = None,
        detector: str = NO_DETECTOR,
    ) -> None:
        self._files = _find(model, detector, model_dir)
        self._file = self._files[0]
        self._threads = threads
        self._device = device

    @classmethod
    def options(cls, settings: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
        """Return the chosen models, and the folder and device of the machine."""
        return {
            "model": settings["model"],
            "detector": settings["detector"],
            "model_dir": machine.model_dir,
            "device": machine.tensorflow_device,
        }

    @classmethod
    def current_model(cls, settings: Mapping[str, Any], machine: Machine) -> str:
        """Read the names and versions of the models from their descriptions."""
        model, detector = settings["model"], settings["detector"]
        return _joined_name(_find(model, detector, machine.model_dir))

    @classmethod
    def check_files(cls, settings: Mapping[str, Any], machine: Machine) -> None:
        """Compare the files of the models with their checksums.

        :raises ModelError: if a model does not exist, is of the wrong kind, or is
            damaged.
        """
        for file in _find(settings["model"], settings["detector"], machine.model_dir):
            file.check()

    @property
    def model(self) -> str:
        """Return the name and version of the model, and of the detector beside it."""
        return _joined_name(self._files)

    @property
    def side(self) -> int:
        """Return the side that still fills the input of each network."""
        return max(file.input.side for file in self._files)

    @property
    def forkable(self) -> bool:
        """Whether LiteRT runs all; TensorFlow's threads do not survive a fork."""
        return is_installed() and all(file.format == LITERT for file in self._files)

    @property
    def files(self) -> Sequence[Path]:
        """Return the folders of the model and of the detector.

        A child with TensorFlow itself is not replaced when the model changes, so it
        may read all models, and it reads files of the system.
        """
        folders = [file.network.parent for file in self._files]
        if self.forkable:
            return folders
        system = [path.expanduser() for path in _READ_BY_TENSORFLOW]
        return [BUNDLED, *dict.fromkeys(folder.parent for folder in folders), *system]

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
        return [self._labels(self._model.run(image), image) for image in images]

    @cached_property
    def _model(self) -> OpenModel:
        return OpenModel(self._file, self._threads, self._device)

    @cached_property
    def _detector(self) -> Detector | None:
        file = self._files[-1]
        if file.detector is None:
            return None
        return Detector(file, file.detector, self._threads, self._device)

    @cached_property
    def _general(self) -> GeneralLabels | None:
        spec, ids = self._file.heads, [label_id for label_id, _ in self._file.labels]
        return None if spec is None else GeneralLabels(spec, ids)

    def _labels(self, outputs: Outputs, image: Image) -> list[Label]:
        """Return the labels of all parts of the model."""
        confidences = self._model.confidences(outputs)
        classes = surest(self._of_classes(confidences))
        labels = [*classes, *self._broader.of(confidences)]
        detected = self._detector.detect(image) if self._detector else []
        if self._general is None or outputs.embedding is None:
            return ranked(merged(labels, detected))
        return self._general.combine(labels, outputs.embedding, image, detected)

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


def _find(model: str, detector: str, model_dir: str | None) -> list[ModelFile]:
    """Read the model, and the detector if there is one.

    :raises ModelError: if one does not exist, or is of the wrong kind.
    """
    found = find_detector(detector, model_dir)
    return [
        find_classifier(model, model_dir),
        *([] if found is None else [found]),
    ]


def _joined_name(files: Sequence[ModelFile]) -> str:
    """Join names and versions, such as "efficientnet-lite0 2 + nanodet 1".

    A name that is too long to be stored ends with a digest, so that it still differs
    from all others.
    """
    name = " + ".join(file.full_name for file in files)
    if len(name) <= _NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: _NAME_LENGTH - _DIGEST_LENGTH - 1]} {digest}"
