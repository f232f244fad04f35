"""Write sheets of photos to label, and read the labels.

    python tools/label_photos.py sheets PHOTOS SHEETS
    python tools/label_photos.py read SHEETS/*.csv

``sheets`` writes for each 16 photos of a folder a sheet with numbers, ``001.png``, and
``001.csv``. Write the concepts that a photo certainly shows under ``yes`` there, and
marginal ones under ``maybe``, separated by semicolons; ``-`` under ``yes`` means none.
``read`` checks these files and merges them into ``heads/labels.csv``. Add the photos to
``heads/manifest.csv`` before.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from labelled_photos import (
    DIGITS,
    FOLDER,
    LABELS,
    MANIFEST,
    Labels,
    concept_ids,
    parse,
    read_labels,
    write_labels,
)
from PIL import Image, ImageDraw, ImageFont, ImageOps

COLUMNS = 4
PHOTOS = COLUMNS**2  # on a sheet
SIDE = 300  # pixels of a photo's place
NONE = "-"
_HEADER = ("number", "sha256", "yes", "maybe")
_NAMED = re.compile(rf"[0-9a-f]{{{DIGITS}}}")
_NUMBER = re.compile(r"(\d+) of (\d+)")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    sheets = commands.add_parser("sheets", help="write sheets and files to fill")
    sheets.add_argument("photos", type=Path, help="folder of photos")
    sheets.add_argument("sheets", type=Path, help="folder to write to")
    read = commands.add_parser("read", help="check filled files and merge them")
    read.add_argument("files", type=Path, nargs="+")
    read.add_argument("--heads", type=Path, default=FOLDER, help="(%(default)s)")
    options = parser.parse_args()
    if options.command == "sheets":
        print(f"{write_sheets(options.photos, options.sheets)} sheets")
        return 0
    problems = merge(options.files, options.heads)
    print("\n".join(problems) or "merged")
    return 1 if problems else 0


def write_sheets(photos: Path, sheets: Path) -> int:
    """Write the sheets of all photos of a folder, and return their number.

    :raises FileExistsError: if the folder has a sheet's file: it may be filled.
    """
    sheets.mkdir(parents=True, exist_ok=True)
    paths = sorted(path for path in photos.iterdir() if path.is_file())
    starts = range(0, len(paths), PHOTOS)
    for number, start in enumerate(starts, 1):
        part = paths[start : start + PHOTOS]
        with (sheets / f"{number:03}.csv").open(
            "x", encoding="utf-8", newline=""
        ) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_HEADER)
            for place, path in enumerate(part, 1):
                writer.writerow([f"{place} of {len(part)}", digits_of(path), "", ""])
        _draw(part).save(sheets / f"{number:03}.png")
    return len(starts)


def digits_of(photo: Path) -> str:
    """Return the first digits of the SHA-256 of a photo, or of a reduced one's source.

    Reduced photos are named by these.
    """
    if _NAMED.fullmatch(photo.stem):
        return photo.stem
    return hashlib.sha256(photo.read_bytes()).hexdigest()[:DIGITS]


def _draw(paths: Sequence[Path]) -> Image.Image:
    font = ImageFont.load_default(22)
    sheet = Image.new("RGB", (COLUMNS * SIDE, -(-len(paths) // COLUMNS) * SIDE), "grey")
    draw = ImageDraw.Draw(sheet)
    for place, path in enumerate(paths):
        left, top = place % COLUMNS * SIDE, place // COLUMNS * SIDE
        with Image.open(path) as image:
            photo = ImageOps.exif_transpose(image).convert("RGB")
        photo.thumbnail((SIDE - 6, SIDE - 6))
        sheet.paste(photo, (left + 3, top + 3))
        draw.rectangle((left + 3, top + 3, left + 37, top + 29), fill="black")
        draw.text((left + 7, top + 3), str(place + 1), fill="yellow", font=font)
    return sheet


def merge(files: Iterable[Path], folder: Path = FOLDER) -> list[str]:
    """Merge filled files into the labels; those of a labelled photo are replaced.

    :return: what is wrong with the files. If anything is, nothing is merged.
    """
    labels = read_labels(folder / LABELS)
    with (folder / MANIFEST).open(encoding="utf-8", newline="") as file:
        known = {row["sha256"][:DIGITS] for row in csv.DictReader(file)}
    problems = []
    for path in files:
        read, wrong = read_filled(path)
        problems += wrong
        problems += [
            f"{path.name}: {digits} is not in {MANIFEST}: add where it comes from"
            for digits in read
            if digits not in known
        ]
        labels |= read
    if not problems:
        write_labels(labels, folder / LABELS)
    return problems


def read_filled(path: Path) -> tuple[dict[str, Labels], list[str]]:
    """Read a filled file.

    :return: the labels, by photo, and what is wrong with the file.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, _HEADER))[1:]
    labels: dict[str, Labels] = {}
    problems = [f"{path.name}: {missing}" for missing in _missing(rows)]
    for row in rows:
        try:
            labels[row["sha256"]] = _labels(row["yes"] or "", row["maybe"] or "")
        except ValueError as error:
            problems.append(f"{path.name}: {row['number']}: {error}")
    return labels, problems


def _missing(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    numbers = [_NUMBER.fullmatch(row["number"]) for row in rows]
    found = {int(number[1]) for number in numbers if number}
    count = max((int(number[2]) for number in numbers if number), default=0)
    if not count:
        yield "there are no lines; write the sheets again"
    for number in sorted(set(range(1, count + 1)) - found):
        yield f"the line {number} of {count} is missing"


def _labels(yes: str, maybe: str) -> Labels:
    if not yes.strip():
        raise ValueError(f"yes is empty; write {NONE} if the photo shows no concept")
    return parse("" if yes.strip() == NONE else yes, maybe, concept_ids())


if __name__ == "__main__":
    sys.exit(main())
