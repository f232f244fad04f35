"""Turns images into inputs of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .tensors_file import InputSpec

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

    from .shapes import Array

#: The left, upper, right and lower edge of a part of an image, in pixels.
_Box = tuple[float, float, float, float]


def to_input(image: Image, spec: InputSpec) -> Array:
    """Convert an image to the input that a description asks for.

    :param image: of mode ``RGB``.
    :return: shape ``(1, size, size, 3)``.
    """
    import numpy as np

    values = np.asarray(_fit(image, spec), dtype=np.float32)
    if spec.channels == "bgr":
        values = values[:, :, ::-1]
    mean, scale = (np.array(each, np.float32) for each in (spec.mean, spec.scale))
    pixels: Array = (values[np.newaxis] - mean) / scale
    return pixels


def _fit(image: Image, spec: InputSpec) -> Image:
    """Crop, squeeze or letterbox an image to the square of the input."""
    from PIL.Image import Resampling

    resampling = Resampling[spec.resize.upper()]
    if spec.letterbox is not None:
        return _letterboxed(image, spec.size, spec.letterbox, resampling)
    return image.resize((spec.size, spec.size), resampling, box=_box(image, spec.crop))


def _box(image: Image, crop: float | None) -> _Box:
    """Return the part that is classified: the square in the middle, or all."""
    if crop is None:
        return 0, 0, image.width, image.height
    side = min(image.size) * crop
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return left, top, left + side, top + side


def _letterboxed(
    image: Image, size: int, colour: tuple[int, int, int], resampling: Resampling
) -> Image:
    """Scale the whole image to fit, and fill both sides equally with a colour."""
    from PIL import Image as images

    share = size / max(image.size)
    width, height = (max(1, round(side * share)) for side in image.size)
    square = images.new("RGB", (size, size), colour)
    place = ((size - width) // 2, (size - height) // 2)
    square.paste(image.resize((width, height), resampling), place)
    return square
