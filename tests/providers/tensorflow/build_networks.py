"""A program that makes small models in every format, with TensorFlow itself.

Most models classify an image's mean colour as ``red``, ``green`` or ``blue``. One is a
small GoogLeNet, with TensorFlow's own output for a picture written beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))
import googlenet

from flask_autotag.providers.tensorflow.model_file import sha256_of

#: Pixels of the colour models' input.
SIZE = 16
#: The surest colour's logit.
STEEPNESS = 8.0
COLOURS = ("red", "green", "blue")


def describe(folder: Path, file: str, **output: Any) -> None:
    lines = [
        'version = "3"',
        f'file = "{file}"',
        f'sha256 = "{sha256_of(folder / file)}"',
        'labels = "labels.txt"',
        f"[input]\nsize = {SIZE}\nmean = 0\nscale = 255",
        "[output]",
        *(f"{key} = {json.dumps(value)}" for key, value in output.items()),
    ]
    (folder / "model.toml").write_text("\n".join(lines))
    (folder / "labels.txt").write_text("\n".join(COLOURS) + "\n")


def make_keras() -> Any:
    layers = tf.keras.layers
    network = tf.keras.Sequential(
        [
            tf.keras.Input((SIZE, SIZE, 3)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )
    network.layers[-1].set_weights([np.eye(3) * STEEPNESS, np.zeros(3)])
    return network


def main(root: Path) -> None:
    network = make_keras()
    shape = tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32)

    for name, file in (("keras", "colours.keras"), ("h5", "colours.h5")):
        (root / name).mkdir()
        network.save(root / name / file)
        describe(root / name, file)

    class Served(tf.Module):
        def __init__(self) -> None:
            self.network = network

        @tf.function(input_signature=[shape])
        def serve(self, image: Any) -> Any:
            return {
                "logits": self.network(image),
                "chances": tf.nn.sigmoid(self.network(image) - STEEPNESS / 2),
            }

    for name, file, output in (
        ("saved_model", "served", {"name": "logits"}),
        ("sigmoid", "served", {"name": "logits", "activation": "sigmoid"}),
        ("chances", "served", {"name": "chances", "activation": "none"}),
    ):
        (root / name).mkdir()
        served = Served()
        tf.saved_model.save(served, str(root / name / file), signatures=served.serve)
        describe(root / name, file, **output)

    def examples() -> Any:
        chance = np.random.default_rng(0)
        for _ in range(50):
            yield [chance.uniform(0, 1, (1, SIZE, SIZE, 3)).astype(np.float32)]
        for colour in np.eye(3, dtype=np.float32):
            yield [np.broadcast_to(colour, (1, SIZE, SIZE, 3))]

    for name in ("tflite", "quantised"):
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        if name == "quantised":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = examples
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.uint8
        (root / name).mkdir()
        (root / name / "colours.tflite").write_bytes(converter.convert())
        describe(root / name, "colours.tflite")

    make_googlenet(root)


def make_googlenet(root: Path) -> None:
    """Build the files of Inception5h's archive, and run them as TensorFlow 1 does."""
    pixels = np.random.default_rng(5).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / "noise.png")
    (root / "graph.pb").write_bytes(googlenet.build(0.1))
    labels = ["dummy", *(f"thing {number}" for number in range(1, 1001))]
    (root / "strings.txt").write_text("\n".join(labels) + "\n")
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString((root / "graph.pb").read_bytes())
    with tf.Graph().as_default():
        tf.import_graph_def(graph, name="")
        with tf.compat.v1.Session() as session:
            [said] = session.run(
                "output:0", {"input:0": pixels[np.newaxis].astype(np.float32) - 117}
            )
    ranked = sorted(zip(said[:1001].tolist(), labels, strict=True), reverse=True)
    (root / "said.json").write_text(json.dumps(ranked[:10]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
