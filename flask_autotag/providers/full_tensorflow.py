"""Frozen graphs, SavedModels and Keras models, in TensorFlow itself.

It takes seconds to import and half a gigabyte of memory: only child processes do, and
only where such a model was chosen. It comes with the extra ``tensorflow``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from .model_file import GRAPH, KERAS, SAVED_MODEL, ModelFile
from .network import check_input, check_output

if TYPE_CHECKING:
    from .network import Array

#: What SavedModels call the function that is meant to be served.
_SIGNATURE = "serving_default"
#: Names that a message lists at most.
_MOST_NAMES = 10

#: Pixels to outputs, both as TensorFlow's tensors.
Function = Callable[[Any], Any]


def open_full(model: ModelFile, threads: int, device: str | None) -> FullNetwork:
    """Open a model that is no ``.tflite`` file.

    :param device: such as ``GPU:0``; TensorFlow's own choice without.
    :raises ModelError: if TensorFlow or the device is not there, or the network is not
        what its description says.
    """
    tensorflow = _tensorflow(threads)
    if device is not None:
        _check_device(tensorflow, device)
    with _telling(model), tensorflow.device(device):
        return FullNetwork(model, _OPENERS[model.format](tensorflow, model), device)


class FullNetwork:
    """A network that TensorFlow runs.

    :param function: of it.
    :param device: where it runs.
    """

    def __init__(
        self, model: ModelFile, function: Function, device: str | None
    ) -> None:
        self._model = model
        self._function = function
        self._device = device

    def run(self, pixels: Array) -> Array:
        """Run it on one image; see :class:`.network.Network`."""
        import tensorflow

        with _telling(self._model), tensorflow.device(self._device):
            output: Array = self._function(tensorflow.constant(pixels)).numpy()
        return output


@cache
def _tensorflow(threads: int) -> Any:
    try:
        import tensorflow
    except ModuleNotFoundError as error:
        raise ModelError(
            "This model needs TensorFlow itself: pip install"
            f" 'flask-autotag[tensorflow]' ({error.name} is not installed)."
        ) from error
    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    for gpu in tensorflow.config.list_physical_devices("GPU"):
        # Else the first child takes all of its memory.
        tensorflow.config.experimental.set_memory_growth(gpu, True)
    return tensorflow


def _check_device(tensorflow: Any, device: str) -> None:
    there = [
        f"{each.device_type}:{each.name.rpartition(':')[2]}"
        for each in tensorflow.config.list_logical_devices()
    ]
    if device not in there:
        raise ModelError(
            f"AUTOTAG_TENSORFLOW_DEVICE is {device}, which TensorFlow does not find;"
            f" there are: {', '.join(there)}."
        )


@contextmanager
def _telling(model: ModelFile) -> Iterator[None]:
    """Turn whatever TensorFlow raises into one sentence about the model."""
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except Exception as error:
        words = " ".join(str(error).split())
        raise ModelError(
            f"TensorFlow cannot run the model {model.name}"
            f" ({type(error).__name__}): {words:.200}"
        ) from error


def _open_graph(tensorflow: Any, model: ModelFile) -> Function:
    """Open a frozen graph of TensorFlow 1."""
    graph = tensorflow.compat.v1.GraphDef()
    graph.ParseFromString(model.network.read_bytes())
    nodes = {node.name: node for node in graph.node}
    placeholders = [node.name for node in graph.node if node.op == "Placeholder"]
    taken = _chosen(model, "input", model.input.name, dict.fromkeys(placeholders))
    given = _chosen(model, "output", model.output.name, nodes)

    def load() -> None:
        tensorflow.graph_util.import_graph_def(graph, name="")

    loaded = tensorflow.compat.v1.wrap_function(load, [])
    function = loaded.prune(f"{taken}:0", f"{given}:0")
    _check_shapes(model, function.inputs[0].shape, function.outputs[0].shape)
    return lambda pixels: function(pixels)


def _open_saved_model(tensorflow: Any, model: ModelFile) -> Function:
    loaded = tensorflow.saved_model.load(str(model.network))
    if _SIGNATURE not in loaded.signatures:
        raise ModelError(
            f"The SavedModel of the model {model.name} has no signature"
            f" {_SIGNATURE!r}; it has: {_listed(loaded.signatures)}."
        )
    function = loaded.signatures[_SIGNATURE]
    inputs = function.structured_input_signature[1]
    outputs = dict(sorted(function.structured_outputs.items()))
    taken = _chosen(model, "input", model.input.name, inputs)
    given = _chosen(model, "output", model.output.name, outputs)
    _check_shapes(model, inputs[taken].shape, outputs[given].shape)
    return lambda pixels: function(**{taken: pixels})[given]


def _open_keras(tensorflow: Any, model: ModelFile) -> Function:
    # Its safe mode refuses layers that hold Python code.
    network = tensorflow.keras.models.load_model(
        model.network, compile=False, safe_mode=True
    )
    _check_shapes(
        model,
        tensorflow.TensorShape(network.input_shape),
        tensorflow.TensorShape(network.output_shape),
    )
    function = tensorflow.function(lambda pixels: network(pixels, training=False))
    return lambda pixels: function(pixels)


_OPENERS: Mapping[str, Callable[[Any, ModelFile], Function]] = {
    GRAPH: _open_graph,
    SAVED_MODEL: _open_saved_model,
    KERAS: _open_keras,
}


def _chosen(
    model: ModelFile, what: str, name: str | None, there: Mapping[str, Any]
) -> str:
    """Choose a tensor: the one that the description names, or the only one.

    :raises ModelError: if there is no such one; it names those that there are.
    """
    if name is None and len(there) == 1:
        return next(iter(there))
    if name is None:
        raise ModelError(
            f"The model.toml of the model {model.name} has to name one {what} as"
            f" {what}.name; there are: {_listed(there)}."
        )
    name = name.removesuffix(":0")
    if name not in there:
        raise ModelError(
            f"The model {model.name} has no {what} {name!r:.80}; there are:"
            f" {_listed(there)}."
        )
    return name


def _listed(names: Mapping[str, Any]) -> str:
    """List names, of many the last: in a graph, outputs come last."""
    listed = list(names)
    return ", ".join(listed[-_MOST_NAMES:]) or "none"


def _check_shapes(model: ModelFile, taken: Any, given: Any) -> None:
    """Compare shapes as far as TensorFlow knows them before the first run."""
    for check, shape in ((check_input, taken), (check_output, given)):
        if shape.rank is not None:
            sides = shape.as_list()
            # Any number of images is fine.
            check(model, [None, *sides[1:]] if sides else sides)
