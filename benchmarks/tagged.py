"""Labelled photos with the tags that the package's rules apply to them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from figures import Figures, count
from judges import Judge, Judgement

from flask_autotag.providers.base import Label, Prediction
from flask_autotag.providers.registry import sections
from flask_autotag.providers.tensorflow.provider import (
    DEFAULT_MODEL,
    TensorFlowProvider,
)
from flask_autotag.settings.resolution import Settings, read_settings
from flask_autotag.tags.rules import Outcome, evaluate, is_broader

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.9)
#: Where each band of confidences starts; the last one ends at 1.
BANDS = (0.5, 0.6, 0.7, 0.8, 0.9)
ALL = "all"
#: Kinds that are also counted together: a wrong tag is most conspicuous there.
TOGETHER = ("document", "graphic")


@dataclass(frozen=True)
class Photos:
    """Classified photos, and their judge.

    :param title: their title in the tables.
    :param judge: knows the photos.
    :param labels: the labels of each photo, by file.
    """

    title: str
    judge: Judge
    labels: Mapping[str, Sequence[Label]]

    def groups(self) -> dict[str, list[str]]:
        """Group the files by kind, and list documents and graphics, and all."""
        kinds = self.judge.kinds
        found = {
            kind: [file for file in kinds if kinds[file] == kind]
            for kind in sorted(set(kinds.values()))
        }
        found[", ".join(TOGETHER)] = [file for file in kinds if kinds[file] in TOGETHER]
        found[ALL] = list(kinds)
        return {title: files for title, files in found.items() if files}

    def figures(
        self, files: Collection[str], threshold: float, *, broader: bool = True
    ) -> Figures:
        """Judge the tags that the rules apply at a threshold."""
        return count(
            [
                self.judge.judge(file, label)
                for label in applied(self.labels[file], threshold, broader=broader)
            ]
            for file in files
        )

    def unjudged(self) -> list[tuple[str, str]]:
        """List the file and the tag of each tag that is unjudged at any threshold."""
        return sorted(
            {
                (file, label.name)
                for file, labels in self.labels.items()
                for threshold in THRESHOLDS
                for broader in (False, True)
                for label in applied(labels, threshold, broader=broader)
                if self.judge.judge(file, label) is Judgement.UNJUDGED
            }
        )

    def reliability(self) -> dict[str, list[Figures]]:
        """Return the figures of each band of confidences, by kind of label."""
        found: dict[str, list[list[Judgement]]] = {
            kind: [[] for _ in BANDS] for kind in ("class", "broader", "general")
        }
        for file, labels in self.labels.items():
            for label in applied(labels, BANDS[0]):
                band = bisect_right(BANDS, label.confidence) - 1
                found[kind_of(label)][band].append(self.judge.judge(file, label))
        return {
            kind: [count([judged]) for judged in bands] for kind, bands in found.items()
        }


def kind_of(label: Label) -> str:
    """Return whether a label is a class, a broader concept or a general label."""
    if label.is_general:
        return label.part
    return "broader" if is_broader(label) else "class"


def applied(
    labels: Sequence[Label], threshold: float, *, broader: bool = True
) -> list[Label]:
    """Return the labels of one photo that the package's rules apply as tags."""
    prediction = Prediction(TensorFlowProvider.name, DEFAULT_MODEL, tuple(labels))
    return [
        verdict.label
        for verdict in evaluate([prediction], settings(threshold, broader))
        if verdict.outcome is Outcome.APPLIED
    ]


@cache
def settings(threshold: float, broader: bool) -> Settings:
    """Return the default settings with a threshold, and broader tags on or off."""
    return read_settings(
        sections(),
        {
            "AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD": threshold,
            "AUTOTAG_BROADER_TAGS": broader,
        },
    )


def default_threshold() -> float:
    """Return the provider's default threshold."""
    values = read_settings(sections(), {}).values[TensorFlowProvider.name]
    return float(values["confidence_threshold"])
