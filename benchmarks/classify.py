"""Compares the bundled model with the same network in float, in other runtimes.

It also runs the bundled model without the heads of general tags, and GoogLeNet as a
frozen graph, like Inception5h, in TensorFlow itself.

Each engine runs in a separate process, one after the other, on the same photos. The
figures are images per second, seconds from the start of the process to the first tag,
and the peak memory of the process. Then decoding is timed, with and without JPEG's
``draft``. Ratios only compare figures of one run.

::

    pip install -e . -r benchmarks/requirements.txt
    python benchmarks/classify.py [--photos DIR] [--threads 1]

With ``--detector DIR``, the folder of a detector, only the bundled model runs: in one
process, alone and with the detector beside it in turns.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ROOT / "example_app" / "photos"
MIB = 2**20

#: Rounds that compare a detector.
TURNS = 25

Classify = Callable[[list[Image.Image]], Any]


@dataclass(frozen=True)
class Engine:
    """A runtime for the network.

    :param title: its title in the table.
    :param name: the suffix of the function that opens it.
    :param batch: images at a time.
    """

    title: str
    name: str
    batch: int


ENGINES = (
    Engine("Flask-AutoTag, bundled int8 (LiteRT)", "bundled", 1),
    Engine("Flask-AutoTag, the same without heads", "classes", 1),
    Engine("Flask-AutoTag, GoogLeNet's graph (TensorFlow)", "googlenet", 1),
    Engine("TensorFlow, float", "tensorflow", 1),
    Engine("TensorFlow, float", "tensorflow", 32),
    Engine("PyTorch, float", "torch", 1),
    Engine("PyTorch, float", "torch", 32),
    Engine("ONNX Runtime, float", "onnx", 1),
    Engine("ONNX Runtime, float", "onnx", 32),
)


def open_bundled(_folder: Path, threads: int) -> Classify:
    """Open the bundled model with the public provider."""
    from flask_autotag.providers.tensorflow.provider import TensorFlowProvider

    return TensorFlowProvider(threads=threads).classify


def open_classes(folder: Path, threads: int) -> Classify:
    """Open the bundled network without the heads of general tags."""
    from flask_autotag.providers.tensorflow.provider import TensorFlowProvider

    return TensorFlowProvider("classes", str(folder), threads).classify


def open_googlenet(folder: Path, threads: int) -> Classify:
    """Open a graph like Inception5h's with the public provider."""
    from flask_autotag.providers.tensorflow.provider import TensorFlowProvider

    return TensorFlowProvider("googlenet", str(folder), threads).classify


def open_detector(folder: Path, threads: int) -> Classify:
    """Open the bundled model with the detector in *folder* beside it."""
    from flask_autotag.providers.tensorflow.provider import TensorFlowProvider

    return TensorFlowProvider(
        model_dir=str(folder.parent), threads=threads, detector=folder.name
    ).classify


def open_tensorflow(folder: Path, threads: int) -> Classify:
    """Open the float network as a SavedModel."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = tf.saved_model.load(str(folder / "saved_model"))
    run = model.signatures["serving_default"]
    return lambda images: next(iter(run(tf.constant(pixels(images))).values())).numpy()


def open_torch(folder: Path, threads: int) -> Classify:
    """Open the float network as a traced PyTorch module."""
    import torch

    torch.set_num_threads(threads)
    module = torch.jit.load(str(folder / "network.pt")).eval()

    def classify(images: list[Image.Image]) -> Any:
        planes = np.ascontiguousarray(pixels(images).transpose(0, 3, 1, 2))
        with torch.inference_mode():
            return module(torch.from_numpy(planes)).numpy()

    return classify


def open_onnx(folder: Path, threads: int) -> Classify:
    """Open the float network in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(folder / "network.onnx"), options, providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run(
        None, {"pixels": np.ascontiguousarray(pixels(images).transpose(0, 3, 1, 2))}
    )[0]


def pixels(images: list[Image.Image]) -> np.ndarray[Any, Any]:
    """Crop and scale the centre of images, like the provider.

    :return: shape ``(images, 224, 224, 3)``, float32.
    """
    arrays = []
    for image in images:
        side = min(image.size) * 0.875
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        small = image.resize((224, 224), Image.Resampling.BICUBIC, box=box)
        arrays.append(np.asarray(small, dtype=np.float32))
    return (np.stack(arrays) - 127.0) / 128.0


def prepare(folder: Path) -> None:
    """Write the float network in the format of each runtime."""
    sys.path.insert(0, str(ROOT / "tools"))
    import googlenet
    import tensorflow as tf
    import torch
    from efficientnet_lite import build_keras, build_torch, load_weights

    describe_googlenet(folder / "googlenet", googlenet.build())
    copy_without_heads(folder / "classes")
    weights = load_weights()
    network = build_keras(weights)

    @tf.function(input_signature=[tf.TensorSpec([None, 224, 224, 3], tf.float32)])
    def serve(values: Any) -> Any:
        return network(values, training=False)

    tf.saved_model.save(
        network, str(folder / "saved_model"), signatures={"serving_default": serve}
    )
    module = build_torch(weights).eval()
    example = torch.zeros(1, 3, 224, 224)
    torch.jit.trace(module, example).save(str(folder / "network.pt"))
    torch.onnx.export(
        module,
        (example,),
        str(folder / "network.onnx"),
        input_names=["pixels"],
        dynamic_axes={"pixels": {0: "images"}},
        dynamo=False,
    )


def describe_googlenet(folder: Path, graph: bytes) -> None:
    """Write GoogLeNet's graph with Inception5h's description."""
    from flask_autotag.providers.tensorflow.model_store import DOWNLOADS

    text = (DOWNLOADS / "inception5h" / "model.toml").read_text()
    description = tomllib.loads(text)
    folder.mkdir()
    (folder / description["file"]).write_bytes(graph)
    (folder / description["labels"]).write_text(
        "dummy\n" + "".join(f"class {number}\n" for number in range(1000))
    )
    digest = hashlib.sha256(graph).hexdigest()
    (folder / "model.toml").write_text(text.replace(description["sha256"], digest))


def copy_without_heads(folder: Path) -> None:
    """Copy the bundled model, and leave out the heads of general tags."""
    from flask_autotag.providers.tensorflow.model_file import BUNDLED
    from flask_autotag.providers.tensorflow.provider import DEFAULT_MODEL

    shutil.copytree(BUNDLED / DEFAULT_MODEL, folder)
    path = folder / "model.toml"
    text = re.sub(r"(?s)\[heads\].*?\n(?=\[)", "", path.read_text())
    path.write_text(text)


def measure(engine: str, batch: int, threads: int, folder: Path, photos: Path) -> None:
    """Run one engine in this process and print its figures as JSON."""
    import resource

    started = float(os.environ["STARTED"])
    classify = OPENERS[engine](folder, threads)
    # Few photos, so that they take little memory compared with the engine.
    images = [decode(path) for path in sorted(photos.glob("*.[jJ]*"))[:12]]
    classify(images[:1])
    first = time.time() - started
    pile = (images * (max(batch, 64) // len(images) + 1))[: max(batch, 64)]
    rates = list(rounds(lambda: [classify(part) for part in parts(pile, batch)]))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "rate": len(pile) / statistics.median(rates),
                "first": first,
                "memory": usage.ru_maxrss * 1024 / MIB,
            }
        )
    )


OPENERS: dict[str, Callable[[Path, int], Classify]] = {
    "bundled": open_bundled,
    "classes": open_classes,
    "googlenet": open_googlenet,
    "tensorflow": open_tensorflow,
    "torch": open_torch,
    "onnx": open_onnx,
}


def decode(path: Path) -> Image.Image:
    """Decode and scale a photo, in the same way for every engine."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((480, 480))
    return image


def parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Split a list into parts."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def rounds(action: Callable[[], object], count: int = 7) -> Iterator[float]:
    """Time *action*, after one round that does not count.

    :return: the seconds of each round.
    """
    action()
    for _ in range(count):
        start = time.perf_counter()
        action()
        yield time.perf_counter() - start


def in_process(*arguments: str) -> str:
    """Run this script with *arguments* in a separate process."""
    environment = {**os.environ, "STARTED": str(time.time())}
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def compare_engines(photos: Path, threads: int) -> None:
    """Print the table of engines."""
    with tempfile.TemporaryDirectory() as folder:
        in_process("--prepare", folder)
        results = [
            json.loads(
                in_process(
                    *("--engine", engine.name, "--batch", str(engine.batch)),
                    *("--threads", str(threads)),
                    *("--folder", folder, "--photos", str(photos)),
                ).splitlines()[-1]
            )
            for engine in ENGINES
        ]
    print(
        f"{'engine':46} {'batch':>5} {'images/s':>14} {'first tag':>15} {'memory':>16}"
    )
    own = results[0]
    for engine, result in zip(ENGINES, results, strict=True):
        print(
            f"{engine.title:46} {engine.batch:5}"
            f" {result['rate']:7.1f} {result['rate'] / own['rate']:5.2f}x"
            f" {result['first']:7.2f}s {result['first'] / own['first']:5.1f}x"
            f" {result['memory']:6.0f}MB {result['memory'] / own['memory']:5.1f}x"
        )


def compare_detector(folder: Path, photos: Path, threads: int) -> None:
    """Print what a detector adds to the time of an image.

    Both take turns, so that other work on the machine slows both.

    :param folder: the detector's.
    """
    images = [decode(path) for path in sorted(photos.glob("*.[jJ]*"))[:12]]
    alone, both = open_bundled(folder, threads), open_detector(folder, threads)
    turns = zip(
        rounds(lambda: alone(images), TURNS),
        rounds(lambda: both(images), TURNS),
        strict=True,
    )
    pairs = [(first / len(images), second / len(images)) for first, second in turns]
    middle = [statistics.median(column) * 1e3 for column in zip(*pairs, strict=True)]
    ratio = statistics.median(second / first for first, second in pairs)
    print(
        f"bundled model {middle[0]:.1f} ms, with {folder.name} {middle[1]:.1f} ms an"
        f" image; {ratio:.1f} times as long (median of {TURNS} pairs)"
    )


def compare_decoding(photos: Path) -> None:
    """Print the time of decoding, with and without ``draft``."""
    sys.path.insert(0, str(ROOT))
    from flask_autotag.classification.decode import decode as decode_within_limits

    small = sorted(photos.glob("*.[jJ]*"))[0].read_bytes()
    print(f"\n{'photo':30} {'with draft':>12} {'without':>12} {'ratio':>8}")
    for title, data in (("as it came", small), ("12 megapixels", enlarge(small))):
        size = "x".join(str(side) for side in Image.open(io.BytesIO(data)).size)
        with_draft, without = (
            statistics.median(rounds(action))
            for action in (
                lambda data=data: decode_within_limits(data, 256),
                lambda data=data: Image.open(io.BytesIO(data)).convert("RGB"),
            )
        )
        print(
            f"{f'{title} ({size})':30} {with_draft * 1e3:10.1f}ms"
            f" {without * 1e3:10.1f}ms {without / with_draft:7.1f}x"
        )


def enlarge(data: bytes) -> bytes:
    """Scale a photo to the 4000 by 3000 pixels of a camera."""
    file = io.BytesIO()
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.resize((4000, 3000), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def main() -> None:
    """Compare all engines, or run one in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--detector", type=Path, help="the folder of a detector")
    parser.add_argument("--batch", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--engine", choices=OPENERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.prepare:
        prepare(given.prepare)
    elif given.engine:
        measure(given.engine, given.batch, given.threads, given.folder, given.photos)
    else:
        print(
            f"{os.cpu_count()} cores, {platform.machine()}, {given.threads} thread(s),"
            f" Python {platform.python_version()}\n"
        )
        if given.detector:
            folder = given.detector.resolve()
            compare_detector(folder, given.photos, given.threads)
            return
        compare_engines(given.photos, given.threads)
        compare_decoding(given.photos)


if __name__ == "__main__":
    main()
