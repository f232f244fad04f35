"""GoogLeNet as a frozen TensorFlow 1 graph, with random weights.

It has the same input, output, operations and layers as Inception5h, the network of
TensorFlow's LabelImage, which is not distributed here. Code that loads and runs this
graph can load and run Inception5h, in the same time. Its answers mean nothing.

C. Szegedy et al., "Going Deeper with Convolutions", 2014, table 1.
"""

from __future__ import annotations

from typing import Any

#: Outputs for an image; 1,001 have a label in Inception5h.
WIDTH = 1008
#: Filters of each inception module: 1x1, reduce 3x3, 3x3, reduce 5x5, 5x5, pool.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
#: Modules before which the image is halved.
HALVED = ("3a", "4a", "5a")


def build(share: float = 1.0, seed: int = 0) -> bytes:
    """Build the graph.

    :param share: the share of the filters of each layer; 1 is the whole network.
    :return: a ``GraphDef``.
    """
    import numpy as np
    import tensorflow as tf

    v1 = tf.compat.v1
    chance = np.random.default_rng(seed)

    def weights(*shape: int) -> Any:
        deviation = (2 / np.prod(shape[:-1])) ** 0.5
        return tf.constant(chance.normal(0, deviation, shape).astype(np.float32))

    def convolution(values: Any, side: int, filters: int, stride: int = 1) -> Any:
        filters = max(1, round(filters * share))
        made = tf.nn.conv2d(
            values, weights(side, side, values.shape[-1], filters), stride, "SAME"
        )
        return tf.nn.relu(tf.nn.bias_add(made, weights(filters) * 0))

    def halve(values: Any) -> Any:
        return tf.nn.max_pool2d(values, 3, 2, "SAME")

    def inception(values: Any, filters: tuple[int, ...]) -> Any:
        branches = [
            convolution(values, 1, filters[0]),
            convolution(convolution(values, 1, filters[1]), 3, filters[2]),
            convolution(convolution(values, 1, filters[3]), 5, filters[4]),
            convolution(tf.nn.max_pool2d(values, 3, 1, "SAME"), 1, filters[5]),
        ]
        # TensorFlow 1's first graphs use this operation, whose axis comes first.
        return tf.raw_ops.Concat(concat_dim=3, values=branches)

    with tf.Graph().as_default() as graph:
        image = v1.placeholder(tf.float32, [None, 224, 224, 3], name="input")
        values = halve(convolution(image, 7, 64, stride=2))
        values = convolution(tf.nn.local_response_normalization(values, 2), 1, 64)
        values = tf.nn.local_response_normalization(convolution(values, 3, 192), 2)
        for name, filters in MODULES.items():
            values = inception(halve(values) if name in HALVED else values, filters)
        values = tf.nn.avg_pool2d(values, 7, 1, "VALID")
        values = tf.reshape(values, [-1, values.shape[-1]])
        values = tf.matmul(values, weights(values.shape[-1], WIDTH) * 4)
        tf.nn.softmax(tf.nn.bias_add(values, weights(WIDTH)), name="output")
        made: bytes = graph.as_graph_def().SerializeToString()
    return made
