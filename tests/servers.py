"""Servers of a test's own, to be restarted and emptied."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .services import missing


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class PostgreSQL:
    """A server in a folder. It refuses to run as root, so root lends it a user."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder / "data"
        self._port = free_port()
        self._user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self._user:
            shutil.chown(folder, "postgres")
        self._run("initdb", "-U", "postgres", "-A", "trust", "-N")
        with (self._folder / "postgresql.conf").open("a") as settings:
            settings.write(
                f"port = {self._port}\nlisten_addresses = '127.0.0.1'\n"
                "unix_socket_directories = ''\n"
            )
        self.control("start")

    @property
    def url(self) -> str:
        """Of a database that is there."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"

    def restart(self, mode: str) -> None:
        """Restart it: ``fast`` ends connections, ``immediate`` is as in a crash."""
        self.control("restart", "-m", mode)

    def control(self, action: str, *options: str) -> None:
        """Run ``pg_ctl``."""
        log = str(self._folder / "log")
        self._run("pg_ctl", "-w", "-s", "-l", log, *options, action)

    def _run(self, program: str, *options: str) -> None:
        command = [*self._user, str(self._programs / program), "-D", str(self._folder)]
        subprocess.run(
            [*command, *options], check=True, stdout=subprocess.DEVNULL, cwd="/"
        )


@contextmanager
def own_postgresql() -> Iterator[PostgreSQL]:
    """Run a server for the block."""
    programs = _programs()
    # Not in a folder of pytest's, which no other user may enter.
    with tempfile.TemporaryDirectory(prefix="autotag-") as folder:
        server = PostgreSQL(programs, Path(folder))
        try:
            yield server
        finally:
            server.control("stop", "-m", "immediate")


def _programs() -> Path:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not versions:
        missing("no PostgreSQL server is installed to be restarted")
    return versions[-1].parent
