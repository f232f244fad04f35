"""The part of ``model.toml`` that describes heads: ``[heads]``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import description_values as checked
from .gates import Gate
from .model_folder import inside, read_labels, read_text

_SETTINGS = {"embedding", "labels", "weights", "sha256", "gates"}
#: The text in a file of gates that stands for all labels.
_ALL = "*"
#: Bytes of a file of gates. The bundled one has 600.
_MAX_GATES = 2**16


@dataclass(frozen=True)
class HeadsSpec:
    """Linear classifiers, called heads, that read a network's embedding.

    :param embedding: the name of the network's output that holds the embedding.
    :param labels: ``(id, name)`` of each head, in order.
    :param weights: the NumPy archive that :mod:`.heads` reads.
    :param sha256: the checksum of *weights*.
    :param gates: the labels of classes that a head makes unlikely.
    """

    embedding: str
    labels: tuple[tuple[str, str], ...]
    weights: Path
    sha256: str
    gates: tuple[Gate, ...]


def read_heads(folder: Path, values: Mapping[str, Any]) -> HeadsSpec | None:
    """Read the heads of the model in *folder*.

    :param values: the parsed ``model.toml``.
    :return: ``None`` if the model has no heads.
    :raises ValueError: if a value is wrong; the message names its key.
    :raises KeyError: if a key is missing.
    """
    if "heads" not in values:
        return None
    table = checked.table("heads", values["heads"])
    checked.refuse_unknown("heads", table, _SETTINGS)
    labels, weights, *gates = heads_files(folder, values)
    return HeadsSpec(
        embedding=checked.text(
            "heads.embedding", table["embedding"], checked.MAX_TITLE
        ),
        labels=read_labels(labels),
        weights=weights,
        sha256=checked.sha256(table["sha256"], "heads.sha256"),
        gates=tuple(gate for path in gates for gate in _read_gates(path)),
    )


def heads_files(folder: Path, values: Mapping[str, Any]) -> list[Path]:
    """Return the paths of the labels, the weights and, if there are any, the gates.

    :raises ValueError: as :func:`read_heads`, or if a file is outside the folder.
    """
    if "heads" not in values:
        return []
    table = checked.table("heads", values["heads"])
    return [
        inside(folder, checked.text(f"heads.{key}", table[key], checked.MAX_TITLE))
        for key in ("labels", "weights", *(["gates"] if "gates" in table else []))
    ]


def _read_gates(path: Path) -> Iterator[Gate]:
    rows = csv.DictReader(io.StringIO(read_text(path, _MAX_GATES), newline=""))
    for row in rows:
        head, labels, exempt = (row.get(key) for key in ("head", "labels", "except"))
        if not head or not labels or exempt is None:
            raise csv.Error(f"a row of {path.name} has no head, no labels or no except")
        yield Gate(
            head,
            None if labels == _ALL else frozenset(labels.split()),
            frozenset(exempt.split()),
        )
