"""How many labelled photos get a right tag, without and with broader tags.

Each photo is classified by the bundled model as it is, and degraded: shrunk to a sixth
of its width and height (``Image.thumbnail``) and then blurred
(``ImageFilter.GaussianBlur(radius=1)``). For some thresholds this prints the share of
photos with a correct tag, how many of all tags are correct, and the tags for a photo.
A tag is correct if the photo's class is it, or lies below it.

::

    pip install -e .
    python benchmarks/quality.py --photos DIR

The folder has a ``labels.csv`` of ``file,class_index,wordnet_id``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFilter

from flask_autotag.broader import groups, hierarchy
from flask_autotag.images import decode
from flask_autotag.providers import model_file
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.providers.registry import sections
from flask_autotag.providers.tensorflow import DEFAULT_MODEL, TensorFlowProvider
from flask_autotag.settings.resolution import read_settings
from flask_autotag.tagging import choose

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.9)
SHRUNK = 6

#: The class of each photo, and what the model said of it.
Answers = list[tuple[str, list[Label]]]


@dataclass(frozen=True)
class Truth:
    """What is correct for the photos of each class.

    :param names: of the classes, by id.
    :param below: ids of the classes below each broader tag, by its name.
    """

    names: dict[str, str]
    below: dict[str, set[str]]

    @classmethod
    def read(cls) -> Truth:
        """Read the bundled model's classes."""
        names = dict(model_file.find(DEFAULT_MODEL, None).labels)
        ids = list(names)
        return cls(
            names,
            {
                hierarchy().names[concept]: {ids[place] for place in places}
                for concept, places in groups(ids).items()
            },
        )

    def correct(self, tag: str, class_id: str) -> bool:
        """Say whether *tag* is true of photos of a class."""
        is_it = tag == self.names[class_id]
        return is_it or class_id in self.below.get(tag, set())


def tags(labels: list[Label], threshold: float, *, broader: bool) -> list[str]:
    """Let the rules of the package make tags of one photo's labels."""
    settings = read_settings(
        sections(),
        {
            "AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD": threshold,
            "AUTOTAG_BROADER_TAGS": broader,
        },
    )
    prediction = Prediction(TensorFlowProvider.name, DEFAULT_MODEL, tuple(labels))
    return [choice.name for choice in choose([prediction], settings)]


@dataclass(frozen=True)
class Quality:
    """How good the tags of some photos are.

    :param found: share of photos with a correct tag.
    :param precision: share of correct ones among all tags.
    :param tags: for a photo.
    """

    found: float
    precision: float
    tags: float


def quality(
    answers: Answers, threshold: float, truth: Truth, *, broader: bool
) -> Quality:
    """Compare the tags of photos with the photos' classes."""
    right = [
        [
            truth.correct(tag, class_id)
            for tag in tags(labels, threshold, broader=broader)
        ]
        for class_id, labels in answers
    ]
    applied = sum(map(len, right))
    return Quality(
        found=sum(map(any, right)) / len(right),
        precision=sum(map(sum, right)) / applied if applied else 1.0,
        tags=applied / len(right),
    )


def as_it_is(path: Path, side: int) -> Image.Image:
    """Decode a photo as a child does."""
    return decode(path.read_bytes(), side)


def degraded(path: Path, _side: int) -> Image.Image:
    """Shrink and blur a photo."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((small.width // SHRUNK, small.height // SHRUNK))
    return small.filter(ImageFilter.GaussianBlur(radius=1))


def classify(photos: Path, read: Callable[[Path, int], Image.Image]) -> Answers:
    """Classify every photo of a folder, and give its class with the labels."""
    provider = TensorFlowProvider()
    with (photos / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        (
            row["wordnet_id"],
            provider.classify([read(photos / row["file"], provider.side)])[0],
        )
        for row in rows
    ]


def report(title: str, answers: Answers, truth: Truth) -> None:
    """Print one table."""
    print(f"\n{title}: {len(answers)} photos, classes only -> with broader tags")
    print(f"{'threshold':>9} {'with a correct tag':>20} {'precision':>16} {'tags':>14}")
    for threshold in THRESHOLDS:
        before, after = (
            quality(answers, threshold, truth, broader=broader)
            for broader in (False, True)
        )
        print(
            f"{threshold:9.1f} {before.found:11.3f} -> {after.found:.3f}"
            f" {before.precision:7.3f} -> {after.precision:.3f}"
            f" {before.tags:5.2f} -> {after.tags:.2f}"
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    given = parser.parse_args()
    truth = Truth.read()
    report("As they are", classify(given.photos, as_it_is), truth)
    report("Shrunk and blurred", classify(given.photos, degraded), truth)


if __name__ == "__main__":
    main()
