"""Reads ``heads/manifest.csv`` and ``heads/labels.csv``: the labelled photos.

The manifest names each photo by the SHA-256 of the original file and states where it
comes from: its set, the repository or Debian package with its commit or version, the
path, and the licence as stated there. Sets that share photos are in one ``group``. The
labels name the concepts of each photo: those that it certainly shows (``yes``) and
those that are marginal (``maybe``). All other concepts are certainly absent.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "heads"
MANIFEST = "manifest.csv"
LABELS = "labels.csv"
#: Hexadecimal digits of a SHA-256 by which labels and files name a photo.
DIGITS = 16
_CONCEPTS = Path(__file__).parent.parent / "flask_autotag/data/broader/general.csv"


@dataclass(frozen=True)
class Labels:
    """The concepts of a photo."""

    yes: frozenset[str]
    maybe: frozenset[str]


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo, where it comes from, and what it shows."""

    sha256: str
    set: str
    group: str
    licence: str
    labels: Labels

    def target(self, concept: str) -> float:
        """Return 1 if the photo shows a concept, 0.5 if it may, else 0."""
        if concept in self.labels.yes:
            return 1.0
        return 0.5 if concept in self.labels.maybe else 0.0


def concept_ids() -> dict[str, str]:
    """Return the ids of all general concepts, by name."""
    return {row["name"]: row["id"] for row in _rows(_CONCEPTS)}


def read_labelled_photos(folder: Path = FOLDER) -> list[LabelledPhoto]:
    """Read all photos, in the order of the manifest.

    :raises ValueError: if the two files do not match, or a row is invalid; the message
        names the photo.
    """
    labels = read_labels(folder / LABELS)
    photos: dict[str, LabelledPhoto] = {}
    for row in _rows(folder / MANIFEST):
        digits = row["sha256"][:DIGITS]
        if digits in photos:
            raise ValueError(f"{MANIFEST}: {digits} is listed twice")
        if digits not in labels:
            raise ValueError(f"{MANIFEST}: {digits} has no line in {LABELS}")
        photos[digits] = LabelledPhoto(
            row["sha256"], row["set"], row["group"], row["licence"], labels[digits]
        )
    for digits in labels.keys() - photos.keys():
        raise ValueError(f"{LABELS}: {digits} has no line in {MANIFEST}")
    return list(photos.values())


def read_labels(path: Path) -> dict[str, Labels]:
    """Read the labels, by the first digits of the photos' SHA-256.

    :raises ValueError: if a photo is listed twice, or a concept is unknown or both
        certain and marginal.
    """
    known = concept_ids()
    labels: dict[str, Labels] = {}
    for row in _rows(path):
        if row["sha256"] in labels:
            raise ValueError(f"{path.name}: {row['sha256']} is listed twice")
        try:
            labels[row["sha256"]] = parse(row["yes"], row["maybe"], known)
        except ValueError as error:
            raise ValueError(f"{path.name}: {row['sha256']}: {error}") from None
    return labels


def parse(yes: str, maybe: str, known: Iterable[str]) -> Labels:
    """Read the concepts of a photo, separated by semicolons.

    :raises ValueError: if one is not among the *known* ones, or is in both lists.
    """
    certain, marginal = (
        frozenset(word.strip() for word in words.split(";") if word.strip())
        for words in (yes, maybe)
    )
    if unknown := (certain | marginal).difference(known):
        raise ValueError(f"no concept is named {_listed(unknown)}")
    if both := certain & marginal:
        raise ValueError(f"{_listed(both)} is in both yes and maybe")
    return Labels(certain, marginal)


def write_labels(labels: Mapping[str, Labels], path: Path) -> None:
    """Write labels, sorted by photo, with the concepts in their usual order."""
    order = list(concept_ids())
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sha256", "yes", "maybe"])
        for digits, each in sorted(labels.items()):
            lists = (sorted(words, key=order.index) for words in (each.yes, each.maybe))
            writer.writerow([digits, *map(";".join, lists)])


def _listed(words: Iterable[str]) -> str:
    return ", ".join(repr(word) for word in sorted(words))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
