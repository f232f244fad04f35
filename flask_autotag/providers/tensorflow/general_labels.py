"""Adds the general labels, such as *sky*, to those of a network's classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..base import LEAST_CONFIDENCE, MOST_GENERAL, Label, ranked
from .gates import SURE, Gates
from .greyscale import BLACK_AND_WHITE, is_black_and_white
from .heads import Heads
from .heads_file import HeadsSpec

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
        self, labels: Sequence[Label], embedding: Array, image: Image
    ) -> list[Label]:
        """Return the labels of classes, of broader concepts and of the heads.

        If a head and the classes give the same concept, the higher confidence counts,
        unless the classes' one is doubtful.

        :param labels: of classes and broader concepts.
        :param embedding: shape ``(1, features)``.
        :param image: of mode ``RGB``.
        :return: by confidence, highest first.
        """
        features = self._heads.features(embedding)
        general = self._heads.labels(features)
        sure = {label.id: label.confidence for label in general}
        if _is_photo(sure) and is_black_and_white(image):
            general.append(BLACK_AND_WHITE)
        if self._heads.doubts:
            labels = self._heads.doubts.mark(labels, features)
        return ranked(_merged(self._gates.apply(labels, sure), general))


def _is_photo(sure: Mapping[str, float]) -> bool:
    return all(sure.get(each, 0) < SURE for each in _NO_PHOTOS)


def _merged(labels: Sequence[Label], general: Iterable[Label]) -> list[Label]:
    best = {label.id: label for label in labels}
    likely = ranked(each for each in general if each.confidence >= LEAST_CONFIDENCE)
    for label in likely[:MOST_GENERAL]:
        other = best.get(label.id)
        if other is None or other.is_doubtful or label.confidence >= other.confidence:
            best[label.id] = label
    return list(best.values())
