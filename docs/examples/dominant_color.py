"""A provider that tags images with their dominant colours, on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flask_autotag.providers.base import Label, LocalProvider, surest
from flask_autotag.settings import checks
from flask_autotag.settings.fields import Field, Input, Section
from flask_autotag.settings.machine import Machine

if TYPE_CHECKING:
    from PIL.Image import Image

RGB = tuple[int, int, int]

BASIC: dict[str, RGB] = {
    "black": (0, 0, 0),
    "gray": (128, 128, 128),
    "white": (255, 255, 255),
    "red": (220, 30, 40),
    "yellow": (245, 220, 50),
    "green": (50, 150, 60),
    "blue": (40, 80, 200),
}
FINE: dict[str, RGB] = {
    **BASIC,
    "orange": (245, 140, 30),
    "brown": (120, 75, 40),
    "pink": (245, 160, 185),
    "purple": (120, 50, 150),
    "turquoise": (60, 200, 190),
}
NAMES = {"basic": BASIC, "fine": FINE}


class DominantColorProvider(LocalProvider):
    """Name the colours that cover most of an image; their share is the confidence.

    :param colors: the number of colours to which an image is reduced.
    :param names: the list of possible names, a key of ``NAMES``.
    """

    name = "dominant_color"
    section = Section(
        "dominant_color",
        "Dominant colours",
        (
            Field(
                "enabled",
                False,
                checks.boolean,
                "Enable dominant colours",
                "Finds colours on this machine; no image leaves it.",
                Input.SWITCH,
            ),
            Field(
                "confidence_threshold",
                0.2,
                checks.fraction,
                "Confidence threshold",
                "From 0 to 1: the share of an image that a colour must cover.",
                Input.FRACTION,
            ),
            Field(
                "colors",
                8,
                checks.whole_number(2, 32),
                "Colours",
                "From 2 to 32: the number of colours that are distinguished.",
                Input.COUNT,
            ),
            Field(
                "names",
                "basic",
                checks.one_of(*NAMES),
                "Names",
                "basic: names for seven colours. fine: names for twelve.",
                Input.CHOICE,
                choices=lambda _model_dir: tuple(NAMES),
            ),
        ),
    )

    def __init__(self, colors: int, names: str) -> None:
        self._colors = colors
        self._names = names

    @classmethod
    def options(cls, settings: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
        return {"colors": settings["colors"], "names": settings["names"]}

    @classmethod
    def current_model(cls, settings: Mapping[str, Any], machine: Machine) -> str:
        return cls(**cls.options(settings, machine)).model

    @property
    def model(self) -> str:
        return f"dominant-color 1, {self._colors} {self._names}"

    @property
    def side(self) -> int:
        return 64

    def classify(self, images: Sequence[Image]) -> list[list[Label]]:
        return [self._labels(image) for image in images]

    def _labels(self, image: Image) -> list[Label]:
        # Images may have any size: side is only the size that is needed.
        small = image.resize((self.side, self.side))
        pixels: Counter[str] = Counter()
        reduced = small.quantize(self._colors).convert("RGB")
        for number, color in reduced.getcolors() or ():
            pixels[self._nearest(color)] += number
        whole = self.side**2
        return surest([Label(name, name, pixels[name] / whole) for name in pixels])

    def _nearest(self, color: Any) -> str:
        names = NAMES[self._names]
        return min(names, key=lambda name: _distance(names[name], color))


def _distance(one: RGB, other: RGB) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
