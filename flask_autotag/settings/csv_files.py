"""CSV files whose cells no spreadsheet evaluates, and that can be read back unchanged.

Every cell is quoted. A spreadsheet may still split lines at another character than the
comma, such as the semicolon, so that a formula begins inside a cell. An apostrophe
therefore precedes each character that begins a formula, wherever a cell might begin: at
its start, and after each character that may separate or quote cells.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import IO

#: Where a cell might begin, and spaces that a spreadsheet may drop.
_BEGIN = r"(^|[;,|\t\r\n\"])([^\S\t\r\n]*)"
#: The characters that begin a formula: those in OWASP's "CSV Injection", their
#: full-width and small forms, and the minus sign.
_FORMULA = "(?=[-=+@\t\r\n\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212])"
# Writing keeps the apostrophes of a cell and adds one; reading removes one.
_UNGUARDED = re.compile(f"{_BEGIN}('*){_FORMULA}")
_GUARDED = re.compile(f"{_BEGIN}'('*){_FORMULA}")


def write_rows(file: IO[str], rows: Iterable[Iterable[str]]) -> None:
    """Write rows of texts. Read them with :mod:`csv` and :func:`unescape_formulas`.

    :param file: a text file opened with ``newline=""``, or one that does not translate
        line ends.
    """
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows(map(escape_formulas, row) for row in rows)


def escape_formulas(cell: str) -> str:
    """Return a cell in which nothing begins a formula."""
    return _UNGUARDED.sub(r"\1\2'\3", cell)


def unescape_formulas(cell: str) -> str:
    """Return the cell that :func:`escape_formulas` was called with."""
    return _GUARDED.sub(r"\1\2\3", cell)
