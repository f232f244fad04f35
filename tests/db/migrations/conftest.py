"""Databases for the tests of migrations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_autotag.db.migrations.upgrade import Upgrade

from .next_release import (
    install_next_release,
)
from .tables import (
    fill_tables,
    open_database,
)


@pytest.fixture
def tables(database_url: str) -> Iterator[Upgrade]:
    """Tables of this release with rows in all of them."""
    with open_database(database_url) as upgrade:
        upgrade.upgrade()
        fill_tables(upgrade)
        yield upgrade


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the revisions of the next release, which is installed."""
    return install_next_release(tmp_path / "next release, 100 %", monkeypatch)
