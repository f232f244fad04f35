from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .hosts import Host, make_host
from .services import DATABASES, temporary_database


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind that the extension works on."""
    with temporary_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def any_host(database_url: str) -> Iterator[Host]:
    """A host on each kind of database; nobody works off its queue."""
    with make_host(database_url) as host:
        yield host


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'host.sqlite'}"


@pytest.fixture
def host(sqlite_url: str) -> Iterator[Host]:
    """A host on a SQLite file; nobody works off its queue."""
    with make_host(sqlite_url) as made:
        yield made


@pytest.fixture
def inline_host(sqlite_url: str) -> Iterator[Host]:
    """A host whose uploads are tagged before the upload's call returns."""
    with make_host(sqlite_url, AUTOTAG_RUNNER="inline") as made:
        yield made
