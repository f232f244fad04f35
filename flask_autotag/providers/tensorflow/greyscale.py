"""Recognises black-and-white photos by their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import GENERAL, Label

if TYPE_CHECKING:
    from PIL.Image import Image

#: WordNet's "black and white", a photograph.
BLACK_AND_WHITE = Label("n02846399", "black and white", 0.9, GENERAL)
#: Pixels that the reduced image's longer side has at least, and twice that at most:
#: single coloured pixels do not count.
_SIDE = 64
#: The share of pixels that may have any colour, and the distance between the channels,
#: of 255, up to which a pixel is grey. Of the 3,991 images that were labelled to train
#: the heads, 201 are this grey: 123 are black and white photos, and 59 are marginal,
#: such as grey screenshots.
_COLOURED, _GREY = 0.01, 6
#: The standard deviation of the values, of 255, that an image needs: blank ones and
#: objects on a plain ground have less.
_CONTRAST = 25


def is_black_and_white(image: Image) -> bool:
    """Return whether an image has contrast and no colour.

    :param image: of mode ``RGB``.
    """
    import numpy as np

    small = image.reduce(max(1, max(image.size) // _SIDE))
    pixels = np.asarray(small, dtype=np.float32)
    distance = pixels.max(axis=2) - pixels.min(axis=2)
    is_grey = np.count_nonzero(distance > _GREY) <= _COLOURED * distance.size
    return is_grey and float(pixels.std()) >= _CONTRAST
