"""Inputs of networks, from images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from flask_autotag.providers.tensorflow import model_file
from flask_autotag.providers.tensorflow.pixels import to_input
from flask_autotag.providers.tensorflow.provider import DEFAULT_MODEL

BUNDLED = model_file.find(DEFAULT_MODEL, None).input
#: An input of values from 0 to 255, with blue bars.
BOXED = replace(
    BUNDLED,
    size=100,
    crop=None,
    letterbox=(0, 0, 255),
    mean=(0.0, 0.0, 0.0),
    scale=(1.0, 1.0, 1.0),
)


def test_the_middle_of_an_image_is_looked_at() -> None:
    image = Image.new("RGB", (400, 200), "black")
    image.paste("white", (112, 12, 288, 188))
    pixels = to_input(image, BUNDLED)
    assert pixels.shape == (1, 224, 224, 3)
    assert pixels.dtype == np.float32
    assert pixels[0, 0, 0, 0] == pytest.approx(1.0, abs=0.1)
    assert pixels.min() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("colour", "value"), [("black", -127 / 128), ("white", 1.0)])
def test_pixels_are_scaled_as_the_model_was_trained(colour: str, value: float) -> None:
    assert np.allclose(to_input(Image.new("RGB", (256, 256), colour), BUNDLED), value)


class TestLetterbox:
    def test_the_whole_image_is_scaled_to_fit(self) -> None:
        pixels = to_input(Image.new("RGB", (400, 200), "red"), BOXED)
        assert pixels.shape == (1, 100, 100, 3)
        assert (pixels[0, 25:75] == (255, 0, 0)).all()

    def test_bars_of_the_colour_fill_both_sides(self) -> None:
        pixels = to_input(Image.new("RGB", (200, 400), "red"), BOXED)
        assert (pixels[0, :, :25] == (0, 0, 255)).all()
        assert (pixels[0, :, 75:] == (0, 0, 255)).all()

    def test_the_colour_follows_the_order_of_channels(self) -> None:
        spec = replace(BOXED, channels="bgr")
        pixels = to_input(Image.new("RGB", (200, 400), "red"), spec)
        assert (pixels[0, :, 50] == (0, 0, 255)).all()
        assert (pixels[0, :, 0] == (255, 0, 0)).all()

    @pytest.mark.parametrize("size", [(1, 1), (1, 65535), (65535, 1), (100, 100)])
    def test_images_of_any_shape_fit(self, size: tuple[int, int]) -> None:
        pixels = to_input(Image.new("RGB", size, "red"), BOXED)
        assert (pixels == (255, 0, 0)).all(axis=3).any()

    def test_the_side_is_that_of_the_input(self) -> None:
        assert BOXED.side == 100
