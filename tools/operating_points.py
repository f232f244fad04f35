"""Chooses the score from which a head's tag is given, and turns scores into confidence.

All functions take scores of photos that the head was not trained on, and targets: 1 if
the photo shows the concept, 0.5 if it may, 0 if it does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

Array = np.ndarray[Any, np.dtype[np.float64]]

#: The lowest share of right tags; one that may be right counts half.
PRECISION = 0.85
#: The lowest value of the lower bound of the share of tags that are or may be right.
LOWER_BOUND = 0.85
#: The lower limits of the bands of confidence in reports.
BANDS = (0.5, 0.6, 0.7, 0.8, 0.9)
_ONE_SIDED_95 = 1.6448536269514722  # standard deviations


@dataclass(frozen=True)
class OperatingPoint:
    """The score from which a tag is given, and what it leads to.

    :param given: photos with the tag.
    :param right: the share of these that show the concept.
    :param half: the same, with half of those that may show it.
    :param acceptable: the same, with all that may show it.
    :param lower_bound: the one-sided 95 % lower bound of *acceptable*.
    :param recall: the share of the photos that show the concept which have the tag.
    """

    score: float
    given: int
    right: float
    half: float
    acceptable: float
    lower_bound: float
    recall: float


def wilson_lower_bound(share: float, count: int) -> float:
    """Return Wilson's one-sided 95 % lower bound of a share (Wilson 1927).

    :param share: the share that was found.
    :param count: the number of cases.
    """
    if not count:
        return 0.0
    square = _ONE_SIDED_95**2 / count
    spread = math.sqrt(share * (1 - share) * square + square**2 / 4)
    return max(0.0, (share + square / 2 - spread) / (1 + square))


def at_score(scores: Array, targets: Array, score: float) -> OperatingPoint:
    """Measure the tags of all photos with at least a score; at least one has it."""
    given = targets[scores >= score]
    acceptable = float((given > 0).mean())
    return OperatingPoint(
        score=float(score),
        given=len(given),
        right=float((given == 1).mean()),
        half=float(given.mean()),
        acceptable=acceptable,
        lower_bound=wilson_lower_bound(acceptable, len(given)),
        recall=float((given == 1).sum() / max(1, (targets == 1).sum())),
    )


@dataclass(frozen=True)
class Platt:
    """Platt's (1999) scaling: the probability is ``sigmoid(slope * (score - middle))``.

    :param middle: the score whose probability is 0.5.
    """

    slope: float
    middle: float


def platt(scores: Array, targets: Array) -> Platt:
    """Fit the probability of the targets to the scores.

    :return: with an infinite middle if the targets do not rise with the scores.
    """
    mean, deviation = scores.mean(), scores.std() or 1.0
    standard = (scores - mean) / deviation

    def loss(line: Array) -> tuple[float, Array]:
        logits = line[0] * standard + line[1]
        gradients = expit(logits) - targets
        return (
            float((np.logaddexp(0, logits) - targets * logits).mean()),
            np.array([(gradients * standard).mean(), gradients.mean()]),
        )

    steepness, height = minimize(loss, np.array([1.0, -1.0]), jac=True).x
    if steepness <= 0:
        return Platt(slope=0.0, middle=math.inf)
    return Platt(
        float(steepness / deviation), float(mean - height / steepness * deviation)
    )


def operating_point(
    scores: Array, targets: Array, least: float = -math.inf
) -> OperatingPoint | None:
    """Find the lowest score whose tags are right often enough, or ``None``.

    :param least: no lower score is considered. At the middle of Platt's scaling, the
        tags with the lowest scores are right as often as not.
    """
    for score in np.unique(scores[scores >= least]):
        point = at_score(scores, targets, score)
        if point.half >= PRECISION and point.lower_bound >= LOWER_BOUND:
            return point
    return None


@dataclass(frozen=True)
class Band:
    """The tags with a confidence in a band.

    :param lowest: the band's lower limit.
    :param given: the number of tags.
    :param half: the share of right ones; those that may be right count half.
    :param confidence: the mean confidence.
    """

    lowest: float
    given: int
    half: float
    confidence: float


def bands(confidences: Array, targets: Array) -> list[Band]:
    """Compare confidences with the share of right tags, for each of :data:`BANDS`."""
    found = []
    for lowest, end in zip(BANDS, (*BANDS[1:], math.inf), strict=True):
        inside = (confidences >= lowest) & (confidences < end)
        given = int(inside.sum())
        half = float(targets[inside].mean()) if given else math.nan
        mean = float(confidences[inside].mean()) if given else math.nan
        found.append(Band(lowest, given, half, mean))
    return found


def confidence(scores: Array, slope: float, point: OperatingPoint) -> Array:
    """Turn scores into confidences: 0.5 at the operating point.

    The operating point is not below the middle of Platt's scaling, so that a confidence
    is no higher than the probability.
    """
    result: Array = expit(slope * (scores - point.score))
    return result
