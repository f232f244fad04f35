"""Build the broader tags from the reviewed lists, or print them for a review.

    python tools/build_broader.py [--wordnet DIR] [--output DIR] [--list | --check]

``broader_names.csv`` lists the concepts of WordNet that are tags, with the name that a
person types; if this is not WordNet's own name, a reason follows. A concept is on the
list only if its name is true of every class below it in photos. If WordNet disagrees
with common usage, ``broader_corrections.csv`` removes a noun, with all nouns below it,
from below a concept, or adds it there. ``--list`` prints every concept with the bundled
model's classes below it. The tool needs Debian's ``wordnet-base``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from wordnet import DEFAULT_DIRECTORY, Noun, hypernym_closure, read_nouns

from flask_autotag.providers.concept_hierarchy import CONCEPTS, FOLDER, NOUNS
from flask_autotag.settings.tag_names import tag_name

HERE = Path(__file__).parent
NAMES = HERE / "broader_names.csv"
CORRECTIONS = HERE / "broader_corrections.csv"
LABELS = HERE.parent / "flask_autotag/data/models/efficientnet-lite0/labels.csv"


class Correction(NamedTuple):
    """Whether a noun is below a concept, contrary to WordNet."""

    concept: str
    below: bool


@dataclass
class Reviewed:
    """The reviewed lists, combined with WordNet.

    :param nouns: all nouns of WordNet, by id.
    :param names: the names of the concepts that are tags, by id.
    :param corrections: the corrections, by the noun's id.
    """

    nouns: Mapping[str, Noun]
    names: Mapping[str, str]
    corrections: Mapping[str, list[Correction]]
    _found: dict[str, frozenset[str]] = field(default_factory=dict)

    def concepts(self, noun: str) -> frozenset[str]:
        """Return all concepts that a noun is, or is below.

        If two corrections disagree, that of the narrower noun counts.

        :raises ValueError: if a correction changes nothing.
        """
        if noun not in self._found:
            self._found[noun] = self._find(noun)
        return self._found[noun]

    def _find(self, noun: str) -> frozenset[str]:
        widest_first = [*reversed(hypernym_closure(self.nouns, noun)), noun]
        found = self.names.keys() & set(widest_first)
        for each in widest_first:
            for concept, below in self.corrections.get(each, ()):
                if each == noun and below == (concept in found):
                    raise ValueError(
                        f"{CORRECTIONS.name}: {noun} for {concept} changes nothing"
                    )
                if below:
                    found |= {concept} | self.concepts(concept)
                else:
                    found -= {concept}
        return frozenset(found)

    def nearest(self, noun: str) -> list[str]:
        """Return the concepts above a noun that are not above another of these."""
        above = self.concepts(noun) - {noun}
        covered = {up for each in above for up in self.concepts(each) - {each}}
        return sorted(above - covered)

    def below(self, classes: Iterable[str]) -> dict[str, list[str]]:
        """Return for each concept the *classes* that are it, or are below it."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for each in classes:
            for concept in self.concepts(each):
                found[concept].append(each)
        return found


def read_reviewed(nouns: Mapping[str, Noun]) -> Reviewed:
    """Read the reviewed lists and check them.

    :raises ValueError: if a row is invalid; the message names it.
    """
    reviewed = Reviewed(nouns, _read_names(nouns), _read_corrections(nouns))
    for concept, corrections in reviewed.corrections.items():
        for correction in corrections:
            if correction.concept not in reviewed.names:
                raise ValueError(f"{CORRECTIONS.name}: {concept} is not a concept")
    _check_coherent(reviewed)
    _check_class_names(reviewed, read_labels())
    return reviewed


def read_labels() -> dict[str, str]:
    """Return the names of the bundled model's classes, by id."""
    with LABELS.open(encoding="utf-8", newline="") as file:
        return {row["wordnet_id"]: row["name"] for row in csv.DictReader(file)}


def _read_names(nouns: Mapping[str, Noun]) -> dict[str, str]:
    names: dict[str, str] = {}
    keys: set[str] = set()
    for concept, name, reason in _rows(NAMES):
        normal = tag_name(name)
        if concept not in nouns or concept in names or normal.key in keys:
            raise ValueError(f"{NAMES.name}: {concept} or {name!r} is listed twice")
        if normal.name != name or not (reason or name in nouns[concept].lemmas):
            raise ValueError(
                f"{NAMES.name}: {name!r} is not WordNet's name: add a reason"
            )
        names[concept] = name
        keys.add(normal.key)
    return names


def _read_corrections(nouns: Mapping[str, Noun]) -> dict[str, list[Correction]]:
    corrections: defaultdict[str, list[Correction]] = defaultdict(list)
    for noun, concept, below, reason in _rows(CORRECTIONS):
        if noun not in nouns or below not in ("yes", "no") or not reason:
            raise ValueError(f"{CORRECTIONS.name}: {noun} for {concept} is incomplete")
        corrections[noun].append(Correction(concept, below == "yes"))
    return dict(corrections)


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def _check_coherent(reviewed: Reviewed) -> None:
    """Check that nouns below a concept are below all concepts above it."""
    for noun in reviewed.nouns:
        found = reviewed.concepts(noun)
        for concept in found:
            missing = reviewed.concepts(concept) - found
            if missing:
                raise ValueError(
                    f"{CORRECTIONS.name}: {noun} is below {concept}, and so below"
                    f" {sorted(missing)}"
                )
            if concept != noun and noun in reviewed.concepts(concept):
                raise ValueError(f"{CORRECTIONS.name}: {noun} is below itself")


def _check_class_names(reviewed: Reviewed, labels: Mapping[str, str]) -> None:
    """Check that no concept is a class of the bundled model, so that they differ.

    A concept may share the name of a class below it, but of no other class.
    """
    concepts = {tag_name(name).key: concept for concept, name in reviewed.names.items()}
    for label, name in labels.items():
        concept = concepts.get(tag_name(name).key)
        if concept and concept not in reviewed.concepts(label):
            raise ValueError(
                f"{NAMES.name}: {name!r} is also the name of the class {label}"
            )
        if label in reviewed.names:
            raise ValueError(f"{NAMES.name}: {label} {name!r} is itself a class")


def concepts_file(reviewed: Reviewed) -> bytes:
    """Return the file of concepts: id, name, and the ids directly above."""
    rows = (
        (concept, name, " ".join(reviewed.nearest(concept)))
        for concept, name in sorted(reviewed.names.items())
    )
    return _csv(("wordnet_id", "name", "above"), rows)


def nouns_file(reviewed: Reviewed) -> bytes:
    """Return the file of all other nouns below concepts, with the nearest concepts.

    It leaves out individuals, such as a certain river, because they are not classes.
    """
    rows = (
        (noun, " ".join(reviewed.nearest(noun)))
        for noun in sorted(reviewed.nouns)
        if noun not in reviewed.names
        and not reviewed.nouns[noun].individual
        and reviewed.concepts(noun)
    )
    return _csv(("wordnet_id", "above"), rows)


def _csv(header: Iterable[str], rows: Iterable[Iterable[str]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue().encode("ascii")


def show(reviewed: Reviewed) -> None:
    """Print every concept with the concepts above and the classes below it."""
    labels = read_labels()
    below = reviewed.below(labels)
    nouns = reviewed.below(reviewed.nouns)
    for concept, name in reviewed.names.items():
        above = [reviewed.names[each] for each in reviewed.nearest(concept)]
        classes = ", ".join(labels[each] for each in below.get(concept, []))
        print(f"{concept} {name} < {', '.join(above)} ({len(nouns[concept])} nouns)")
        print(f"    {len(below.get(concept, []))}: {classes}")


def main() -> int:
    """Build, check or print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wordnet", type=Path, default=DEFAULT_DIRECTORY)
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument(
        "--list", action="store_true", help="print the concepts for a review"
    )
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    given = parser.parse_args()
    reviewed = read_reviewed(read_nouns(given.wordnet))
    concepts, nouns = concepts_file(reviewed), nouns_file(reviewed)
    if given.list:
        show(reviewed)
        return 0
    if given.check:
        same = (given.output / CONCEPTS).read_bytes() == concepts
        packed = (given.output / NOUNS).read_bytes()
        return 0 if same and gzip.decompress(packed) == nouns else 1
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / CONCEPTS).write_bytes(concepts)
    # Without a time stamp, the same lists result in the same file.
    (given.output / NOUNS).write_bytes(gzip.compress(nouns, mtime=0))
    print(f"{len(reviewed.names)} concepts, {len(nouns.splitlines()) - 1} other nouns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
