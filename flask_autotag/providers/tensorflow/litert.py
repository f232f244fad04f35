"""Runs ``.tflite`` networks in LiteRT, or in TensorFlow itself if LiteRT is missing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from .model_file import ModelFile
from .outputs import Outputs
from .shapes import check_input, check_output

if TYPE_CHECKING:
    from .shapes import Array


class LiteNetwork:
    """A TensorFlow Lite network, float or quantised; see :class:`.network.Network`.

    :param threads: processor threads for one image.
    :raises ModelError: if the file is not such a network, its input or output does not
        match its description, or no runtime is installed.
    """

    def __init__(self, model: ModelFile, threads: int) -> None:
        interpreter = _interpreter()
        try:
            self._interpreter = interpreter(
                model_path=str(model.network), num_threads=threads
            )
            self._input: dict[str, Any] = self._interpreter.get_input_details()[0]
            check_input(model, _signature(self._input))
            self._interpreter.resize_tensor_input(
                self._input["index"], [1, model.input.size, model.input.size, 3]
            )
            self._interpreter.allocate_tensors()
            outputs = self._interpreter.get_output_details()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"The file {model.network.name} of the model {model.name} is"
                " not a TensorFlow Lite network that can be run."
            ) from error
        self._embedding = _find_embedding(model, outputs)
        self._output = next(each for each in outputs if each is not self._embedding)
        check_output(model, _signature(self._output))

    def run(self, pixels: Array) -> Outputs:
        """Run the network on one image."""
        self._interpreter.set_tensor(
            self._input["index"], _quantised(pixels, self._input)
        )
        self._interpreter.invoke()
        embedding = None if self._embedding is None else self._read(self._embedding)
        return Outputs(self._read(self._output), embedding)

    def _read(self, details: dict[str, Any]) -> Array:
        output: Array = self._interpreter.get_tensor(details["index"])
        return _real(output, details)


def is_installed() -> bool:
    """Return whether LiteRT is installed; do not import it."""
    return find_spec("ai_edge_litert") is not None


def _interpreter() -> Any:
    """Return the interpreter's class.

    :raises ModelError: if neither LiteRT nor TensorFlow is installed.
    """
    if is_installed():
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter
    try:
        import tensorflow
    except ModuleNotFoundError as error:
        raise ModelError(
            "Neither LiteRT nor TensorFlow is installed: pip install ai-edge-litert, or"
            " on an Intel Mac pip install 'flask-autotag[tensorflow]'. There is no"
            " runtime for musl, such as Alpine Linux: turn on a remote provider there."
        ) from error
    return tensorflow.lite.Interpreter


def _find_embedding(
    model: ModelFile, outputs: Sequence[dict[str, Any]]
) -> dict[str, Any] | None:
    """Return the output that the heads read; ``None`` if there are no heads.

    :raises ModelError: if the network has no such output beside the classes.
    """
    if model.heads is None:
        return None
    names = {each["name"]: each for each in outputs}
    if model.heads.embedding not in names or len(names) < 2:
        raise ModelError(
            f"The model {model.name} has no output {model.heads.embedding!r:.80} beside"
            f" the classes; its outputs are: {', '.join(names)}."
        )
    return names[model.heads.embedding]


def _signature(details: dict[str, Any]) -> Sequence[int | None]:
    return [None if side < 0 else side for side in details["shape_signature"].tolist()]


def _quantised(pixels: Array, details: dict[str, Any]) -> Any:
    """Convert pixels to the type of the network's input.

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
