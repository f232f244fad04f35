"""Build the bundled classification model and measure it, or check the committed one.

    python tools/build_model.py --photos DIR [--wordnet DIR] [--output DIR] [--check]

The tool takes EfficientNet-Lite0's published float weights, quantises the network to
8-bit integers with TensorFlow, adds the embedding to its outputs, and writes
``model.tflite``, ``labels.csv`` and ``model.toml``. The heads, which
``tools/train_heads.py`` trains, are in the folder already. ``--photos`` is a folder of
labelled ImageNet photos with a ``labels.csv`` of ``file,class_index,wordnet_id``. The
required packages are in ``tools/requirements.txt``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Set before TensorFlow is imported: its log would hide the report.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from efficientnet_lite import (
    CLASSES,
    CROP,
    MEAN,
    SCALE,
    SIZE,
    WEIGHTS_PACKAGE,
    WEIGHTS_SHA256,
    Array,
    build_keras,
    load_weights,
    preprocess,
    weights_path,
)
from embedding_output import EMBEDDING, with_embedding
from label_names import class_ids, label_names
from PIL import Image
from wordnet import DEFAULT_DIRECTORY, read_nouns

Classifier = Callable[[Array], Array]
Classes = np.ndarray[Any, np.dtype[np.int64]]

OUTPUT = Path(__file__).parent.parent / "flask_autotag/data/models/efficientnet-lite0"
MODEL = "model.tflite"
LABELS = "labels.csv"
DESCRIPTION = "model.toml"
# tools/train_heads.py writes the first two; the gates are written by hand.
HEADS = "heads.csv"
HEAD_WEIGHTS = "heads.npz"
GATES = "gates.csv"

# Every second photo, in the order of labels.csv. This includes all kinds of classes and
# the same photos each time, and leaves half of the folder unused for calibration.
CALIBRATION_STEP = 2

# The largest accepted loss of the quantised model against the float one, in top-1 and
# top-5. It was 0.000 and 0.003 over 1,000 photos; one of 200 photos is 0.005.
MAX_LOSS = 0.02
# The largest accepted mean absolute difference of a class's probability: 0.0001 is a
# tenth of the mean probability (1 / 1,000).
MAX_DIFFERENCE = 2e-4


@dataclass(frozen=True)
class Photos:
    """Labelled photos.

    :param pixels: the network's inputs, shape ``(n, SIZE, SIZE, 3)``.
    :param classes: the index of each photo's class, shape ``(n,)``.
    """

    pixels: Array
    classes: Classes

    def __getitem__(self, chosen: slice) -> Photos:
        """Return some of the photos."""
        return Photos(self.pixels[chosen], self.classes[chosen])

    def mirrored(self) -> Photos:
        """Return the photos, followed by their mirror images.

        Calibration uses no mirrored photos, so these measure the loss by quantising as
        well as new photos.
        """
        return Photos(
            np.concatenate([self.pixels, self.pixels[:, :, ::-1]]),
            np.concatenate([self.classes, self.classes]),
        )


def read_photos(directory: Path) -> Photos:
    """Read photos and their classes, in the order of the folder's ``labels.csv``.

    :raises ValueError: if a class index and its WordNet id do not match.
    """
    with (directory / LABELS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ids = class_ids()
    for row in rows:
        if ids[int(row["class_index"])] != row["wordnet_id"]:
            raise ValueError(f"{row['file']}: class and WordNet id do not agree")
    return Photos(
        np.stack([_read_photo(directory / row["file"]) for row in rows]),
        np.array([int(row["class_index"]) for row in rows]),
    )


def _read_photo(path: Path) -> Array:
    with Image.open(path) as image:
        return preprocess(image)


def quantise(keras_model: Any, calibration: Array) -> bytes:
    """Convert a Keras model to integers, with float input and output.

    :param calibration: inputs whose values inside the network set the ranges of
        the integers, shape ``(n, SIZE, SIZE, 3)``.
    :return: a TensorFlow Lite file of batch size 1. Its outputs are the logits and the
        embedding.
    """
    import keras
    import tensorflow as tf

    def examples() -> Iterator[list[Array]]:
        for pixels in calibration:
            yield [pixels[np.newaxis]]

    image = keras.Input(batch_shape=(1, SIZE, SIZE, 3), name="image")
    single = keras.Model(image, keras_model(image))
    converter = tf.lite.TFLiteConverter.from_keras_model(single)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    # Without this the converter may leave a layer in float instead of failing.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converted: bytes = converter.convert()
    return with_embedding(converted)


def float_classifier(keras_model: Any) -> Classifier:
    """Wrap the float model: inputs to logits, shape ``(n, CLASSES)``."""
    return lambda pixels: keras_model.predict(pixels, batch_size=20, verbose=0)


def lite_classifier(model: bytes, threads: int = 1) -> Classifier:
    """Wrap a TensorFlow Lite file: inputs to logits, shape ``(n, CLASSES)``."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]

    def classify(pixels: Array) -> Array:
        logits = np.empty((len(pixels), CLASSES), np.float32)
        for number, image in enumerate(pixels):
            interpreter.set_tensor(source, image[np.newaxis])
            interpreter.invoke()
            logits[number] = interpreter.get_tensor(target)[0]
        return logits

    return classify


def softmax(logits: Array) -> Array:
    """Turn logits into probabilities, along the last axis."""
    shares: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    normalised: Array = shares / shares.sum(axis=-1, keepdims=True)
    return normalised


def accuracy(logits: Array, classes: Classes, among: int) -> float:
    """Return the share of photos whose class is among the first *among* ones."""
    best = np.argsort(-logits, axis=1, kind="stable")[:, :among]
    return float((best == classes[:, np.newaxis]).any(axis=1).mean())


@dataclass(frozen=True)
class Comparison:
    """The accuracy of the quantised and the float model, as shares of 1.

    :param agreement: the share of photos with the same first class in both.
    :param difference: the mean absolute difference of a class's probability.
    """

    float_top1: float
    float_top5: float
    top1: float
    top5: float
    agreement: float
    difference: float

    @property
    def acceptable(self) -> bool:
        """Whether the quantised model is within the bounds."""
        return (
            self.float_top1 - self.top1 <= MAX_LOSS
            and self.float_top5 - self.top5 <= MAX_LOSS
            and self.difference <= MAX_DIFFERENCE
        )


def compare(float_logits: Array, logits: Array, classes: Classes) -> Comparison:
    """Compare two models' logits, shape ``(n, CLASSES)``, for the same photos."""
    same = float_logits.argmax(axis=1) == logits.argmax(axis=1)
    difference = np.abs(softmax(float_logits) - softmax(logits))
    return Comparison(
        float_top1=accuracy(float_logits, classes, 1),
        float_top5=accuracy(float_logits, classes, 5),
        top1=accuracy(logits, classes, 1),
        top5=accuracy(logits, classes, 5),
        agreement=float(same.mean()),
        difference=float(difference.mean()),
    )


def report(comparisons: dict[str, Comparison]) -> str:
    """Format comparisons as a table, with one column each."""
    rows = {
        "float top-1": [f"{each.float_top1:.3f}" for each in comparisons.values()],
        "float top-5": [f"{each.float_top5:.3f}" for each in comparisons.values()],
        "int8 top-1": [f"{each.top1:.3f}" for each in comparisons.values()],
        "int8 top-5": [f"{each.top5:.3f}" for each in comparisons.values()],
        "same first class": [f"{each.agreement:.3f}" for each in comparisons.values()],
        "mean |difference|": [
            f"{each.difference:.6f}" for each in comparisons.values()
        ],
    }
    lines = [" " * 18 + "".join(f"{title:>14}" for title in comparisons)]
    for title, cells in rows.items():
        lines.append(f"{title:18}" + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def milliseconds(model: bytes, pixels: Array, threads: int) -> float:
    """Return the median time of classifying one image, in ms."""
    classify = lite_classifier(model, threads)
    classify(pixels[:5])  # the first runs allocate memory
    times = []
    for image in pixels:
        start = time.perf_counter()
        classify(image[np.newaxis])
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def write_labels(names: dict[str, str], path: Path) -> None:
    """Write names by WordNet id, in the order of the network's outputs."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["wordnet_id", "name"])
        writer.writerows(names.items())


def describe(folder: Path, calibrated: int) -> str:
    """Write ``model.toml`` for the network, the labels and the heads in a folder.

    :param calibrated: the number of photos for the calibration.
    """
    return f"""\
# Written by tools/build_model.py.
name = "efficientnet-lite0"
title = "EfficientNet-Lite0 (ImageNet, int8)"
version = "2"
file = "{MODEL}"
sha256 = "{sha256(folder / MODEL)}"
labels = "{LABELS}"
labels_sha256 = "{sha256(folder / LABELS)}"

[input]
size = {SIZE}          # pixels, square
crop = {CROP}        # centre crop: share of the short side
resize = "bicubic"
mean = {MEAN}
scale = {SCALE}       # (x - mean) / scale

[output]
activation = "softmax"   # of the logits, taken in float

[heads]
embedding = "{EMBEDDING}"
labels = "{HEADS}"
weights = "{HEAD_WEIGHTS}"
sha256 = "{sha256(folder / HEAD_WEIGHTS)}"
gates = "{GATES}"

[build]
weights = "{WEIGHTS_PACKAGE} {version(WEIGHTS_PACKAGE)}"
weights_sha256 = "{WEIGHTS_SHA256}"
converter = "tensorflow {version("tensorflow")}"
calibration_photos = {calibrated}
"""


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build(photos: Photos, wordnet: Path, output: Path) -> bool:
    """Build the model into a folder and print its accuracy.

    :return: whether it is accurate enough; if not, nothing is written.
    """
    keras_model = build_keras(load_weights())
    calibration = photos[::CALIBRATION_STEP]
    model = quantise(keras_model, calibration.pixels)
    views = photos.mirrored()
    float_logits = float_classifier(keras_model)(views.pixels)
    logits = lite_classifier(model)(views.pixels)
    count = len(photos.classes)
    comparisons = {
        title: compare(float_logits[part], logits[part], views.classes[part])
        for title, part in {
            f"{count} photos": slice(count),
            "and mirrored": slice(None),
            "uncalibrated": slice(1, count, CALIBRATION_STEP),
        }.items()
    }
    print(report(comparisons))
    for threads in (1, 2):
        print(
            f"{threads} thread(s): {milliseconds(model, photos.pixels, threads):.1f} ms"
        )
    # Half of the photos are too few for a limit: one of them is 0.01.
    bounded = list(comparisons.values())[:2]
    if not all(each.acceptable for each in bounded):
        print(
            f"the quantised model is more than {MAX_LOSS} worse, or its probabilities"
            f" differ by more than {MAX_DIFFERENCE}",
            file=sys.stderr,
        )
        return False
    output.mkdir(parents=True, exist_ok=True)
    (output / MODEL).write_bytes(model)
    write_labels(label_names(read_nouns(wordnet)), output / LABELS)
    description = describe(output, len(calibration.classes))
    (output / DESCRIPTION).write_text(description, encoding="utf-8")
    return True


def check(photos: Photos, wordnet: Path, committed: Path) -> bool:
    """Build the model in another folder and compare it with the committed files."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (HEADS, HEAD_WEIGHTS, GATES):
            shutil.copy(committed / name, folder)
        if not build(photos, wordnet, Path(folder)):
            return False
        same = True
        for name in (MODEL, LABELS, DESCRIPTION):
            equal = sha256(Path(folder) / name) == sha256(committed / name)
            print(f"{name}: {'the same' if equal else 'DIFFERENT'}")
            same = same and equal
    if not same:
        print(f"[build] in {DESCRIPTION} lists the versions of the build")
    return same


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--photos", type=Path, required=True, help="folder of labelled photos"
    )
    parser.add_argument(
        "--wordnet",
        type=Path,
        default=DEFAULT_DIRECTORY,
        help="folder with WordNet 3.0's data.noun (%(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT,
        help="folder to write to, or to check (the one in the package)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail if the folder's files differ from a new build",
    )
    options = parser.parse_args()
    if sha256(weights_path()) != WEIGHTS_SHA256:
        parser.error(f"the weights of {WEIGHTS_PACKAGE} have an unexpected digest")
    photos = read_photos(options.photos)
    step = check if options.check else build
    return 0 if step(photos, options.wordnet, options.output) else 1


if __name__ == "__main__":
    sys.exit(main())
