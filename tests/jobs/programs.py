"""Hosts that run as programs of their own, to be stopped and killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..hosts import Host

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
    """Write an application that shares the database of *host*."""
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


def start_worker(program: Path, *options: str, **streams: Any) -> subprocess.Popen[str]:
    """Start ``flask autotag worker`` for it."""
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
    """Run a worker for the block; kill it at the end if it still runs."""
    running = start_worker(program, *options)
    with running:
        try:
            yield running
        finally:
            running.kill()
