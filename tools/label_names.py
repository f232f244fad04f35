"""Names for the 1,000 classes of ImageNet, as a person would type them.

The name of a class is WordNet's first word for it, unless ``label_names.csv`` contains
a better name, with the reason. The ids and their order are in ``imagenet_classes.txt``:
the classes of ILSVRC 2012, sorted by WordNet id.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from wordnet import Noun

_HERE = Path(__file__).parent
_CLASSES = _HERE / "imagenet_classes.txt"
_OVERRIDES = _HERE / "label_names.csv"


def class_ids() -> list[str]:
    """Read the WordNet id of every class, in the order of the network's outputs."""
    return _CLASSES.read_text(encoding="ascii").split()


def label_names(nouns: dict[str, Noun]) -> dict[str, str]:
    """Name every class.

    :param nouns: all of WordNet, by id.
    :return: names by id, in the order of the network's outputs.
    :raises ValueError: if an override changes nothing, or if two classes share a name
        without the reason ``same as`` and the other's id.
    """
    names = {noun: nouns[noun].lemmas[0] for noun in class_ids()}
    reasons: dict[str, str] = {}
    for noun, name, reason in _read_overrides():
        if noun not in names or names[noun] == name or noun in reasons or not reason:
            raise ValueError(f"{_OVERRIDES.name}: {noun} {name!r} changes nothing")
        names[noun] = name
        reasons[noun] = reason
    _check_unique(names, reasons)
    return names


def _read_overrides() -> list[tuple[str, str, str]]:
    with _OVERRIDES.open(encoding="utf-8", newline="") as file:
        return [
            (row["wordnet_id"], row["name"], row["reason"])
            for row in csv.DictReader(file)
        ]


def _check_unique(names: dict[str, str], reasons: dict[str, str]) -> None:
    same: defaultdict[str, list[str]] = defaultdict(list)
    for noun, name in names.items():
        same[name.casefold()].append(noun)
    for group in same.values():
        meant = {noun for noun in group if _says_same(reasons.get(noun, ""), group)}
        if len(group) - len(meant) > 1:
            raise ValueError(f"the name {names[group[0]]!r} is given to {group}")


def _says_same(reason: str, group: list[str]) -> bool:
    return any(reason.startswith(f"same as {noun}") for noun in group)
