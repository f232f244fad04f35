"""The interface of an open network, and the choice of its runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .model_file import LITERT, ModelFile

if TYPE_CHECKING:
    from .outputs import Outputs
    from .shapes import Array


class Network(Protocol):
    """An open model."""

    def run(self, pixels: Array) -> Outputs:
        """Run the network on one image.

        :param pixels: shape ``(1, size, size, 3)``, scaled as in the model's
            description.
        :raises ModelError: if the network does not run.
        """


def open_network(model: ModelFile, threads: int, device: str | None) -> Network:
    """Open a model with the runtime of its format.

    :param threads: processor threads for one image.
    :param device: such as ``GPU:0``; used by TensorFlow itself, not for ``.tflite``.
    :raises ModelError: if the files are damaged, the input or output does not match
        ``model.toml`` and the labels, or the runtime is not installed.
    """
    model.check()
    if model.format == LITERT:
        from .litert import LiteNetwork

        return LiteNetwork(model, threads)
    from .full import open_full

    return open_full(model, threads, device)
