"""Writes the model card of the heads, as reStructuredText."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from operating_points import Band, bands

if TYPE_CHECKING:
    from labelled_photos import LabelledPhoto
    from train_heads import Head

#: Licences of a smaller share of the photos are counted together.
_LEAST_SHARE = 0.01
_MOST_MISTAKES = 20
_MISTAKE = 0.9  # the lowest confidence of the mistakes that are listed


def model_card(
    photos: Sequence[LabelledPhoto],
    heads: Sequence[Head],
    without: Mapping[str, str],
    doubts: Mapping[str, Sequence[str]],
) -> str:
    """Return the heads' model card.

    :param without: why other concepts have no head, by name.
    :param doubts: labels of classes by their probability.
    """
    return "\n".join(
        [
            f"{len(photos):,} photos from {len({each.set for each in photos})} sets,"
            f" which are in {len({each.group for each in photos})} groups that share no"
            " photos. All measurements are of photos from groups that the measured head"
            " was not trained on.",
            "",
            *_table(_HEADER, map(_row, heads)),
            "",
            "Photos: that show the concept; groups: that these are from; tags: given to"
            " photos at a confidence of 0.5; right: the share that certainly shows the"
            " concept; lower bound: of right or marginal, one-sided, 95 %.",
            "",
            "Without a head: "
            + "; ".join(f"{name} ({why})" for name, why in without.items())
            + ".",
            "",
            "Confidence",
            "",
            *_confidence(heads),
            "",
            "Labels of classes that the network gave to the photos with a confidence of"
            " 0.45 or more, by the estimated probability that they are right",
            "",
            *_table(_DOUBTS, ((lowest, *row) for lowest, row in doubts.items())),
            "",
            "Licences as stated by the sources",
            "",
            *_table(("Licence", "Photos", "Share"), _licences(photos)),
            "",
            f"The most frequent mistakes with a confidence of at least {_MISTAKE}",
            "",
            *_table(("Set", "Wrong tags"), _mistakes(photos, heads)),
        ]
    )


_HEADER = (
    *("Concept", "Photos", "Groups", "Tags", "Right", "Right or marginal"),
    *("Lower bound", "Recall"),
)


_DOUBTS = ("From", "Labels", "Mean probability", "Right, acceptable ones half")


def _row(head: Head) -> tuple[str, ...]:
    point = head.point
    shares = (point.right, point.acceptable, point.lower_bound, point.recall)
    return (
        head.concept,
        *map(str, (head.positives, head.groups, point.given)),
        *(f"{share:.2f}" for share in shares),
    )


def _confidence(heads: Sequence[Head]) -> Iterator[str]:
    everything = bands(
        np.concatenate([head.confidences for head in heads]),
        np.concatenate([head.targets for head in heads]),
    )
    yield from _table(
        ("From", "Tags", "Mean confidence", "Right, marginal ones half"),
        (
            (
                f"{band.lowest:.1f}",
                str(band.given),
                f"{band.confidence:.2f}",
                f"{band.half:.2f}",
            )
            for band in everything
        ),
    )
    below = [
        f"{head.concept} from {band.lowest:.1f} ({band.half:.2f} of {band.given})"
        for head in heads
        for band in too_confident(head)
    ]
    yield ""
    yield f"Bands with fewer right tags than that: {'; '.join(below) or 'none'}."


def too_confident(head: Head) -> list[Band]:
    """Return the bands of a head whose share of right tags is below the band."""
    return [
        band
        for band in bands(head.confidences, head.targets)
        if band.given and band.half < band.lowest
    ]


def _licences(photos: Sequence[LabelledPhoto]) -> Iterator[tuple[str, ...]]:
    counts = Counter(photo.licence for photo in photos)
    rare = {
        name for name, count in counts.items() if count < _LEAST_SHARE * len(photos)
    }
    others = sum(counts.pop(name) for name in rare)
    rows = [*counts.most_common(), (f"{len(rare)} others", others)]
    for name, count in rows:
        yield name, str(count), f"{count / len(photos):.1%}"


def _mistakes(
    photos: Sequence[LabelledPhoto], heads: Sequence[Head]
) -> Iterator[tuple[str, ...]]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for head in heads:
        wrong = (head.confidences >= _MISTAKE) & (head.targets == 0)
        for place in np.flatnonzero(wrong).tolist():
            found[photos[place].set][head.concept] += 1
    most = sorted(found.items(), key=lambda each: (-each[1].total(), each[0]))
    for name, concepts in most[:_MOST_MISTAKES]:
        yield name, ", ".join(f"{each} {n}" for each, n in concepts.most_common())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write a simple table of reStructuredText."""
    cells = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    yield from (rule, lines[0].rstrip(), rule)
    yield from (line.rstrip() for line in lines[1:])
    yield rule
