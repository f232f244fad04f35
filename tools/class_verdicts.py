"""Reads ``heads/verdicts.csv``, and trains the classifier of doubtful class labels.

The file lists labels of classes and broader concepts that the network gave to the
labelled photos with a confidence of 0.45 or more, and a person's verdict on each:
``r`` (right), ``a`` (acceptable: true, but marginal), ``w`` (wrong) or ``l``
(laughable).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from labelled_photos import FOLDER
from operating_points import Array
from scipy.optimize import minimize
from scipy.special import expit, logit

from flask_autotag.providers.tensorflow.class_doubts import LEAST_PROBABILITY

VERDICTS = "verdicts.csv"
_RIGHT = {"r": 1.0, "a": 0.5, "w": 0.0, "l": 0.0}
#: The scale of the features beside the logit, and the strength of the L2 penalty:
#: chosen by the logarithmic loss over photos that were set out.
_SCALE, _PENALTY = 6.0, 30.0
_MARGIN = 0.0005
#: The lower limits of the bands of probabilities in reports.
_BANDS = (0.0, 0.1, LEAST_PROBABILITY, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Verdicts:
    """Judged labels.

    :param photos: the first digits of the SHA-256 of each label's photo.
    :param confidences: of the network, shape ``(n,)``.
    :param right: 1 if the label is right, 0.5 if it is acceptable, shape ``(n,)``.
    """

    photos: Sequence[str]
    confidences: Array
    right: Array


@dataclass(frozen=True)
class Classifier:
    """A classifier of doubtful labels, as in :mod:`.class_doubts`.

    :param weights: shape ``(features,)``.
    """

    slope: float
    weights: Array
    bias: float

    def probabilities(self, confidences: Array, features: Array) -> Array:
        """Return the probability that each label is right.

        :param confidences: shape ``(n,)``.
        :param features: of each label's photo, shape ``(n, width)``.
        """
        scores = self.slope * _logits(confidences) + features @ self.weights + self.bias
        probabilities: Array = expit(scores)
        return probabilities

    def arrays(self) -> dict[str, Any]:
        """Return the arrays for the file of the heads' weights."""
        scale = np.float32(np.abs(self.weights).max() / 127)
        return {
            "class_slope": np.float32(self.slope),
            "class_weights": np.rint(self.weights / scale).astype(np.int8),
            "class_scale": scale,
            "class_bias": np.float32(self.bias),
        }


def read_verdicts(path: Path = FOLDER / VERDICTS) -> Verdicts:
    """Read all verdicts.

    :raises ValueError: if a verdict is none of the four letters; the message names the
        line.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for line, row in enumerate(rows, 2):
        if row["verdict"] not in _RIGHT:
            raise ValueError(
                f"{path.name}, line {line}: {row['verdict']!r} is none of r, a, w, l"
            )
    return Verdicts(
        [row["sha256"] for row in rows],
        np.array([float(row["confidence"]) for row in rows]),
        np.array([_RIGHT[row["verdict"]] for row in rows]),
    )


def fit_classifier(confidences: Array, features: Array, right: Array) -> Classifier:
    """Fit a logistic regression of the verdicts.

    :param confidences: of the labels, shape ``(n,)``.
    :param features: of the labels' photos, shape ``(n, width)``.
    :param right: as in :class:`Verdicts`.
    """
    mean = features.mean(axis=0)
    inputs = np.column_stack(
        [_logits(confidences), _SCALE * (features - mean), np.ones(len(right))]
    )
    penalty = np.full(inputs.shape[1], _PENALTY)
    penalty[[0, -1]] = 0

    def loss(weights: Array) -> tuple[float, Array]:
        scores = inputs @ weights
        losses = np.logaddexp(0, scores) - right * scores
        gradient = inputs.T @ (expit(scores) - right) + penalty * weights
        return float(losses.sum() + (penalty * weights**2).sum() / 2), gradient

    found = minimize(loss, np.zeros(len(penalty)), jac=True, method="L-BFGS-B").x
    weights = _SCALE * found[1:-1]
    return Classifier(float(found[0]), weights, float(found[-1] - weights @ mean))


def set_out_probabilities(
    verdicts: Verdicts, features: Array, folds: Iterator[Any]
) -> Array:
    """Estimate each label with a classifier that was not trained on its photo's group.

    :param features: of each label's photo, shape ``(n, width)``.
    :param folds: for each fold, whether each label is in it.
    """
    estimated = np.zeros(len(verdicts.right))
    for out in folds:
        classifier = fit_classifier(
            verdicts.confidences[~out], features[~out], verdicts.right[~out]
        )
        estimated[out] = classifier.probabilities(
            verdicts.confidences[out], features[out]
        )
    return estimated


def report(verdicts: Verdicts, probabilities: Array) -> Mapping[str, Sequence[str]]:
    """Return the number of labels and the share of right ones by probability.

    :return: by the lower limit of the probability: labels, mean probability, share of
        right labels with acceptable ones half.
    """
    place = np.searchsorted(_BANDS, probabilities, side="right") - 1
    rows = {}
    for number, lowest in enumerate(_BANDS):
        inside = place == number
        if inside.any():
            rows[f"{lowest:.2f}"] = (
                str(int(inside.sum())),
                f"{probabilities[inside].mean():.2f}",
                f"{verdicts.right[inside].mean():.2f}",
            )
    return rows


def _logits(confidences: Array) -> Array:
    values: Array = logit(np.clip(confidences, _MARGIN, 1 - _MARGIN))
    return values
