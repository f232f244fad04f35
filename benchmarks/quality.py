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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFilter

from flask_autotag.broader import groups, hierarchy
from flask_autotag.images import decode
from flask_autotag.providers import model_file
from flask_autotag.providers.base import Label
from flask_autotag.providers.tensorflow import DEFAULT_MODEL, TensorFlowProvider

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.9)
SHRUNK = 6

#: The labels of one photo that a rule makes tags of at a threshold.
Rule = Callable[[list[Label], float], list[Label]]


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

    def correct(self, tag: Label, class_id: str) -> bool:
        """Say whether *tag* is true of photos of a class."""
        is_it = tag.name == self.names[class_id]
        return is_it or class_id in self.below.get(tag.name, set())

    def classes_only(self, labels: list[Label], threshold: float) -> list[Label]:
        """Apply the classes that reach the threshold."""
        return [each for each in reaching(labels, threshold) if each.id in self.names]


def with_broader(labels: list[Label], threshold: float) -> list[Label]:
    """Apply what reaches the threshold, but no broader tag above another.

    A class may have the name of a broader tag; both are one tag.
    """
    likely = list(reaching(labels, threshold))
    covered = {up for label in likely for up in hierarchy().above(label.id)}
    tags = {label.name: label for label in likely if label.id not in covered}
    return list(tags.values())


def reaching(labels: Iterable[Label], threshold: float) -> Iterator[Label]:
    """Choose the labels that reach the threshold."""
    return (label for label in labels if label.confidence >= threshold)


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
    answers: list[tuple[str, list[Label]]], rule: Rule, threshold: float, truth: Truth
) -> Quality:
    """Compare the tags of photos with the photos' classes."""
    right = [
        [truth.correct(tag, class_id) for tag in rule(labels, threshold)]
        for class_id, labels in answers
    ]
    tags = sum(map(len, right))
    return Quality(
        found=sum(map(any, right)) / len(right),
        precision=sum(map(sum, right)) / tags if tags else 1.0,
        tags=tags / len(right),
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


def classify(
    photos: Path, read: Callable[[Path, int], Image.Image]
) -> list[tuple[str, list[Label]]]:
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


def report(title: str, answers: list[tuple[str, list[Label]]], truth: Truth) -> None:
    """Print one table."""
    print(f"\n{title}: {len(answers)} photos, classes only -> with broader tags")
    print(f"{'threshold':>9} {'with a correct tag':>20} {'precision':>16} {'tags':>14}")
    for threshold in THRESHOLDS:
        before, after = (
            quality(answers, rule, threshold, truth)
            for rule in (truth.classes_only, with_broader)
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
