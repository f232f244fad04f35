"""Hosts in separate processes, which tests stop and kill."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..hosts import ESPRESSO, Host
from .queues import leave_to_loader

#: Short leases and intervals, to keep tests quick.
IMPATIENT = """
from flask_autotag.jobs import claims, leases, worker_threads
claims.LEASE, leases.RENEW_INTERVAL, worker_threads.POLL = 3.0, 0.5, 0.2
"""

#: Short intervals, with the default lease: on a busy machine a short one expires while
#: its worker is at work.
HURRIED = """
from flask_autotag.jobs import leases, worker_threads
leases.RENEW_INTERVAL, worker_threads.POLL = 0.5, 0.2
"""

#: A loader that prints "loading" at one of the images, and is slow for it.
LOADER = """
import time
@autotag.image_loader
def load(asset, seen=[]):
    seen.append(asset)
    if len(seen) == {at}:
        print("loading", flush=True)
        time.sleep({seconds})
    return {image!r}
"""

HOST = """
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_autotag import AssetRef, AutoTag, image_uploaded
{before}
app = Flask(__name__)
app.config.update(SQLALCHEMY_DATABASE_URI={url!r}, AUTOTAG_RUNNER="none")
app.config.update({config!r})
db = SQLAlchemy(app)
autotag = AutoTag(app)
{after}
"""


def write_program(
    folder: Path, host: Host, before: str = "", after: str = "", **config: Any
) -> Path:
    """Write an application that uses the database of *host*."""
    program = folder / "program.py"
    program.write_text(
        HOST.format(
            before=textwrap.dedent(before),
            after=textwrap.dedent(after),
            url=host.app.config["SQLALCHEMY_DATABASE_URI"],
            config=config,
        )
    )
    return program


def write_slow_program(
    folder: Path, host: Host, at: int, seconds: float, before: str = ""
) -> Path:
    """Write an application whose loader is slow at one of the queued images."""
    leave_to_loader(host)
    loader = LOADER.format(at=at, seconds=seconds, image=str(ESPRESSO))
    return write_program(folder, host, before=before, after=loader)


def start_worker(program: Path, *options: str, **streams: Any) -> subprocess.Popen[str]:
    """Start ``flask autotag worker`` for the application."""
    command = [sys.executable, "-m", "flask", "--app", program.stem, "autotag"]
    return subprocess.Popen(
        [*command, "worker", *options],
        cwd=program.parent,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **{"stderr": subprocess.PIPE, **streams},
    )


@contextmanager
def worker(program: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a worker during the block; kill it at the end if it still runs."""
    running = start_worker(program, *options)
    with running:
        try:
            yield running
        finally:
            running.kill()
