"""The Python code of the README and the documentation works as described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .documents import DOCUMENTS, TEXTS, read_document, run_document
from .stages import prepare_folder, stage_of

WITH_CODE = [name for name in DOCUMENTS if list(read_document(name))]
#: Warnings of libraries to ignore, by document.
WARNINGS = {
    "recipes/sqlalchemy_file": "ignore:Unclosed file <tempfile.Spooled:ResourceWarning",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.filterwarnings(WARNINGS[name]))
        if name in WARNINGS
        else name
        for name in WITH_CODE
    ],
)
def test_the_code_of(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare_folder(tmp_path)
    with stage_of(name)(tmp_path) as names:
        run_document(name, names)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_not_run_says_why(name: str) -> None:
    skipped = re.findall(r"^ *\.\. skip: (.*)$", TEXTS[name], re.M)
    assert [text for text in skipped if not re.fullmatch(r'next "\w.{9,}"', text)] == []
