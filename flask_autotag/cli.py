"""``flask autotag …``"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from .jobs.runners import POLL
from .jobs.worker import Worker

if TYPE_CHECKING:
    from .extension import AutoTag

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
@click.option("--drain", is_flag=True, help="Stop when no job is due.")
@click.option("--once", is_flag=True, help="Stop after one job.")
def worker(drain: bool, once: bool) -> None:
    """Tag queued images until told to stop (SIGTERM, or Ctrl+C).

    The job that runs when it is told to stop is finished first.
    """
    extension, app = _current()
    stop = _stop_on_signals()
    tagger = Worker(app, extension.state_of(app))
    click.echo("Tagging queued images.")
    worked = 0
    while not stop.is_set():
        if tagger.work():
            worked += 1
        elif drain or once:
            break
        else:
            stop.wait(POLL)
        if once:
            break
    click.echo(f"Worked on {worked} {'job' if worked == 1 else 'jobs'}.")


def _current() -> tuple[AutoTag, Flask]:
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return app.extensions["autotag"], app


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        # Only a flag: the job at hand must not be torn from its transaction.
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return stop
