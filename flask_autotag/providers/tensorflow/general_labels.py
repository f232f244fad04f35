"""Adds the general labels, such as *sky*, to those of a network's classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..base import LEAST_CONFIDENCE, MOST_GENERAL, Label, ranked
from .gates import SURE, Gates
from .greyscale import BLACK_AND_WHITE, is_black_and_white
from .heads import Heads
from .heads_file import HeadsSpec
from .merging import merged

if TYPE_CHECKING:
    from PIL.Image import Image

    from .shapes import Array

#: Labels of images that are no photos: they may lack colour without being called black
#: and white. They are screenshot, text, map, painting and logo.
_NO_PHOTOS = ("screenshot", "n06387980", "n03720163", "n03876519", "n07272084")


class GeneralLabels:
    """The general labels of one model.

    :param spec: the heads.
    :param ids: the ids of the network's classes.
    :raises ModelError: as :class:`.Heads` does.
    """

    def __init__(self, spec: HeadsSpec, ids: Sequence[str]) -> None:
        self._heads = Heads(spec)
        self._gates = Gates(spec.gates, ids)

    def combine(
        self,
        labels: Sequence[Label],
        embedding: Array,
        image: Image,
        detected: Sequence[Label] = (),
    ) -> list[Label]:
        """Return the labels of classes, of broader concepts, heads and the detector.

        If several give the same concept, :func:`.merged` chooses. What the detector
        sees opens the gates as what the heads see.

        :param labels: of classes and broader concepts.
        :param detected: of the detector.
        :param embedding: shape ``(1, features)``.
        :param image: of mode ``RGB``.
        :return: by confidence, highest first.
        """
        features = self._heads.features(embedding)
        general = self._heads.labels(features)
        sure = _sure([*general, *detected])
        if _is_photo(sure) and is_black_and_white(image):
            general.append(BLACK_AND_WHITE)
        if self._heads.doubts:
            labels = self._heads.doubts.mark(labels, features)
        others = [*_likely(general), *detected]
        return ranked(merged(self._gates.apply(labels, sure), others))


def _is_photo(sure: Mapping[str, float]) -> bool:
    return all(sure.get(each, 0) < SURE for each in _NO_PHOTOS)


def _likely(general: Iterable[Label]) -> list[Label]:
    likely = (each for each in general if each.confidence >= LEAST_CONFIDENCE)
    return ranked(likely)[:MOST_GENERAL]


def _sure(labels: Iterable[Label]) -> dict[str, float]:
    """Return the highest confidence of each concept, by its id."""
    sure: dict[str, float] = {}
    for label in labels:
        sure[label.id] = max(label.confidence, sure.get(label.id, 0.0))
    return sure
