"""The recipe for a CMS that cannot install the extension, as separate programs."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ..hosts import ESPRESSO, ESPRESSO_TAGS
from .documents import EXAMPLES, TEXTS, console_lines

RECIPE = TEXTS["recipes/sidecar"]


@pytest.mark.skipif(sys.platform == "win32", reason="runs a shell")
def test_the_sidecar(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "sidecar.py", tmp_path)
    (tmp_path / "uploads").mkdir()
    shutil.copy(ESPRESSO, tmp_path / "uploads" / "photo.jpg")
    with closing(sqlite3.connect(tmp_path / "cms.sqlite")) as cms:
        cms.execute("CREATE TABLE photo (id INTEGER PRIMARY KEY, title, path)")
        cms.execute("INSERT INTO photo VALUES (1, 'Cup', 'photo.jpg')")
        cms.commit()
        run_commands(tmp_path)
        assert [name for (name,) in cms.execute(statement())] == ESPRESSO_TAGS
        cms.execute("DELETE FROM photo")
        cms.commit()
        told = run_commands(tmp_path)
        assert "1 image and 1 job forgotten." in told
        assert cms.execute(statement()).fetchall() == []


def run_commands(folder: Path) -> str:
    """Run the commands of the recipe in a folder, and return their output."""
    lines = "\n".join(console_lines("recipes/sidecar"))
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-ec", lines.replace("/srv/cms", str(folder))],
        cwd=folder,
        env=os.environ | {"PATH": programs},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def statement() -> str:
    """Return the statement of the recipe."""
    found = re.search(r"code-block:: sql\n\n((?: {8}.*\n)+)", RECIPE)
    assert found is not None
    return found[1]
