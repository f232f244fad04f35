"""Broader tags: what classes have in common, such as *dog* for 118 breeds.

The concepts are WordNet's, reviewed by hand; ``tools/build_broader.py`` writes the
files that are read here.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import IO

FOLDER = Path(__file__).parent / "data" / "broader"
CONCEPTS = "broader.csv"
NOUNS = "nouns.csv.gz"

#: Of a noun: its byte offset in WordNet 3.0's database, as ImageNet has it too.
_WORDNET_ID = re.compile(r"n\d{8}", re.ASCII)

#: Sets of nouns whose concepts are remembered: the tags of an instance change little.
_REMEMBERED = 16


@dataclass(frozen=True)
class Hierarchy:
    """The concepts that are broader tags, and which lie above which.

    :param names: of each concept, by its WordNet id.
    :param parents: ids of the concepts directly above each, by its id.
    """

    names: Mapping[str, str]
    parents: Mapping[str, frozenset[str]]

    def __contains__(self, concept: object) -> bool:
        return concept in self.names

    def above(self, concept: str) -> frozenset[str]:
        """Give all concepts above one; none above an id that is no concept."""
        return self._above.get(concept, frozenset())

    @cached_property
    def _above(self) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}

        def find(concept: str) -> frozenset[str]:
            if concept not in found:
                parents = self.parents[concept]
                found[concept] = parents.union(*map(find, parents))
            return found[concept]

        return {concept: find(concept) for concept in self.names}


@cache
def hierarchy() -> Hierarchy:
    """Read the concepts; the nouns below them are not read."""
    with (FOLDER / CONCEPTS).open(encoding="ascii", newline="") as file:
        rows = list(csv.DictReader(file))
    return Hierarchy(
        {row["wordnet_id"]: row["name"] for row in rows},
        {row["wordnet_id"]: frozenset(row["above"].split()) for row in rows},
    )


def groups(ids: Sequence[str]) -> dict[str, list[int]]:
    """Group a model's classes by the concepts that they are, or lie below.

    Nothing is read if none of the ids is WordNet's.

    :param ids: of the model's outputs, in order.
    :return: for each concept that two or more classes share their places in *ids*.
    """
    nouns = {each for each in ids if _WORDNET_ID.fullmatch(each)}
    if not nouns:
        return {}
    concepts = _concepts(nouns)
    found: defaultdict[str, list[int]] = defaultdict(list)
    for place, each in enumerate(ids):
        for concept in concepts.get(each, ()):
            found[concept].append(place)
    return {
        concept: places
        for concept, places in found.items()
        if len({ids[place] for place in places}) > 1
    }


@lru_cache(_REMEMBERED)
def concepts_of(nouns: frozenset[str]) -> Mapping[str, frozenset[str]]:
    """Find all concepts that each noun is, or lies below.

    :param nouns: ids; those that are not WordNet's lie below nothing.
    """
    return _concepts({each for each in nouns if _WORDNET_ID.fullmatch(each)})


def _concepts(nouns: Collection[str]) -> dict[str, frozenset[str]]:
    """Find all concepts that each noun is, or lies below."""
    known = hierarchy()
    found = {noun: known.above(noun) | {noun} for noun in nouns if noun in known}
    with gzip.open(FOLDER / NOUNS, "rt", encoding="ascii", newline="") as file:
        for noun, nearest in _rows(file):
            if noun in nouns:
                found[noun] = frozenset(nearest).union(*map(known.above, nearest))
    return found


def _rows(file: IO[str]) -> Iterator[tuple[str, list[str]]]:
    next(file)
    for line in file:
        noun, nearest = line.rstrip("\n").split(",")
        yield noun, nearest.split(" ")
