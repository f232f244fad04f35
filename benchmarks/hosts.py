"""Hosts and worker programs for the benchmarks."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import NullPool, create_engine, func, insert, make_url, select, text

from flask_autotag import AutoTag

ROOT = Path(__file__).parent.parent
SERVERS = {
    "postgresql": "postgresql+psycopg://postgres@127.0.0.1:5432/postgres",
    "mariadb": "mariadb+pymysql://root@127.0.0.1:3306/mysql?charset=utf8mb4",
}
DATABASES = ("sqlite", *SERVERS)

PROGRAM = """
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_autotag import AutoTag
{before}
app = Flask(__name__)
app.config.update(SQLALCHEMY_DATABASE_URI={url!r}, AUTOTAG_RUNNER="none")
db = SQLAlchemy(app)
AutoTag(app)
"""


@dataclass
class Host:
    """An application on an empty database, and a program that runs it."""

    app: Flask
    db: SQLAlchemy
    autotag: AutoTag
    folder: Path

    def worker(
        self, *options: str, paths: Sequence[Path] = ()
    ) -> subprocess.Popen[bytes]:
        """Start ``flask autotag worker``, with its log in a file.

        :param paths: additional folders for Python's modules.
        """
        search = os.pathsep.join(map(str, [*paths, ROOT]))
        command = [sys.executable, "-m", "flask", "--app", "program", "autotag"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*command, "worker", *options],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": search},
                stderr=log,
            )

    def fill(self, paths: Sequence[Path], number: int) -> None:
        """Insert *number* jobs into the table, with *paths* in turn."""
        with self.app.app_context():
            job = self.autotag.models.job.__table__
            for start in range(0, number, 1000):
                rows = [
                    {
                        "instance": "default",
                        "asset_type": "photo",
                        "asset_id": str(place),
                        "path": str(paths[place % len(paths)]),
                        "dedupe_key": str(place),
                        "state": "queued",
                        "run_at": place / 1e6,
                        "created_at": place / 1e6,
                    }
                    for place in range(start, min(number, start + 1000))
                ]
                self.db.session.execute(insert(job), rows)
            self.db.session.commit()

    def states(self) -> dict[str, int]:
        """Count the jobs by state."""
        with self.app.app_context(), self.db.engine.connect() as connection:
            state = self.autotag.models.job.__table__.c.state
            rows = connection.execute(select(state, func.count()).group_by(state))
            return dict(rows.tuples().all())

    def clear(self) -> None:
        """Empty all tables."""
        with self.app.app_context(), self.db.engine.begin() as connection:
            for table in reversed(self.autotag.models.metadata.sorted_tables):
                connection.execute(table.delete())


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Create an empty database for the block, and yield its URL."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'host.sqlite'}"
        return
    server = make_url(SERVERS[kind])
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    name = f"autotag_benchmark_{os.getpid()}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        force = " WITH (FORCE)" if kind == "postgresql" else ""
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}{force}"))


@contextmanager
def host(kind: str, folder: Path, before: str = "", url: str = "") -> Iterator[Host]:
    """Create a host with all its tables, for the block.

    :param before: the first lines of its program, in Python.
    :param url: the URL of an existing database; by default a new one is created.
    """
    with database(kind, folder) as made:
        url = url or made
        (folder / "program.py").write_text(PROGRAM.format(before=before, url=url))
        app = Flask("host")
        app.config.update(SQLALCHEMY_DATABASE_URI=url, AUTOTAG_RUNNER="none")
        db: Any = SQLAlchemy(app)
        autotag = AutoTag(app)
        with app.app_context():
            db.create_all()
        try:
            yield Host(app, db, autotag, folder)
        finally:
            with app.app_context():
                db.engine.dispose()


def measure(work: Callable[[], object], runs: int) -> str:
    """Return the median and the 99th percentile in milliseconds."""
    times = []
    for _ in range(runs + 3):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1000)
    times = sorted(times[3:])
    late = times[min(len(times) - 1, int(len(times) * 0.99))]
    return f"{statistics.median(times):9.2f} {late:9.2f}"


def machine() -> str:
    """Describe the machine."""
    import platform

    return f"{os.cpu_count()} cores, Python {platform.python_version()}"
