"""The part of ``model.toml`` that makes a model a detector: ``[detector]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import description_values as checked
from .tensors_file import NONE, SIGMOID, SOFTMAX

_SETTINGS = {"allowed"}


@dataclass(frozen=True)
class DetectorSpec:
    """The labels that a detector gives beside another model.

    :param allowed: the confidence from which a label is given, by its place among the
        model's labels. The other labels are never given.
    """

    allowed: Mapping[int, float]


def is_detector(values: Mapping[str, Any]) -> bool:
    """Return whether a parsed ``model.toml`` describes a detector."""
    return "detector" in values


def read_detector(
    values: Mapping[str, Any], labels: Sequence[tuple[str, str]], activation: str
) -> DetectorSpec | None:
    """Read which labels a detector gives.

    :param values: the parsed ``model.toml``.
    :param labels: ``(id, name)`` of each output, in order.
    :param activation: of the output, one of :data:`.ACTIVATIONS`.
    :return: ``None`` if the model is no detector.
    :raises ValueError: if a value is wrong; the message names its key.
    :raises KeyError: if a key is missing.
    """
    if not is_detector(values):
        return None
    table = checked.table("detector", values["detector"])
    checked.refuse_unknown("detector", table, _SETTINGS)
    if activation == SOFTMAX:
        raise ValueError(
            f"output.activation must be {SIGMOID} or {NONE} for a detector, whose"
            f" labels do not exclude each other, not {SOFTMAX!r}"
        )
    if "heads" in values:
        raise ValueError("a detector has no heads: remove [heads] or [detector]")
    return DetectorSpec(_read_allowed(table["allowed"], labels))


def _read_allowed(value: Any, labels: Sequence[tuple[str, str]]) -> Mapping[int, float]:
    allowed: dict[int, float] = {}
    for name, confidence in checked.table("detector.allowed", value).items():
        places = _places(name, labels)
        if allowed.keys() & places:
            raise ValueError(f"detector.allowed names {name!r:.80} by its id, too")
        least = checked.confidence(f"detector.allowed.{name:.80}", confidence)
        allowed.update(dict.fromkeys(places, least))
    if not allowed:
        raise ValueError("detector.allowed must name one label at least")
    return allowed


def _places(name: str, labels: Sequence[tuple[str, str]]) -> list[int]:
    """Return the places of the labels with a name or id."""
    places = [place for place, label in enumerate(labels) if name in label]
    if not places:
        raise ValueError(f"detector.allowed names {name!r:.80}, which is no label")
    return places
