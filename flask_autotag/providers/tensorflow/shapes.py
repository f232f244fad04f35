"""Compares the shapes of a network with its description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from .model_file import ModelFile

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float32]]


def check_input(model: ModelFile, shape: Sequence[int | None]) -> None:
    """Compare the shape of a network's input with its description.

    :param shape: ``None`` for a dimension of any size.
    :raises ModelError: if they differ.
    """
    size = model.input.size
    _check(model, "input", shape, [1, size, size, 3])


def check_output(model: ModelFile, shape: Sequence[int | None]) -> None:
    """Compare the shape of a network's output with its description and labels.

    :param shape: ``None`` for a dimension that the network does not define.
    :raises ModelError: if they differ.
    """
    _check(model, "output", shape, [1, model.output.width])


def _check(
    model: ModelFile, kind: str, shape: Sequence[int | None], expected: list[int]
) -> None:
    actual = list(shape)
    fits = len(actual) == len(expected) and all(
        side in (None, wanted) for side, wanted in zip(actual, expected, strict=True)
    )
    if not fits:
        raise ModelError(
            f"The {kind} of the model {model.name} has the shape {actual},"
            f" but its description and labels make it {expected}."
        )
