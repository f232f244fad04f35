"""The commands themselves, but for those of ``settings.py``."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import OperationalError, ProgrammingError

from ..jobs.progress import LogProgress, TerminalProgress, log_to
from ..jobs.queue import ENDS, FAILED, QUARANTINED, QUEUED, RUNNING
from ..jobs.report import report
from ..jobs.supervise import supervise
from ..jobs.upkeep import purge, retry
from ..jobs.worker import Worker
from .models import models_cli
from .settings import rotate_keys, settings_cli

if TYPE_CHECKING:
    from ..extension import AutoTag

#: Child processes that a worker has at most, unless told to have more.
_PROCESSES = 4


def default_processes() -> int:
    """Count the processors, up to four: each child takes some 80 MB of memory."""
    return min(_PROCESSES, os.cpu_count() or 1)


@click.command("init-db")
@with_appcontext
def init_db() -> None:
    """Create the tables of the extension, and nothing else.

    It can be run any number of times: tables that exist are left as they are.
    """
    extension, _ = _current()
    extension.create_tables()
    click.echo("The tables of Flask-AutoTag are there.")


@click.command("worker")
@with_appcontext
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
            click.echo(f"Worked on {_jobs(worked)}.")
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


@click.command("status")
@with_appcontext
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Tell how many jobs wait, run, are done or failed, and why."""
    extension, app = _current()
    with _telling_of_tables():
        now = report(extension.state_of(app).database)
    if as_json:
        click.echo(json.dumps(asdict(now)))
        return
    for state in (QUEUED, RUNNING, *ENDS):
        click.echo(f"{state:<12}{now.states.get(state, 0):>10,}")
    click.echo(f"\nBulk work among the queued   {now.bulk:,}")
    click.echo(f"Oldest due job               {_age(now.oldest)}")
    click.echo(f"Workers at work              {', '.join(now.workers) or 'none'}")
    click.echo(
        f"Done                         {now.last_minute:,} in the last minute,"
        f" {now.last_hour:,} in the last hour"
    )
    for reason in now.reasons:
        click.echo(
            f"\n{reason.count:,} times {reason.code}, such as:\n    {reason.example}"
        )


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "none"
    if seconds < 60:
        return f"waits for {seconds:.0f} s"
    return f"waits for {seconds / 60:.0f} min"


@click.command("retry")
@with_appcontext
@click.option(
    "--state",
    "states",
    type=click.Choice([FAILED, QUARANTINED]),
    multiple=True,
    default=[FAILED, QUARANTINED],
    help="Only these; both by default.",
)
@click.option("--code", help="Only those that failed for this reason; see status.")
@click.option("--instance", help="Only those of this tenant.")
def retry_jobs(states: tuple[str, ...], code: str | None, instance: str | None) -> None:
    """Queue failed jobs again."""
    extension, app = _current()
    with _telling_of_tables():
        number = retry(extension.state_of(app).database, states, code, instance)
    click.echo(f"{_jobs(number)} will be tried again.")


@click.command("purge")
@with_appcontext
@click.option(
    "--days",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    help="Only those that ended so long ago.",
)
@click.option(
    "--state",
    "states",
    type=click.Choice(ENDS),
    multiple=True,
    default=list(ENDS),
    help="Only these; all that have ended by default.",
)
def purge_jobs(days: float, states: tuple[str, ...]) -> None:
    """Delete the records of jobs that have ended; tags stay."""
    extension, app = _current()
    with _telling_of_tables():
        number = purge(extension.state_of(app).database, days * 86_400, states)
    click.echo(f"{_jobs(number)} deleted.")


@click.command("doctor")
@with_appcontext
def doctor() -> None:
    """Examine the installation; tell of each fault how to mend it."""
    from ..doctor import ERROR, examine

    extension, app = _current()
    state = extension.state_of(app)
    levels = set()
    for finding in examine(app, state):
        levels.add(finding.level)
        click.echo(f"{finding.level:<8} {finding.subject}: {finding.message}")
        if finding.fix is not None:
            click.echo(f"         → {finding.fix}")
    state.pool.close()
    if ERROR in levels:
        raise click.exceptions.Exit(1)


def _jobs(number: int) -> str:
    return f"{number:,} {'job' if number == 1 else 'jobs'}"


@contextlib.contextmanager
def _telling_of_tables() -> Iterator[None]:
    """Turn what a database without our tables says into advice."""
    try:
        yield
    except (OperationalError, ProgrammingError) as error:
        raise click.ClickException(
            f"The queue cannot be read ({type(error).__name__}). If the tables are"
            " missing, 'flask autotag init-db' makes them; 'flask autotag doctor'"
            " tells more."
        ) from None


def _current() -> tuple[AutoTag, Flask]:
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return app.extensions["autotag"], app


ALL: tuple[click.Command, ...] = (
    init_db,
    worker,
    status,
    retry_jobs,
    purge_jobs,
    doctor,
    models_cli,
    settings_cli,
    rotate_keys,
)
