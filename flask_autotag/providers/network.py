"""A network that is open: pixels in, numbers out; whatever runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ModelError
from .model_file import LITERT, ModelFile

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float32]]


class Network(Protocol):
    """What runs a model."""

    def run(self, pixels: Array) -> Array:
        """Run it on one image.

        :param pixels: shape ``(1, size, size, 3)``, as the model's description makes
            them.
        :return: shape ``(1, width)``; not looked at yet.
        :raises ModelError: if the network does not run.
        """


def open_network(model: ModelFile, threads: int, device: str | None) -> Network:
    """Open a model with the runtime of its format.

    :param threads: processor threads for one image.
    :param device: such as ``GPU:0``; for TensorFlow itself, not for LiteRT.
    :raises ModelError: if its files are damaged, or do not take or give what
        ``model.toml`` and the labels say, or the runtime is not installed.
    """
    model.check()
    if model.format == LITERT:
        from .litert import LiteNetwork

        return LiteNetwork(model, threads)
    from .full_tensorflow import open_full

    return open_full(model, threads, device)


def check_input(model: ModelFile, shape: Sequence[int | None]) -> None:
    """Compare what a network takes with what its description says.

    :param shape: ``None`` where the network takes any number.
    :raises ModelError: if they differ.
    """
    size = model.input.size
    _check(model, "input", shape, [1, size, size, 3])


def check_output(model: ModelFile, shape: Sequence[int | None]) -> None:
    """Compare what a network gives with its description and labels.

    :param shape: ``None`` where the network does not say.
    :raises ModelError: if they differ.
    """
    _check(model, "output", shape, [1, model.output.width])


def _check(
    model: ModelFile, what: str, shape: Sequence[int | None], expected: list[int]
) -> None:
    found = list(shape)
    fits = len(found) == len(expected) and all(
        has in (None, wanted) for has, wanted in zip(found, expected, strict=True)
    )
    if not fits:
        raise ModelError(
            f"The {what} of the model {model.name} has the shape {found},"
            f" but its description and labels make it {expected}."
        )
