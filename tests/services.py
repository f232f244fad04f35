"""The servers that tests use; a test without its server is skipped."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kombu import Connection
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

#: The environment variable and the default URL of each server's administrator.
SERVERS = {
    "postgresql": (
        "AUTOTAG_TEST_POSTGRESQL",
        "postgresql+psycopg://postgres@127.0.0.1:5432/postgres",
    ),
    # Without TLS: PyMySQL reads all certificates of the system for each connection.
    "mariadb": (
        "AUTOTAG_TEST_MARIADB",
        "mariadb+pymysql://root@127.0.0.1:3306/mysql?charset=utf8mb4&ssl_disabled=true",
    ),
}
DATABASES = ("sqlite", *SERVERS)
#: Runs a test of ``any_host`` or ``cloud_host`` on SQLite alone.
on_sqlite = pytest.mark.parametrize("host_database_url", ["sqlite"], indirect=True)


def missing(reason: str) -> None:
    """Skip the test, or fail it if all services must be present."""
    if os.environ.get("AUTOTAG_REQUIRE_SERVICES"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def temporary_database(kind: str, folder: Path) -> Iterator[str]:
    """Create an empty database and yield its URL; drop it afterwards."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'host.sqlite'}"
        return
    variable, default = SERVERS[kind]
    server = make_url(os.environ.get(variable, default))
    name = f"autotag_test_{uuid.uuid4().hex}"
    try:
        _execute(server, f"CREATE DATABASE {name}")
    except OperationalError:
        missing(f"no {kind} server at {server.host}:{server.port} (see {variable})")
    if kind == "postgresql":
        # No test expects these rows to survive a crash of the server.
        _execute(server, f"ALTER DATABASE {name} SET synchronous_commit = off")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        force = " WITH (FORCE)" if kind == "postgresql" else ""
        _execute(server, f"DROP DATABASE {name}{force}")


def _execute(server: URL, statement: str) -> None:
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


#: The environment variable and the default URL of each broker for Celery.
_BROKER_URLS = {
    "redis": ("AUTOTAG_TEST_REDIS", "redis://127.0.0.1:6379/15"),
    "rabbitmq": ("AUTOTAG_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"),
}
BROKERS = tuple(_BROKER_URLS)


def broker_url(kind: str) -> str:
    """Return the URL of a broker, or skip the test if it does not answer."""
    variable, default = _BROKER_URLS[kind]
    url = os.environ.get(variable, default)
    try:
        with Connection(url, connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1)
    except OSError:
        missing(f"no {kind} server (see {variable})")
    return url
