"""Build the broader tags from the reviewed lists, or show what there is to review.

    python tools/build_broader.py [--wordnet DIR] [--output DIR] [--list | --check]

``broader_names.csv`` has the concepts of WordNet that are tags, each by the name that a
person types; a reason says why a name is not WordNet's own. A concept is there only if
its name is true of every class below it, as photos show that. Where WordNet disagrees
with what people call a thing, ``broader_corrections.csv`` takes a noun, with all below
it, out from below a concept, or puts it there. ``--list`` prints every concept with the
bundled model's classes below it. It needs Debian's ``wordnet-base``.
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

from flask_autotag.broader import CONCEPTS, FOLDER, NOUNS
from flask_autotag.vocabulary import tag_name

HERE = Path(__file__).parent
NAMES = HERE / "broader_names.csv"
CORRECTIONS = HERE / "broader_corrections.csv"
LABELS = HERE.parent / "flask_autotag/data/models/efficientnet-lite0/labels.csv"


class Correction(NamedTuple):
    """Whether a noun is below a concept, whatever WordNet says."""

    concept: str
    below: bool


@dataclass
class Reviewed:
    """The reviewed lists, over WordNet.

    :param nouns: all of WordNet, by id.
    :param names: of the concepts that are tags, by id.
    :param corrections: by the noun's id.
    """

    nouns: Mapping[str, Noun]
    names: Mapping[str, str]
    corrections: Mapping[str, list[Correction]]
    _found: dict[str, frozenset[str]] = field(default_factory=dict)

    def concepts(self, noun: str) -> frozenset[str]:
        """Find all concepts that a noun is, or lies below.

        Of two corrections that disagree, that of the narrower noun counts.

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
        """List the concepts above a noun that are above no other of these."""
        above = self.concepts(noun) - {noun}
        covered = {up for each in above for up in self.concepts(each) - {each}}
        return sorted(above - covered)

    def below(self, classes: Iterable[str]) -> dict[str, list[str]]:
        """List those of *classes* that are each concept, or lie below it."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for each in classes:
            for concept in self.concepts(each):
                found[concept].append(each)
        return found


def read_reviewed(nouns: Mapping[str, Noun]) -> Reviewed:
    """Read the reviewed lists and check them.

    :raises ValueError: if one of their rows is wrong; it names the row.
    """
    reviewed = Reviewed(nouns, _read_names(nouns), _read_corrections(nouns))
    for concept, corrections in reviewed.corrections.items():
        for correction in corrections:
            if correction.concept not in reviewed.names:
                raise ValueError(f"{CORRECTIONS.name}: {concept} for no concept")
    _check_coherent(reviewed)
    _check_class_names(reviewed, read_labels())
    return reviewed


def read_labels() -> dict[str, str]:
    """Read the names of the bundled model's classes, by id."""
    with LABELS.open(encoding="utf-8", newline="") as file:
        return {row["wordnet_id"]: row["name"] for row in csv.DictReader(file)}


def _read_names(nouns: Mapping[str, Noun]) -> dict[str, str]:
    names: dict[str, str] = {}
    keys: set[str] = set()
    for concept, name, reason in _rows(NAMES):
        normal = tag_name(name)
        if concept not in nouns or concept in names or normal.key in keys:
            raise ValueError(f"{NAMES.name}: {concept} or {name!r} is there twice")
        if normal.name != name or not (reason or name in nouns[concept].lemmas):
            raise ValueError(f"{NAMES.name}: {name!r} is not WordNet's, and no reason")
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
    """Demand that what lies below a concept lies below all that is above that."""
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
    """Demand that a concept is no class of the bundled model, so that they are told.

    It may share the name of a class that lies below it, and of no other.
    """
    concepts = {tag_name(name).key: concept for concept, name in reviewed.names.items()}
    for label, name in labels.items():
        concept = concepts.get(tag_name(name).key)
        if concept and concept not in reviewed.concepts(label):
            raise ValueError(f"{NAMES.name}: {name!r} is the class {label} too")
        if label in reviewed.names:
            raise ValueError(f"{NAMES.name}: {label} {name!r} is a class itself")


def concepts_file(reviewed: Reviewed) -> bytes:
    """Write the concepts: id, name, and the ids directly above."""
    rows = (
        (concept, name, " ".join(reviewed.nearest(concept)))
        for concept, name in sorted(reviewed.names.items())
    )
    return _csv(("wordnet_id", "name", "above"), rows)


def nouns_file(reviewed: Reviewed) -> bytes:
    """Write every other noun that lies below concepts, and the nearest of these.

    Nouns for one thing with a name, such as a river, are left out: no class is one.
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
    """Print every concept, what is above it, and which classes are below."""
    labels = read_labels()
    below = reviewed.below(labels)
    nouns = reviewed.below(reviewed.nouns)
    for concept, name in reviewed.names.items():
        above = [reviewed.names[each] for each in reviewed.nearest(concept)]
        classes = ", ".join(labels[each] for each in below.get(concept, []))
        print(f"{concept} {name} < {', '.join(above)} ({len(nouns[concept])} nouns)")
        print(f"    {len(below.get(concept, []))}: {classes}")


def main() -> int:
    """Build, check or show, and say whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wordnet", type=Path, default=DEFAULT_DIRECTORY)
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--list", action="store_true", help="print what to review")
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
    # Without the time, the same lists give the same file.
    (given.output / NOUNS).write_bytes(gzip.compress(nouns, mtime=0))
    print(f"{len(reviewed.names)} concepts, {len(nouns.splitlines()) - 1} other nouns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
