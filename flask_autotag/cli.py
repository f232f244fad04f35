"""``flask autotag …``"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from .jobs.progress import LogProgress, TerminalProgress, log_to
from .jobs.supervise import supervise
from .jobs.worker import Worker

if TYPE_CHECKING:
    from .extension import AutoTag

#: Child processes that a worker has at most, unless told to have more.
_PROCESSES = 4


def default_processes() -> int:
    """Count the processors, up to four: each child takes some 80 MB of memory."""
    return min(_PROCESSES, os.cpu_count() or 1)


autotag_cli = AppGroup("autotag", help="Tag the images of this application.")


@autotag_cli.command("init-db")
def init_db() -> None:
    """Create the tables of the extension, and nothing else.

    It can be run any number of times: tables that exist are left as they are.
    """
    extension, _ = _current()
    extension.create_tables()
    click.echo("The tables of Flask-AutoTag are there.")


@autotag_cli.command("worker")
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=default_processes,
    help="How many child processes classify; by default one for each processor, at"
    " most four.",
)
@click.option("--drain", is_flag=True, help="Stop when no job is due.")
@click.option("--once", is_flag=True, help="Stop after one job.")
@click.option(
    "--log",
    type=click.Choice(["plain", "json"]),
    help="Log to standard error in this form; the default where that is no terminal"
    " is plain.",
)
@click.option(
    "--health-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file to write to every five seconds while all is well.",
)
def worker(
    processes: int, drain: bool, once: bool, log: str | None, health_file: Path | None
) -> None:
    """Tag queued images until told to stop (SIGTERM, or Ctrl+C).

    The images at hand are finished first, for 25 seconds at most; the rest is handed
    back. A second signal ends it at once.
    """
    extension, app = _current()
    state = extension.state_of(app)
    terminal = log is None and sys.stdout.isatty()
    handler = None if terminal else log_to(sys.stderr, log or "plain")
    try:
        if once:
            worked = Worker(app, state).work(1)
            click.echo(f"Worked on {worked} {'job' if worked == 1 else 'jobs'}.")
            return
        supervise(
            app,
            state,
            TerminalProgress() if terminal else LogProgress(),
            processes=processes,
            drain=drain,
            health_file=health_file,
        )
    finally:
        if handler is not None:
            logging.getLogger("flask_autotag").removeHandler(handler)


def _current() -> tuple[AutoTag, Flask]:
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return app.extensions["autotag"], app
