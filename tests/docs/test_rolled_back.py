"""The recipe for tests in a transaction that is rolled back, as a separate program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from sqlalchemy import create_engine, inspect, text

from .documents import EXAMPLES


def test_the_recipe(database_url: str, tmp_path: Path) -> None:
    """It leaves nothing in the database; the same tests pass a second time."""
    shutil.copy(EXAMPLES / "test_photos.py", tmp_path)
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
            cwd=tmp_path,
            env={
                **os.environ,
                "CMS_DATABASE": database_url,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "3 passed" in done.stdout
        assert rows(database_url) == {0}


def rows(url: str) -> set[int]:
    """Return how many rows the tables have, except for that of the revision."""
    engine = create_engine(url)
    with engine.connect() as connection:
        tables = set(inspect(connection).get_table_names()) - {"autotag_revision"}
        counts = {
            connection.scalar(text(f"SELECT count(*) FROM {table}"))
            for table in tables - {"sqlite_sequence"}
        }
    engine.dispose()
    return counts
