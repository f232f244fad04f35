"""TensorFlow on this machine, through its own small runtime, LiteRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .. import checks
from ..errors import ModelError
from ..settings.fields import Field, Input, Section
from . import model_file
from .base import LEAST_CONFIDENCE, Label, LocalProvider, surest

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array = np.ndarray[Any, np.dtype[np.float32]]

DEFAULT_MODEL = "efficientnet-lite0"


class TensorFlowProvider(LocalProvider):
    """Classify with a TensorFlow Lite network.

    Nothing heavy is imported or read before the first image.

    :param model: a model's name; see :func:`.model_file.available`.
    :param model_dir: where further models are; the bundled ones need none.
    :param threads: processor threads for one image.
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
    ) -> None:
        self._file = model_file.find(model, model_dir)
        self._threads = threads

    @classmethod
    def options(
        cls, settings: Mapping[str, Any], model_dir: str | None
    ) -> dict[str, Any]:
        """Choose the model."""
        return {"model": settings["model"], "model_dir": model_dir}

    @property
    def model(self) -> str:
        """Give the model's name and version."""
        return f"{self._file.name} {self._file.version}"

    @property
    def side(self) -> int:
        """Give the side that leaves the network's input size after the crop."""
        return round(self._file.size / self._file.crop)

    def classify(self, images: Sequence[Image]) -> list[list[Label]]:
        """Classify images one after the other: the network's batch is fixed at 1.

        :raises ModelError: if the network's file is damaged, or does not take or
            give what ``model.toml`` and the labels say.
        """
        return [self._labels(self._run(self._pixels(image))) for image in images]

    def _pixels(self, image: Image) -> Array:
        """Cut out and scale the middle of an image.

        :return: shape ``(1, size, size, 3)``.
        """
        import numpy as np
        from PIL.Image import Resampling

        side = min(image.size) * self._file.crop
        left, top = (image.width - side) / 2, (image.height - side) / 2
        small = image.resize(
            (self._file.size, self._file.size),
            Resampling.BICUBIC,
            box=(left, top, left + side, top + side),
        )
        values = np.asarray(small, dtype=np.float32)[np.newaxis]
        return (values - self._file.mean) / self._file.scale

    def _run(self, pixels: Array) -> Array:
        """Run the network.

        :return: the logit of each class, shape ``(classes,)``.
        """
        network = self._network
        network.set_tensor(network.get_input_details()[0]["index"], pixels)
        network.invoke()
        logits: Array = network.get_tensor(network.get_output_details()[0]["index"])[0]
        return logits

    @cached_property
    def _network(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        self._file.check()
        try:
            network = Interpreter(
                model_path=str(self._file.network), num_threads=self._threads
            )
            network.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"The file {self._file.network.name} of the model {self._file.name} is"
                " no TensorFlow Lite network that can be run."
            ) from error
        self._check_shapes(network)
        return network

    def _check_shapes(self, network: Any) -> None:
        size, classes = self._file.size, len(self._file.labels)
        for what, details, expected in (
            ("input", network.get_input_details()[0], [1, size, size, 3]),
            ("output", network.get_output_details()[0], [1, classes]),
        ):
            shape = details["shape"].tolist()
            if shape != expected:
                raise ModelError(
                    f"The {what} of the model {self._file.name} has the shape {shape},"
                    f" but its description and labels make it {expected}."
                )

    def _labels(self, logits: Array) -> list[Label]:
        """Turn logits into labels.

        The softmax is taken here, in float: a quantised one would know only 256
        different confidences. Classes of one name add up, for they mean the same.

        :param logits: of each class, shape ``(classes,)``.
        """
        import numpy as np

        shares = np.exp(logits.astype(np.float64) - logits.max())
        names, places = self._names
        confidences = np.bincount(places, weights=shares / shares.sum())
        likely = np.flatnonzero(confidences >= LEAST_CONFIDENCE).tolist()
        return surest(
            [
                Label(*names[place], min(1.0, float(confidences[place])))
                for place in likely
            ]
        )

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
