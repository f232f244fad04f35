"""The parts of ``model.toml`` that describe the network's tensors.

They are ``[input]`` and ``[output]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import description_values as checked

#: The names of Pillow's resampling filters, in lower case.
RESIZES = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
#: The function that turns an output into confidences: softmax for classes that exclude
#: each other, sigmoid for others, none if the network has done it itself.
SOFTMAX, SIGMOID, NONE = ACTIVATIONS = ("softmax", "sigmoid", checked.NONE)
CHANNELS = ("rgb", "bgr")

#: Pixels of an input's side. A larger input would take more than 200 MB.
_MAX_SIZE = 4096
_MAX_OUTPUTS = 1_000_000
_SETTINGS_OF_INPUT = {
    "name",
    "size",
    "resize",
    "crop",
    "letterbox",
    "mean",
    "scale",
    "channels",
}
_SETTINGS_OF_OUTPUT = {"name", "activation", "width", "ignore"}


@dataclass(frozen=True)
class InputSpec:
    """How an image becomes the input of the network.

    :param name: the graph's tensor or the signature's argument; ``None`` if there is
        only one.
    :param size: pixels of each side of the square input.
    :param resize: one of :data:`RESIZES`.
    :param crop: side of the square that is cut from the middle, as a share of the
        image's shorter side; ``None`` squeezes the whole image into the input.
    :param letterbox: red, green and blue, from 0 to 255, of the bars that fill the
        input beside the whole image, which keeps its proportions; ``None`` if the image
        is cropped or squeezed instead.
    :param mean: subtracted from the values 0 to 255 of each channel.
    :param scale: divides the difference.
    :param channels: the order of channels, one of :data:`CHANNELS`.
    """

    name: str | None
    size: int
    resize: str
    crop: float | None
    letterbox: tuple[int, int, int] | None
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    channels: str

    @property
    def side(self) -> int:
        """The pixels of the image's shorter side that still fill the input."""
        return round(self.size / (self.crop or 1))


@dataclass(frozen=True)
class OutputSpec:
    """How the output of the network becomes confidences.

    :param name: the graph's tensor or the signature's result; ``None`` if there is only
        one.
    :param activation: one of :data:`ACTIVATIONS`, applied to the output.
    :param width: numbers in the output for one image. Those after the last label are
        ignored.
    :param ignore: labels that never become tags, such as ``background``.
    """

    name: str | None
    activation: str
    width: int
    ignore: frozenset[str]


def read_input(table: Mapping[str, Any]) -> InputSpec:
    """Read ``[input]``.

    :raises ValueError: if a value is wrong; the message names its key.
    :raises KeyError: if a key is missing.
    """
    mean, scale = (checked.per_channel(key, table[key]) for key in ("mean", "scale"))
    size = table["size"]
    crop, letterbox = _read_fit(table)
    checked.refuse_unknown("input", table, _SETTINGS_OF_INPUT)
    if min(scale) <= 0:
        raise ValueError(
            f"input.scale must be above 0, not {checked.shown(table['scale'])}"
        )
    return InputSpec(
        name=checked.optional_text("input.name", table.get("name")),
        size=checked.whole_number("input.size", size, 1, _MAX_SIZE),
        resize=checked.one_of("input.resize", table.get("resize", "bilinear"), RESIZES),
        crop=crop,
        letterbox=letterbox,
        mean=mean,
        scale=scale,
        channels=checked.one_of(
            "input.channels", table.get("channels", "rgb"), CHANNELS
        ),
    )


def _read_fit(
    table: Mapping[str, Any],
) -> tuple[float | None, tuple[int, int, int] | None]:
    """Return ``crop`` and ``letterbox`` of the input."""
    if "letterbox" not in table:
        crop = table.get("crop", 1.0)
        return (None if crop == NONE else checked.share("input.crop", crop)), None
    if "crop" in table:
        raise ValueError("input.crop and input.letterbox exclude each other")
    return None, checked.colour("input.letterbox", table["letterbox"])


def read_output(table: Mapping[str, Any], labels: int) -> OutputSpec:
    """Read ``[output]``.

    :param labels: the number of labels.
    :raises ValueError: if a value is wrong; the message names its key.
    """
    checked.refuse_unknown("output", table, _SETTINGS_OF_OUTPUT)
    width = checked.whole_number(
        "output.width", table.get("width", labels), 1, _MAX_OUTPUTS
    )
    if width < labels:
        raise ValueError(f"output.width is {width}, but there are {labels} labels")
    ignore = table.get("ignore", [])
    if not isinstance(ignore, list) or not all(
        isinstance(name, str) for name in ignore
    ):
        raise ValueError(
            f"output.ignore must be a list of texts, not {checked.shown(ignore)}"
        )
    return OutputSpec(
        name=checked.optional_text("output.name", table.get("name")),
        activation=checked.one_of(
            "output.activation", table.get("activation", SOFTMAX), ACTIVATIONS
        ),
        width=width,
        ignore=frozenset(ignore),
    )
