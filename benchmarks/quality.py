"""Judges the tags of labelled photos: of known classes, and as CMS users upload them.

The photos of known classes are classified unchanged, and degraded: shrunk to a sixth of
their width and height (``Image.thumbnail``) and then blurred
(``ImageFilter.GaussianBlur(radius=1)``). The first table compares these and the CMS
photos for some thresholds, without and with broader tags: the share of photos with a
right tag, the share of right tags, and the tags per photo.

A class or a broader tag is right for a photo of a known class if it is this class, or
above it. A general tag, such as *person* or *text*, is right if it is above the class.
Otherwise the class does not tell: the tag is neither right nor wrong, and the precision
leaves it out. The tags per photo count it.

For CMS photos, a tag is right if it is among the photo's ``tags`` or ``implied``.
Otherwise the verdict on it counts. Without one, it is acceptable if it is among
``visible``, and else unjudged, which counts as wrong. Further tables show the figures
by kind of photo for each threshold, and 95 % intervals (Wilson) of the shares at the
default threshold. The intervals of the precision are a little too narrow, because the
tags of a photo depend on each other.

::

    pip install -e .
    python benchmarks/quality.py --photos DIR --cms DIR [--list FILE] [--reliability]

``--photos`` names a folder with a ``labels.csv`` of ``file,class_index,wordnet_id``;
``--cms`` one with a ``labels.csv`` of ``file,kind,tags,implied,visible``, the last
three separated by semicolons, and a ``judgements.csv`` of ``file,tag,verdict``
(``right``, ``acceptable``, ``wrong`` or ``laughable``). One of the two is enough.

``--list`` writes the tags of CMS photos that are neither labelled nor judged, at any of
the thresholds. Look at the photos, and append the verdicts to ``judgements.csv``. The
list has no confidences, because they would influence the judge.

``--reliability`` prints the share of right tags by their confidence, for classes,
broader tags and general tags: 90 % should be right where the confidence is 0.9.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from figures import Share
from judges import ClassJudge, EditorJudge, Judge, Judgement
from PIL import Image, ImageFilter
from tagged import BANDS, THRESHOLDS, Photos, default_threshold

from flask_autotag.classification.decode import decode
from flask_autotag.providers.tensorflow.provider import TensorFlowProvider

SHRUNK = 6


def as_it_is(path: Path, side: int) -> Image.Image:
    """Decode a photo, like a child process."""
    return decode(path.read_bytes(), side)


def degraded(path: Path, _side: int) -> Image.Image:
    """Shrink and blur a photo."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((small.width // SHRUNK, small.height // SHRUNK))
    return small.filter(ImageFilter.GaussianBlur(radius=1))


def classify(
    folder: Path,
    title: str,
    judge: Judge,
    read: Callable[[Path, int], Image.Image] = as_it_is,
) -> Photos:
    """Classify the photos of a folder that the judge knows."""
    provider = TensorFlowProvider()
    return Photos(
        title,
        judge,
        {
            file: provider.classify([read(folder / file, provider.side)])[0]
            for file in judge.kinds
        },
    )


def comparison(sets: Sequence[Photos]) -> Iterator[str]:
    """Yield the lines of a table that compares sets of photos."""
    yield "Classes only -> with broader tags"
    yield (
        f"{'threshold':9}  {'photos':23}"
        f" {'with a right tag':16} {'precision':16} tags per photo"
    )
    for threshold in THRESHOLDS:
        for photos in sets:
            files = photos.labels
            before, after = (
                photos.figures(files, threshold, broader=broader)
                for broader in (False, True)
            )
            yield (
                f"{threshold:9.1f}  {photos.title:18} {len(files):4}"
                f" {before.found!s:>5} -> {after.found!s:6}"
                f" {before.strict!s:>5} -> {after.strict!s:6}"
                f" {before.tags:5.2f} -> {after.tags:.2f}"
            )


def by_kind(photos: Photos, threshold: float) -> Iterator[str]:
    """Yield the lines of a table of the figures at one threshold, by kind."""
    yield f"{photos.title}, threshold {threshold:.1f}"
    yield (
        f"{'':17} {'photos':>6} {'no tag':>6} {'right':>6} {'tags':>5} {'strict':>6}"
        f" {'accept':>6} {'wrong':>5} {'laugh':>5} {'unjudged':>8} mistagged"
    )
    for kind, files in photos.groups().items():
        each = photos.figures(files, threshold)
        yield (
            f"{kind:17} {each.photos:6} {each.untagged!s:>6} {each.found!s:>6}"
            f" {each.tags:5.2f} {each.strict!s:>6} {each.accepted!s:>6}"
            f" {each.judged[Judgement.WRONG]:5} {each.judged[Judgement.LAUGHABLE]:5}"
            f" {each.judged[Judgement.UNJUDGED]:8} {each.mistagged.part:9}"
        )


LEGEND = (
    "no tag, right: share of photos without a tag, and with a right one",
    "strict, accept: share of tags that are right, and right or acceptable",
    "wrong, laugh, unjudged: number of tags; mistagged: photos with one of these",
)


def intervals(photos: Photos, threshold: float) -> Iterator[str]:
    """Yield the lines of a table of 95 % intervals at one threshold, by kind."""
    yield f"{photos.title}, threshold {threshold:.1f}, 95 % intervals"
    yield f"{'':17}" + "".join(
        f" {title:11}" for title in ("no tag", "right", "strict", "accept", "mistagged")
    )
    for kind, files in photos.groups().items():
        each = photos.figures(files, threshold)
        shares = (
            each.untagged,
            each.found,
            each.strict,
            each.accepted,
            each.mistagged,
        )
        yield f"{kind:17}" + "".join(f" {_interval(share):11}" for share in shares)


def _interval(share: Share) -> str:
    low, high = share.interval()
    return f"{low:.3f}-{high:.3f}"


def reliability(photos: Photos) -> Iterator[str]:
    """Yield the lines of a table of the precision by confidence and kind of label."""
    yield f"{photos.title}: tags, right, right or acceptable, by confidence"
    yield f"{'':8}" + "".join(
        f" {f'{low:.1f}-{high:.1f}':20}"
        for low, high in zip(BANDS, (*BANDS[1:], 1.0), strict=True)
    )
    for kind, bands in photos.reliability().items():
        yield f"{kind:8}" + "".join(
            f" {f'{each.strict.whole:4} {each.strict!s:>5} {each.accepted!s:>5}':20}"
            for each in bands
        )


def show(lines: Iterable[str]) -> None:
    """Print a table after an empty line."""
    print("", *(line.rstrip() for line in lines), sep="\n")


def write_list(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Write files and tags for a judge."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "tag"))
        writer.writerows(rows)


def read_options() -> argparse.Namespace:
    """Read the options, and refuse those that name no photos."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="photos of known classes")
    parser.add_argument("--cms", type=Path, help="photos of CMS users")
    parser.add_argument("--list", type=Path, help="write unjudged tags to this file")
    parser.add_argument("--reliability", action="store_true")
    given = parser.parse_args()
    if not (given.photos or given.cms):
        parser.error("name a folder with --photos, --cms or both")
    if given.list and not given.cms:
        parser.error("--list needs --cms")
    return given


def main() -> None:
    """Print the tables."""
    given = read_options()
    sets = []
    if given.photos:
        by_class = ClassJudge.read(given.photos)
        sets += [
            classify(given.photos, "as they are", by_class),
            classify(given.photos, "shrunk and blurred", by_class, degraded),
        ]
    if given.cms:
        cms = classify(given.cms, "CMS", EditorJudge.read(given.cms))
        sets.append(cms)
    show(comparison(sets))
    if given.cms:
        show(LEGEND)
        for threshold in THRESHOLDS:
            show(by_kind(cms, threshold))
        show(intervals(cms, default_threshold()))
    if given.list:
        write_list(given.list, cms.unjudged())
    if given.reliability:
        for photos in sets:
            show(reliability(photos))


if __name__ == "__main__":
    main()
