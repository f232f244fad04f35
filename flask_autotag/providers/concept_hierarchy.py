"""Concepts above other labels: *dog* for 118 breeds, and *sky* above *cloud*.

The broader concepts of classes come from WordNet and were reviewed by hand;
``tools/build_broader.py`` writes their files. ``general.csv`` adds the general
concepts, such as *sky*. Some are broader concepts too, such as *person*.
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

FOLDER = Path(__file__).parent.parent / "data" / "broader"
CONCEPTS, GENERAL = "broader.csv", "general.csv"
NOUNS = "nouns.csv.gz"

#: The id of a noun: its byte offset in WordNet 3.0's database, also used by ImageNet.
_WORDNET_ID = re.compile(r"n\d{8}", re.ASCII)

#: Sets of nouns whose concepts are cached: an instance's tags change little.
_REMEMBERED = 16


@dataclass(frozen=True)
class Hierarchy:
    """The broader and general concepts, and their order.

    :param names: the name of each concept, by its id, which is WordNet's if it has one.
    :param parents: the ids of the concepts directly above each concept, by its id.
    :param broader: the ids of the concepts that stand for the classes below them.
    :param beside: the ids of those parents whose tag stays beside the concept's, such
        as *person* beside *child*. The others are hidden: *animal* by *dog*.
    """

    names: Mapping[str, str]
    parents: Mapping[str, frozenset[str]]
    broader: frozenset[str]
    beside: Mapping[str, frozenset[str]]

    def __contains__(self, concept: object) -> bool:
        return concept in self.names

    def above(self, concept: str) -> frozenset[str]:
        """Return the ids of all concepts above a concept; none for an unknown id."""
        return self._above.get(concept, frozenset())

    def hidden_by(self, concept: str) -> frozenset[str]:
        """Return the ids of the concepts whose tags a concept's tag makes redundant."""
        return self._hidden.get(concept, frozenset())

    @cached_property
    def _above(self) -> dict[str, frozenset[str]]:
        return _closure(self.parents)

    @cached_property
    def _hidden(self) -> dict[str, frozenset[str]]:
        none: frozenset[str] = frozenset()
        return _closure(
            {
                concept: parents - self.beside.get(concept, none)
                for concept, parents in self.parents.items()
            }
        )


def _closure(parents: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Return the parents of each concept, their parents, and so on."""
    found: dict[str, frozenset[str]] = {}

    def find(concept: str) -> frozenset[str]:
        if concept not in found:
            direct = parents[concept]
            found[concept] = direct.union(*map(find, direct))
        return found[concept]

    return {concept: find(concept) for concept in parents}


@cache
def hierarchy() -> Hierarchy:
    """Read the concepts, without the nouns below them."""
    broader, general = _read(CONCEPTS), _read(GENERAL)
    parents = {row["wordnet_id"]: _ids(row["above"]) for row in broader}
    for row in general:
        parents[row["id"]] = parents.get(row["id"], frozenset()) | _ids(row["above"])
    return Hierarchy(
        {row["wordnet_id"]: row["name"] for row in broader}
        | {row["id"]: row["name"] for row in general},
        parents,
        frozenset(row["wordnet_id"] for row in broader),
        {row["id"]: _ids(row["beside"]) for row in general},
    )


def _read(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="ascii", newline="") as file:
        return list(csv.DictReader(file))


def _ids(text: str) -> frozenset[str]:
    return frozenset(text.split())


def groups(ids: Sequence[str]) -> dict[str, list[int]]:
    """Group a model's classes by concept.

    No file is read if *ids* holds no WordNet id.

    :param ids: the ids of the model's outputs, in order.
    :return: for each concept that two or more classes share, their positions in *ids*.
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
    """Return the concepts of each noun: itself, if it is one, and all above it.

    :param nouns: ids; those that are not from WordNet are left out.
    """
    return _concepts({each for each in nouns if _WORDNET_ID.fullmatch(each)})


def _concepts(nouns: Collection[str]) -> dict[str, frozenset[str]]:
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
