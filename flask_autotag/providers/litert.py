"""``.tflite`` networks, in TensorFlow's own small runtime, LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from .model_file import ModelFile
from .network import check_input, check_output

if TYPE_CHECKING:
    from .network import Array


class LiteNetwork:
    """A TensorFlow Lite network, float or quantised.

    :raises ModelError: if its file is no such network, or does not take or give what
        its description says.
    """

    def __init__(self, model: ModelFile, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(
                model_path=str(model.network), num_threads=threads
            )
            self._input: dict[str, Any] = self._interpreter.get_input_details()[0]
            check_input(model, _signature(self._input))
            self._interpreter.resize_tensor_input(
                self._input["index"], [1, model.input.size, model.input.size, 3]
            )
            self._interpreter.allocate_tensors()
            self._output: dict[str, Any] = self._interpreter.get_output_details()[0]
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"The file {model.network.name} of the model {model.name} is"
                " no TensorFlow Lite network that can be run."
            ) from error
        check_output(model, _signature(self._output))

    def run(self, pixels: Array) -> Array:
        """Run it on one image; see :class:`.network.Network`."""
        self._interpreter.set_tensor(
            self._input["index"], _quantised(pixels, self._input)
        )
        self._interpreter.invoke()
        output: Array = self._interpreter.get_tensor(self._output["index"])
        return _real(output, self._output)


def _signature(details: dict[str, Any]) -> Sequence[int | None]:
    return [None if side < 0 else side for side in details["shape_signature"].tolist()]


def _quantised(pixels: Array, details: dict[str, Any]) -> Any:
    """Give numbers the type that a network of integers takes.

    ``real = scale * (integer - zero point)``, as in LiteRT's quantisation
    specification.
    """
    import numpy as np

    kind = np.dtype(details["dtype"])
    if kind.kind == "f":
        return pixels.astype(kind, copy=False)
    scale, zero_point = details["quantization"]
    integers = np.rint(pixels / scale) + zero_point if scale else np.rint(pixels)
    bounds = np.iinfo(kind)
    return np.clip(integers, bounds.min, bounds.max).astype(kind)


def _real(output: Any, details: dict[str, Any]) -> Array:
    import numpy as np

    scale, zero_point = details["quantization"]
    real: Array = output.astype(np.float32)
    return (real - zero_point) * np.float32(scale) if scale else real
