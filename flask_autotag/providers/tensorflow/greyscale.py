"""Recognises black-and-white photos by their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import GENERAL, Label

if TYPE_CHECKING:
    from PIL.Image import Image

#: WordNet's "black and white", a photograph.
BLACK_AND_WHITE = Label("n02846399", "black and white", 0.9, GENERAL)
#: Pixels of the reduced image's longer side: single coloured pixels do not count.
_SIDE = 64
#: The share of pixels that may have any colour, and the distance between the channels,
#: of 255, up to which a pixel is grey. Of the photos that were labelled to train the
#: heads, 147 are this grey: 127 are black and white, 12 are marginal.
_COLOURED, _GREY = 0.01, 6
#: The standard deviation of the values, of 255, that an image needs: blank ones and
#: objects on a plain ground have less.
_CONTRAST = 25


def is_black_and_white(image: Image) -> bool:
    """Return whether an image has contrast and no colour.

    :param image: of mode ``RGB``.
    """
    import numpy as np

    small = image.copy()
    small.thumbnail((_SIDE, _SIDE))
    pixels = np.asarray(small, dtype=np.float32)
    distance = pixels.max(axis=2) - pixels.min(axis=2)
    is_grey = bool(np.quantile(distance, 1 - _COLOURED) <= _GREY)
    return is_grey and float(pixels.std()) >= _CONTRAST
