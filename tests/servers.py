"""Servers that one test starts, restarts and empties."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.serving import make_server
from werkzeug.wsgi import ClosingIterator

from .services import missing

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def free_port() -> int:
    """Return a port on which no program listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def serve(app: Flask) -> Iterator[str]:
    """Serve an app on a free port, and yield its URL."""
    server = make_server("127.0.0.1", 0, _whole(app), threaded=True)
    # Requests that a closed browser leaves behind must not outlive the test.
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _whole(app: WSGIApplication) -> WSGIApplication:
    """Read answers before they are sent.

    Werkzeug's server does not close an answer whose reader has gone, so that the
    file which a browser no longer wants would stay open.
    """

    def application(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        with closing(ClosingIterator(app(environ, start_response))) as answer:
            return [*answer]

    return application


class PostgreSQL:
    """A server in a folder. As it refuses to run as root, it gets another user."""

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
        """The URL of a database that exists."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"

    def restart(self, mode: str) -> None:
        """Restart it: ``fast`` ends connections, ``immediate`` acts like a crash."""
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
    # Other users may not enter the folders of pytest.
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
