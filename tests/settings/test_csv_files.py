"""CSV files without formulas for any spreadsheet, which can be read back unchanged."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flask_autotag.settings.csv_files import unescape_formulas, write_rows

TRIGGERS = "=+-@\t\r\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
#: Characters at which spreadsheets split a line.
SEPARATORS = ";,\t|"
#: Cells of characters that begin formulas, separate cells or quote them.
CELLS = st.text(st.sampled_from(f"{TRIGGERS}{SEPARATORS}'\"\n \xa0ax1")) | st.text()


def written(*rows: list[str]) -> str:
    file = io.StringIO(newline="")
    write_rows(file, rows)
    return file.getvalue()


def begins(text: str) -> list[str]:
    """Split a file at every character at which a spreadsheet might split it."""
    for separator in f'{SEPARATORS}\r"':
        text = text.replace(separator, "\n")
    return [part.strip(" \xa0") for part in text.split("\n")]


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("=1+1", '"\'=1+1"\n'),
        ("x;=cmd|' /C calc'!A0", "\"x;'=cmd|' /C calc'!A0\"\n"),
        ("x; @SUM(A1)", '"x; \'@SUM(A1)"\n'),
        ('x"=1', '"x""\'=1"\n'),
        ("\uff1d1", '"\'\uff1d1"\n'),
        ("'=1", "\"''=1\"\n"),
        ("black-and-white, 1+1 = 2", '"black-and-white, 1+1 = 2"\n'),
        ("'quoted'", "\"'quoted'\"\n"),
        ("", '""\n'),
    ],
)
def test_a_cell(cell: str, line: str) -> None:
    assert written([cell]) == line
    [[read]] = csv.reader([line])
    assert unescape_formulas(read) == cell


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=4))
@example([["x;=cmd|'!A0", "=1", "'=1", "''+", "\t=1", ";'\t'="]])
def test_what_is_written_is_read_again(rows: list[list[str]]) -> None:
    lines = io.StringIO(written(*rows), newline="")
    read = [list(map(unescape_formulas, row)) for row in csv.reader(lines, strict=True)]
    assert read == rows


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=4))
@example([["a", "x;=cmd|'!A0"]])
def test_nothing_begins_a_formula_wherever_a_line_is_divided(
    rows: list[list[str]],
) -> None:
    text = written(*rows)
    assert not [part for part in begins(text) if part.startswith(tuple(TRIGGERS))]


@given(CELLS.filter(lambda cell: "'" not in cell))
def test_a_file_that_nobody_guarded_is_read_as_it_is(cell: str) -> None:
    assert unescape_formulas(cell) == cell
