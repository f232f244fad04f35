from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from .clouds import GOOGLE_ON, answer_each
from .hosts import Host, make_host
from .services import DATABASES, temporary_database
from .vendors import Vendor, vendor


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


@pytest.fixture
def google() -> Iterator[Vendor]:
    with vendor() as running:
        running.answer = answer_each
        yield running


@pytest.fixture
def cloud_host(database_url: str, google: Vendor) -> Iterator[Host]:
    """A host that asks Google too; nobody works off its queue."""
    with make_host(
        database_url,
        AUTOTAG_GOOGLE_ENDPOINT=google.url,
        AUTOTAG_ALLOWED_ORIGINS=[google.url],
        **GOOGLE_ON,
    ) as host:
        host.app.config["SECRET_KEY"] = "of the host, and long enough for it"
        yield host


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    """Keep Alembic's ``fileConfig`` from silencing the loggers of other tests."""
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    before = [(logger, logger.disabled, logger.level) for logger in loggers]
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    for logger, disabled, old_level in before:
        logger.disabled, logger.level = disabled, old_level
    logging.root.handlers[:], logging.root.level = handlers, level
