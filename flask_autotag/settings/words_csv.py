"""Rules for words as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from typing import IO, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..db.models import Models
from ..errors import VocabularyError
from . import checks
from .checks import CheckError
from .csv_files import unescape_formulas, write_rows
from .tag_names import TagName, tag_name

#: The columns of the file.
COLUMNS = ("word", "becomes", "blocked", "listed", "threshold")


def write_csv(file: IO[str], session: Session, models: Models, instance: str) -> None:
    """Write the rules of an instance, or of :data:`.SYSTEM`, one word a line."""
    table = models.word.__table__
    rows = session.execute(
        select(table).where(table.c.instance == instance).order_by(table.c.key)
    )
    cells = (
        (row.name, row.becomes, row.blocked, row.listed, row.threshold) for row in rows
    )
    write_rows(file, (COLUMNS, *(map(_format, row) for row in cells)))


def read_csv(lines: Iterable[str]) -> dict[TagName, dict[str, Any]]:
    """Read a file as :func:`write_csv` writes it.

    Every column but ``word`` may be missing.

    :return: the changes for :func:`change_words`. An empty cell sets the field to
        ``None``; a missing column leaves it as it is.
    :raises VocabularyError: if the file is not CSV or has a wrong line; the message
        has the line's number.
    """
    reader = csv.DictReader(lines, strict=True)
    found: dict[TagName, dict[str, Any]] = {}
    keys: set[str] = set()
    try:
        _check_columns(reader.fieldnames or ())
        for row in reader:
            name: TagName | None = _cell(row, "word", tag_name)
            if name is None:
                raise CheckError("has no word")
            if name.key in keys:
                raise CheckError("repeats the word %(word)s", word=name.name)
            keys.add(name.key)
            found[name] = _read_fields(row)
    except csv.Error as error:
        raise VocabularyError(f"The file is not CSV: {error}.") from None
    except CheckError as error:
        raise VocabularyError(f"Line {reader.line_num} {error}.") from None
    return found


def _format(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return "" if cell is None else str(cell)


def _check_columns(names: Iterable[str]) -> None:
    for name in names:
        if ";" in name:
            raise CheckError("has semicolons between cells: save the file with commas")
        if name not in COLUMNS:
            raise CheckError(
                "has the unknown column %(name)s; the columns are: %(columns)s",
                name=checks.shown(name),
                columns=", ".join(COLUMNS),
            )
    if "word" not in names:
        raise CheckError("has no column 'word': the first line names the columns")


def _read_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    if None in row or None in row.values():
        raise CheckError("has more or fewer cells than the first line")
    return {
        column: _cell(row, column, check)
        for column, check in _CHECKS.items()
        if column in row
    }


def _cell(row: Mapping[str, str], column: str, check: checks.Check) -> Any:
    text = unescape_formulas(row[column].strip())
    if not text:
        return None
    try:
        return check(text)
    except ValueError as error:
        raise CheckError(f"has an invalid value for {column!r}: {error}") from None


def _yes_or_no(text: str) -> bool:
    try:
        return checks.boolean(text)
    except CheckError:
        raise CheckError(
            "must be yes, no or empty, not %(value)s", value=checks.shown(text)
        ) from None


_CHECKS: Mapping[str, checks.Check] = {
    "becomes": lambda text: tag_name(text).name,
    "blocked": _yes_or_no,
    "listed": _yes_or_no,
    "threshold": checks.fraction,
}
