"""Runs frozen graphs, SavedModels and Keras models in TensorFlow itself.

TensorFlow takes seconds to import and half a gigabyte of memory. Only child processes
import it, and only if such a model is chosen. The extra ``tensorflow`` installs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from .model_file import GRAPH, KERAS, SAVED_MODEL, ModelFile
from .outputs import Outputs
from .shapes import check_input, check_output

if TYPE_CHECKING:
    from .shapes import Array

#: The name of the function of a SavedModel that serves requests.
_SIGNATURE = "serving_default"
#: Names that a message lists.
_MAX_NAMES = 10

#: Maps pixels to the output and, if the model has heads, the embedding: tensors of
#: TensorFlow.
Function = Callable[[Any], Sequence[Any]]


def open_full(model: ModelFile, threads: int, device: str | None) -> FullNetwork:
    """Open a model of any format other than ``.tflite``.

    :param threads: processor threads for one image.
    :param device: such as ``GPU:0``; ``None`` leaves the choice to TensorFlow.
    :raises ModelError: if TensorFlow is not installed, the device does not exist, or
        the network does not match its description.
    """
    tensorflow = _tensorflow(threads)
    if device is not None:
        _check_device(tensorflow, device)
    with _telling(model), tensorflow.device(device):
        return FullNetwork(model, _OPENERS[model.format](tensorflow, model), device)


class FullNetwork:
    """A network that TensorFlow runs; see :class:`.network.Network`.

    :param function: the network as a function.
    :param device: such as ``GPU:0``; ``None`` leaves the choice to TensorFlow.
    """

    def __init__(
        self, model: ModelFile, function: Function, device: str | None
    ) -> None:
        self._model = model
        self._function = function
        self._device = device

    def run(self, pixels: Array) -> Outputs:
        """Run the network on one image."""
        import tensorflow

        with _telling(self._model), tensorflow.device(self._device):
            outputs = self._function(tensorflow.constant(pixels))
            return Outputs(*(each.numpy() for each in outputs))


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
        # Otherwise the first child takes all memory of the card.
        tensorflow.config.experimental.set_memory_growth(gpu, True)
    return tensorflow


def _check_device(tensorflow: Any, device: str) -> None:
    devices = [
        f"{each.device_type}:{each.name.rpartition(':')[2]}"
        for each in tensorflow.config.list_logical_devices()
    ]
    if device not in devices:
        raise ModelError(
            f"AUTOTAG_TENSORFLOW_DEVICE is {device}, which TensorFlow does not find;"
            f" there are: {', '.join(devices)}."
        )


@contextmanager
def _telling(model: ModelFile) -> Iterator[None]:
    """Turn TensorFlow's exceptions into a :class:`.ModelError` of one sentence."""
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except Exception as error:
        message = " ".join(str(error).split())
        raise ModelError(
            f"TensorFlow cannot run the model {model.name}"
            f" ({type(error).__name__}): {message:.200}"
        ) from error


def _open_graph(tensorflow: Any, model: ModelFile) -> Function:
    graph = tensorflow.compat.v1.GraphDef()
    graph.ParseFromString(model.network.read_bytes())
    nodes = {node.name: node for node in graph.node}
    placeholders = [node.name for node in graph.node if node.op == "Placeholder"]
    input_name = _chosen(model, "input", model.input.name, dict.fromkeys(placeholders))
    output_names = [_chosen(model, "output", model.output.name, nodes)]
    if model.heads is not None:
        output_names.append(_chosen(model, "output", model.heads.embedding, nodes))

    def load() -> None:
        tensorflow.graph_util.import_graph_def(graph, name="")

    loaded = tensorflow.compat.v1.wrap_function(load, [])
    fetches = [f"{name}:0" for name in output_names]
    function = loaded.prune(f"{input_name}:0", fetches)
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
    input_name = _chosen(model, "input", model.input.name, inputs)
    output_name = _chosen(model, "output", model.output.name, outputs)
    _check_shapes(model, inputs[input_name].shape, outputs[output_name].shape)
    names = [output_name]
    if model.heads is not None:
        names.append(_chosen(model, "output", model.heads.embedding, outputs))

    def run(pixels: Any) -> Sequence[Any]:
        results = function(**{input_name: pixels})
        return [results[name] for name in names]

    return run


def _open_keras(tensorflow: Any, model: ModelFile) -> Function:
    # Safe mode refuses layers that hold Python code.
    network = tensorflow.keras.models.load_model(
        model.network, compile=False, safe_mode=True
    )
    _check_shapes(
        model,
        tensorflow.TensorShape(network.input_shape),
        tensorflow.TensorShape(network.output_shape),
    )
    if model.heads is not None:
        layers = {layer.name: layer for layer in network.layers}
        name = _chosen(model, "output", model.heads.embedding, layers)
        network = tensorflow.keras.Model(
            network.inputs, [network.output, layers[name].output]
        )
    function = tensorflow.function(lambda pixels: network(pixels, training=False))
    return lambda pixels: _as_list(function(pixels))


_OPENERS: Mapping[str, Callable[[Any, ModelFile], Function]] = {
    GRAPH: _open_graph,
    SAVED_MODEL: _open_saved_model,
    KERAS: _open_keras,
}


def _as_list(outputs: Any) -> Sequence[Any]:
    return outputs if isinstance(outputs, list | tuple) else [outputs]


def _chosen(
    model: ModelFile, kind: str, name: str | None, tensors: Mapping[str, Any]
) -> str:
    """Choose the tensor that the description names, or the only one.

    :param kind: ``input`` or ``output``.
    :param name: the tensor's name in the description.
    :param tensors: the network's tensors by name.
    :raises ModelError: if none fits; the message lists the network's tensors.
    """
    if name is None and len(tensors) == 1:
        return next(iter(tensors))
    if name is None:
        raise ModelError(
            f"The model.toml of the model {model.name} has to name one {kind} as"
            f" {kind}.name; there are: {_listed(tensors)}."
        )
    name = name.removesuffix(":0")
    if name not in tensors:
        raise ModelError(
            f"The model {model.name} has no {kind} {name!r:.80}; there are:"
            f" {_listed(tensors)}."
        )
    return name


def _listed(names: Mapping[str, Any]) -> str:
    """List the last few names, because a graph's outputs come last."""
    listed = list(names)
    return ", ".join(listed[-_MAX_NAMES:]) or "none"


def _check_shapes(model: ModelFile, input_shape: Any, output_shape: Any) -> None:
    """Compare the shapes, if TensorFlow knows them before the first run."""
    for check, shape in ((check_input, input_shape), (check_output, output_shape)):
        if shape.rank is not None:
            sides = shape.as_list()
            # A network may accept any number of images.
            check(model, [None, *sides[1:]] if sides else sides)
