"""Reads the files in a model's folder, and refuses files outside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from ...host.regular_files import open_regular, refuse_other_kinds

#: Bytes of a file of labels. The bundled one has 21,000.
_MAX_LABELS = 2**24


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file in *folder*, and refuse files outside it.

    :return: the path of a regular file, or of a folder that holds only folders and
        regular files. It may be missing.
    :raises ValueError: if the name or a symbolic link leads out of *folder*.
    :raises OSError: if the file is not regular, or cannot be examined.
    """
    if Path(name).name != name or name in ("", ".."):
        raise ValueError(f"{name!r:.80} is not a file in the model's folder")
    root = folder.resolve()
    path = folder / name
    for each in (path, *(path.rglob("*") if path.is_dir() else ())):
        target = _resolve(each)
        if not target.is_relative_to(root):
            shown = f"{each.relative_to(folder).as_posix()!r:.80}"
            raise ValueError(
                f"{shown} is not a file in the model's folder: a symbolic link leads"
                " out of it"
            )
        if target.exists() and not target.is_dir():
            refuse_other_kinds(each, target.stat())
    return path


def _resolve(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError as error:
        # Python before 3.13 raises RuntimeError for a loop of symbolic links.
        raise OSError(f"{path.name} is a loop of symbolic links") from error


class Unreadable(Exception):
    """A file of a model is too large, not UTF-8, or not TOML."""


def read_text(path: Path, most: int) -> str:
    """Read a text file of a model, with or without a byte order mark.

    :raises Unreadable: if it has more bytes than *most*, or is not UTF-8.
    """
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreadable(f"{path.name} has more than {most:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"{path.name} is not UTF-8: its byte {error.start + 1:,} is wrong"
        ) from error


def read_labels(path: Path) -> tuple[tuple[str, str], ...]:
    """Read a file of labels: CSV with an id and a name, or one name a line.

    :return: ``(id, name)`` of each output, in order.
    :raises csv.Error: if a label has no id or no name, or there are none.
    :raises Unreadable: as :func:`read_text`.
    """
    lines = io.StringIO(read_text(path, _MAX_LABELS), newline="")
    if path.suffix.lower() == ".csv":
        labels = tuple(_read_label(row, path) for row in csv.DictReader(lines))
    else:
        labels = tuple(_read_lines(lines, path))
    if not labels:
        raise csv.Error(f"{path.name} holds no labels")
    return labels


def _read_label(row: dict[str, str], path: Path) -> tuple[str, str]:
    label_id, name = row.get("wordnet_id") or row.get("id"), row.get("name")
    if not label_id or not name:
        raise csv.Error(f"a row of {path.name} has no wordnet_id or no name")
    return label_id, name


def _read_lines(lines: Iterator[str], path: Path) -> Iterator[tuple[str, str]]:
    """Read one name a line, which is also the id."""
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if not name:
            raise csv.Error(f"line {number} of {path.name} is empty")
        yield name, name
