"""Train the heads that give general tags, such as sky, and print their model card.

    python tools/train_heads.py --photos DIR [--output DIR] [--check]

A head is a linear classifier of one concept on the embedding of EfficientNet-Lite0.
``heads/manifest.csv`` and ``heads/labels.csv`` list the photos and what they show.
``--photos`` is a folder of these photos: reduced ones, named by the first 16 digits of
the original's SHA-256, such as ``00059ee4061030d9.jpg``, or originals, named by the
whole of it. The tool writes ``heads.npz``, its digest in ``model.toml``, and
``heads.csv``, the ids and names in the same order. A head's confidence in an image is::

    features = sqrt(embedding - its zero point), divided by its length
    confidence = sigmoid(scale * (weights @ features) + bias)

``heads/verdicts.csv`` lists labels of classes and a person's verdicts on them. From
these the tool trains the classifier of doubtful labels, and adds it to ``heads.npz``.

The required packages are in ``tools/requirements.txt``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
from class_verdicts import (
    Classifier,
    Verdicts,
    fit_classifier,
    read_verdicts,
    report,
    set_out_probabilities,
)
from efficientnet_lite import CROP, SIZE, preprocess
from embedding_output import EMBEDDING, with_embedding
from labelled_photos import DIGITS, LabelledPhoto, concept_ids, read_labelled_photos
from model_card import model_card
from operating_points import (
    Array,
    OperatingPoint,
    confidence,
    operating_point,
    platt,
)
from PIL import Image, ImageOps
from scipy.optimize import minimize
from scipy.special import expit

BUNDLED = Path(__file__).parent.parent / "flask_autotag/data/models/efficientnet-lite0"
NETWORK = BUNDLED / "model.tflite"
WEIGHTS = "heads.npz"
CONCEPTS = "heads.csv"
DESCRIPTION = "model.toml"

#: A concept with fewer photos, or photos from fewer groups of sets, has no head.
LEAST_POSITIVES = 100
LEAST_GROUPS = 3
#: Nor has one that finds a smaller share of the photos at its operating point.
LEAST_RECALL = 0.15
#: A rule on the pixels decides on these.
WITHOUT_HEAD = frozenset({"black and white"})

#: Chosen by the mean average precision over photos that were set out.
REGULARISATION = 1e-4
FOLDS = 6
#: Pixels of the longer side of reduced photos, and their quality as JPEG files.
LONGEST, QUALITY = 512, 90
#: The largest accepted difference of a confidence from that of the committed heads:
#: processors round differently.
MAX_DIFFERENCE = 0.02
_THREADS = 2


@dataclass(frozen=True)
class Examples:
    """Photos to train on and to measure with.

    :param features: of each photo and its mirror image, shape ``(n, 2, width)``.
    :param targets: 1 for photos that show a concept, 0.5 for those that may, shape
        ``(n, concepts)``.
    :param groups: the group of each photo's set.
    """

    features: Array
    targets: Array
    groups: Sequence[str]


@dataclass(frozen=True)
class Head:
    """The head of a concept.

    :param point: measured on photos of sets that the measured head was not trained on.
    :param slope: of the confidence over the score.
    :param positives: photos that show the concept.
    :param groups: the groups of sets that these come from.
    :param confidences: of all photos, by heads that were not trained on their sets.
    :param targets: of all photos.
    :param weights: of the features; the last one is the bias.
    """

    concept: str
    point: OperatingPoint
    slope: float
    positives: int
    groups: int
    confidences: Array
    targets: Array
    weights: Array


@dataclass(frozen=True)
class Training:
    """The heads, and why other concepts have none, by name."""

    heads: Sequence[Head]
    without: dict[str, str]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--photos", type=Path, required=True, help="folder of the labelled photos"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=BUNDLED,
        help="folder to write to, or to check (the one in the package)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail if the folder's heads differ from the trained ones",
    )
    options = parser.parse_args()
    description = options.output / DESCRIPTION
    if not description.is_file():
        parser.error(f"{options.output} has no {DESCRIPTION}: it is not a model")
    photos = read_labelled_photos()
    try:
        features = embed([find_photo(options.photos, each) for each in photos])
    except FileNotFoundError as error:
        parser.error(str(error))
    concepts = [name for name in concept_ids() if name not in WITHOUT_HEAD]
    examples = Examples(
        features,
        np.array([[each.target(name) for name in concepts] for each in photos]),
        [each.group for each in photos],
    )
    training = train(examples, concepts)
    doubts = train_doubts(read_verdicts(), photos, features[:, 0])
    print(model_card(photos, training.heads, training.without, doubts.table))
    files = {
        WEIGHTS: weights_file(training.heads, doubts.classifier),
        CONCEPTS: concepts_file(training),
    }
    if options.check:
        return 0 if check(files, options.output, features[:, 0]) else 1
    for name, content in files.items():
        (options.output / name).write_bytes(content)
    write_digest(description, files[WEIGHTS])
    return 0


def write_digest(description: Path, weights: bytes) -> None:
    """Write the SHA-256 of the heads' weights into ``model.toml``.

    :raises ValueError: if the file describes no heads.
    """
    text, found = re.subn(
        r'(?s)(\n\[heads\]\n[^[]*?\nsha256 = )"[0-9a-f]{64}"',
        rf'\g<1>"{hashlib.sha256(weights).hexdigest()}"',
        description.read_text("utf-8"),
    )
    if not found:
        raise ValueError(f"{description} has no [heads] with a sha256")
    description.write_text(text, encoding="utf-8")


def find_photo(folder: Path, photo: LabelledPhoto) -> bytes:
    """Read a reduced photo, or reduce the original.

    :raises FileNotFoundError: if neither is in the folder.
    """
    reduced = folder / f"{photo.sha256[:DIGITS]}.jpg"
    if reduced.is_file():
        return reduced.read_bytes()
    for original in folder.glob(f"{photo.sha256}*"):
        return reduce(original)
    raise FileNotFoundError(
        f"{folder} has neither {reduced.name} nor a file named {photo.sha256}, of the"
        f" set {photo.set}"
    )


def reduce(original: Path) -> bytes:
    """Reduce a photo, as those were that the packaged heads were trained on."""
    with Image.open(original) as image:
        image.draft("RGB", (2 * LONGEST, 2 * LONGEST))
        upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "LA", "P"):
        rgba = upright.convert("RGBA")
        upright = Image.new("RGBA", rgba.size, "white")
        upright.alpha_composite(rgba)
    small = upright.convert("RGB")
    small.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def embed(files: Iterable[bytes]) -> Array:
    """Return the features of photos and their mirror images.

    :return: shape ``(n, 2, width)``.
    """
    from flask_autotag.classification.decode import decode

    network = with_embedding(NETWORK.read_bytes())
    threads = local()

    def views(data: bytes) -> Array:
        if not hasattr(threads, "network"):
            threads.network = _Network(network)
        pixels = preprocess(decode(data, round(SIZE / CROP)))
        return np.stack(
            [threads.network.features(each) for each in (pixels, pixels[:, ::-1])]
        )

    with ThreadPoolExecutor(_THREADS) as pool:
        return np.stack(list(pool.map(views, files)))


class _Network:
    """The network, with the embedding as its output."""

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=model, num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        [output] = [
            each
            for each in self._interpreter.get_output_details()
            if each["name"] == EMBEDDING
        ]
        self._output = output["index"]
        self._zero_point = output["quantization"][1]

    def features(self, pixels: Any) -> Array:
        self._interpreter.set_tensor(self._input, pixels[np.newaxis])
        self._interpreter.invoke()
        embedding = self._interpreter.get_tensor(self._output)[0]
        return features(embedding.astype(np.float64) - self._zero_point)


def features(embedding: Array) -> Array:
    """Return the square roots of an embedding, scaled to length 1.

    The roots reduce the weight of the few numbers that are large.

    :param embedding: along the last axis; the network's are never negative.
    """
    roots = np.sqrt(np.maximum(embedding, 0))
    lengths = np.linalg.norm(roots, axis=-1, keepdims=True)
    scaled: Array = roots / np.maximum(lengths, 1e-12)
    return scaled


def train(examples: Examples, concepts: Sequence[str]) -> Training:
    """Train a head for each concept that has enough photos and is found well enough.

    Operating points and slopes are those of heads that were not trained on the photo's
    group. The heads themselves are then trained on all photos.
    """
    without: dict[str, str] = {}
    chosen: list[int] = []
    for place, concept in enumerate(concepts):
        positives, groups = _counts(examples, place)
        if positives < LEAST_POSITIVES or groups < LEAST_GROUPS:
            without[concept] = f"{positives} photos, {groups} of the groups"
        else:
            chosen.append(place)
    enough = replace(examples, targets=examples.targets[:, chosen])
    scores = set_out_scores(enough)
    weights = fit(enough.features, enough.targets)
    heads = []
    for column, place in enumerate(chosen):
        head = _head(enough, column, concepts[place], scores, weights)
        if isinstance(head, Head):
            heads.append(head)
        else:
            without[concepts[place]] = head
    return Training(heads, without)


@dataclass(frozen=True)
class Doubts:
    """The classifier of doubtful labels of classes.

    :param table: labels by probability, from :func:`.class_verdicts.report`.
    """

    classifier: Classifier
    table: Mapping[str, Sequence[str]]


def train_doubts(
    verdicts: Verdicts, photos: Sequence[LabelledPhoto], features: Array
) -> Doubts:
    """Train the classifier of doubtful labels, and measure it on photos set out.

    :param features: of the photos, shape ``(n, width)``.
    """
    places = {photo.sha256[:DIGITS]: place for place, photo in enumerate(photos)}
    rows = [places[digits] for digits in verdicts.photos]
    groups = [photos[row].group for row in rows]
    estimated = set_out_probabilities(verdicts, features[rows], folds(groups))
    classifier = fit_classifier(verdicts.confidences, features[rows], verdicts.right)
    return Doubts(classifier, report(verdicts, estimated))


def _counts(examples: Examples, place: int) -> tuple[int, int]:
    """Return the photos that show a concept, and the groups that these are from."""
    shown = np.flatnonzero(examples.targets[:, place] == 1).tolist()
    return len(shown), len({examples.groups[each] for each in shown})


def _head(
    examples: Examples, column: int, concept: str, scores: Array, weights: Array
) -> Head | str:
    """Return the head of a concept, or the reason for which it has none."""
    targets = examples.targets[:, column]
    scaling = platt(scores[:, column], targets)
    point = operating_point(scores[:, column], targets, scaling.middle)
    if point is None:
        return "no score is precise enough"
    if point.recall < LEAST_RECALL:
        return f"found in {point.recall:.0%} of its photos"
    positives, groups = _counts(examples, column)
    return Head(
        concept,
        point,
        scaling.slope,
        positives,
        groups,
        confidence(scores[:, column], scaling.slope, point),
        targets,
        weights[:, column],
    )


def set_out_scores(examples: Examples) -> Array:
    """Score each photo with heads that were not trained on its group."""
    scores = np.zeros(examples.targets.shape)
    for out in folds(examples.groups):
        weights = fit(examples.features[~out], examples.targets[~out])
        scores[out] = examples.features[out, 0] @ weights[:-1] + weights[-1]
    return scores


def folds(groups: Sequence[str], count: int = FOLDS) -> Iterator[Any]:
    """Divide photos into parts of about the same size that share no group.

    :return: for each part, whether each photo is in it.
    """
    parts: list[list[str]] = [[] for _ in range(min(count, len(set(groups))))]
    sizes = [0] * len(parts)
    for group, size in sorted(
        Counter(groups).items(), key=lambda each: (-each[1], each)
    ):
        smallest = sizes.index(min(sizes))
        parts[smallest].append(group)
        sizes[smallest] += size
    return (np.isin(np.array(groups), part) for part in parts)


def fit(views: Array, targets: Array) -> Array:
    """Fit a logistic regression for each concept, on photos and their mirror images.

    Photos that may show the concept are left out.

    :return: a column of weights for each concept; the last row is the bias.
    """
    inputs = np.concatenate([views[:, 0], views[:, 1]]).astype(np.float32)
    wanted = np.concatenate([targets, targets]).astype(np.float32)
    certain = (wanted != 0.5).astype(np.float32)
    certain /= np.maximum(certain.sum(axis=0), 1)
    shape = (inputs.shape[1] + 1, wanted.shape[1])

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(shape).astype(np.float32)
        scores = inputs @ weights[:-1] + weights[-1]
        losses = certain * (np.logaddexp(0, scores) - wanted * scores)
        gradients = certain * (expit(scores) - wanted)
        slopes = np.vstack([inputs.T @ gradients, gradients.sum(axis=0)])
        slopes[:-1] += REGULARISATION * weights[:-1]
        penalty = REGULARISATION * (weights[:-1] ** 2).sum() / 2
        return float(losses.sum() + penalty), slopes.ravel().astype(np.float64)

    found = minimize(
        loss,
        np.zeros(shape).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 250, "maxcor": 8},
    )
    weights: Array = found.x.reshape(shape)
    return weights


def weights_file(heads: Sequence[Head], classifier: Classifier) -> bytes:
    """Return the file of weights.

    :param heads: one row each.
    :param classifier: of doubtful labels of classes.
    """
    rows = np.stack([head.slope * head.weights[:-1] for head in heads])
    biases = [head.slope * (head.weights[-1] - head.point.score) for head in heads]
    scale = (np.abs(rows).max(axis=1) / 127).astype(np.float32)
    weights = np.rint(rows / scale[:, np.newaxis]).clip(-127, 127).astype(np.int8)
    file = io.BytesIO()
    np.savez(
        file,
        weights=weights,
        scale=scale,
        bias=np.array(biases, np.float32),
        **classifier.arrays(),
    )
    return file.getvalue()


def concepts_file(training: Training) -> bytes:
    """Return the file of the heads' ids and names."""
    ids = concept_ids()
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["id", "name"])
    writer.writerows([ids[head.concept], head.concept] for head in training.heads)
    return file.getvalue().encode("ascii")


def check(files: dict[str, bytes], committed: Path, views: Array) -> bool:
    """Compare trained heads with those in a folder, by their confidences in photos.

    :param files: the trained heads' files, by name.
    :param views: the features of the photos, shape ``(n, width)``.
    """
    if (committed / CONCEPTS).read_bytes() != files[CONCEPTS]:
        print(f"{CONCEPTS}: DIFFERENT")
        return False
    here, there = (
        expit(logits(content, views))
        for content in (files[WEIGHTS], (committed / WEIGHTS).read_bytes())
    )
    difference = float(np.abs(here - there).max())
    same = difference <= MAX_DIFFERENCE
    print(f"{CONCEPTS}: the same")
    print(
        f"{WEIGHTS}: {'the same' if same else 'DIFFERENT'}; confidences differ by up to"
        f" {difference:.3f}"
    )
    return same


def logits(content: bytes, views: Array) -> Array:
    """Return the logits of a file's heads and, last, of the doubts without slope.

    :return: shape ``(n, heads + 1)``.
    """
    with np.load(io.BytesIO(content)) as arrays:
        weights = arrays["weights"].astype(np.float64)
        heads = arrays["scale"] * (views @ weights.T) + arrays["bias"]
        of_classes = arrays["class_weights"].astype(np.float64) * arrays["class_scale"]
        return np.column_stack([heads, views @ of_classes + arrays["class_bias"]])


if __name__ == "__main__":
    sys.exit(main())
