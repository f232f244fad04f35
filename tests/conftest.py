from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache

from flask_autotag import extension
from flask_autotag.providers import startup
from flask_autotag.runtime import late_writes

from .databases import HostDatabases
from .hosts import Host, make_host
from .pools import SharedPools, make_own_pool
from .providers.clouds import GOOGLE_ON, answer_each
from .providers.vendors import Vendor, vendor
from .services import DATABASES, temporary_database

if TYPE_CHECKING:
    from xdist.scheduler import WorkStealingScheduling

# How many examples a test tries is set here alone, so that "long" holds for all.
hypothesis.settings.register_profile("short", max_examples=25, deadline=None)
hypothesis.settings.register_profile("long", max_examples=1000, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Keep property tests short unless ``--hypothesis-profile`` is given."""
    if config.getoption("--hypothesis-profile") is None:
        hypothesis.settings.load_profile("short")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Start one worker more than there are cores, because tests also wait."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: object
) -> WorkStealingScheduling | None:
    """Leave the tests of a file to one worker unless another is idle.

    A module's fixtures and the import of TensorFlow then cost one worker alone.
    """
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind that the extension works on."""
    with temporary_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def host_databases() -> Iterator[HostDatabases]:
    """Databases with a host's tables, which are used again and again."""
    databases = HostDatabases()
    yield databases
    databases.close()


@pytest.fixture(params=DATABASES)
def host_database_url(
    request: pytest.FixtureRequest, tmp_path: Path, host_databases: HostDatabases
) -> Iterator[str]:
    """A database of each kind for ``make_host``, which need not make the tables.

    It is ready many times sooner than a ``database_url``.
    """
    with host_databases.lend(request.param, tmp_path) as url:
        yield url


@pytest.fixture(scope="module", params=DATABASES)
def module_database_url(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    host_databases: HostDatabases,
) -> Iterator[str]:
    """A ``host_database_url`` for those tests of a module that only read.

    A fixture of the module fills it once for all of them.
    """
    folder = tmp_path_factory.mktemp("module")
    with host_databases.lend(request.param, folder) as url:
        yield url


@pytest.fixture
def any_host(host_database_url: str) -> Iterator[Host]:
    """A host on each kind of database; nobody works off its queue."""
    with make_host(host_database_url) as host:
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
def cloud_host(host_database_url: str, google: Vendor) -> Iterator[Host]:
    """A host that asks Google too; nobody works off its queue."""
    with make_host(
        host_database_url,
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


#: Seconds that an upload waits for its job, as the extension has them.
WAIT = late_writes.WAIT


@pytest.fixture(autouse=True, scope="session")
def shared_pools() -> Iterator[None]:
    """Let hosts use the child processes of earlier ones."""
    shared = SharedPools()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extension, "_make_pool", shared.make_pool)
        yield
    shared.close()


@pytest.fixture
def own_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each host start child processes of its own."""
    monkeypatch.setattr(extension, "_make_pool", make_own_pool)


@pytest.fixture(autouse=True, scope="session")
def compiled_templates(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Compile each template once, and not for each application."""
    cache = FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": cache})
        yield


@pytest.fixture(autouse=True, scope="session")
def known_packages() -> Iterator[None]:
    """Search the installed packages for providers once, not for each application."""

    @cache
    def search(_path: tuple[str, ...], group: str) -> EntryPoints:
        return entry_points(group=group)

    def remembered(group: str) -> EntryPoints:
        return search(tuple(sys.path), group)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(startup, "entry_points", remembered)
        yield


@pytest.fixture(autouse=True, scope="session")
def patient_uploads() -> Iterator[None]:
    """Let uploads outside a transaction wait for their job on a busy machine."""
    late_writes.WAIT = 20.0
    yield
    late_writes.WAIT = WAIT


@pytest.fixture(scope="module")
def product_wait() -> Iterator[None]:
    """Let them wait as long as in the product, for tests of that limit."""
    before, late_writes.WAIT = late_writes.WAIT, WAIT
    yield
    late_writes.WAIT = before
