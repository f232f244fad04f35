"""``flask autotag worker``, ``status``, ``retry`` and ``purge``."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click
from flask.cli import with_appcontext
from sqlalchemy.orm import Session

from ..db.database import Database
from ..db.job_states import ENDED, FAILED, QUARANTINED
from ..jobs.leases import requeue_lost
from ..jobs.maintenance import purge, retry
from ..jobs.worker import Worker
from ..jobs.worker_output import LogProgress, TerminalProgress, logging_to
from ..jobs.worker_process import default_processes, supervise
from ..monitoring.queue_report import STATES, read_report, report
from ..web.metrics_endpoint import serving
from .options import (
    check_text,
    counted,
    current,
    echo_line,
    join_names,
    read_address,
    reporting_errors,
    reporting_missing_tables,
)


@click.command("worker")
@with_appcontext
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=default_processes,
    help="Number of child processes that classify. Default: one for each processor, at"
    " most four.",
)
@click.option("--drain", is_flag=True, help="Stop when no job is due.")
@click.option("--once", is_flag=True, help="Stop after one job.")
@click.option(
    "--log",
    type=click.Choice(["plain", "json"]),
    help="Log to standard error in this format. Default: plain, if standard output is"
    " not a terminal.",
)
@click.option(
    "--health-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write this file every five seconds as long as no thread is stuck.",
)
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    callback=read_address,
    help="Serve Prometheus metrics at this address (requires the extra 'metrics')."
    " Default host: 127.0.0.1, which only this machine can reach.",
)
def worker(
    processes: int,
    drain: bool,
    once: bool,
    log: str | None,
    health_file: Path | None,
    metrics: tuple[str, int] | None,
) -> None:
    """Tag queued images until SIGTERM or Ctrl+C.

    The worker then finishes its current images within 25 seconds and puts the others
    back into the queue. A second signal ends it at once.
    """
    app, state = current()
    terminal = log is None and sys.stdout.isatty()
    with (
        reporting_errors(),
        nullcontext() if terminal else logging_to(sys.stderr, log or "plain"),
        nullcontext() if metrics is None else serving(app, *metrics),
    ):
        if once or drain:
            # It may end before the regular search for lost jobs.
            requeue_lost(state)
        if once:
            number = Worker(app, state).work(1)
            click.echo(f"Worked on {counted(number, 'job')}.")
            return
        supervise(
            app,
            state,
            TerminalProgress() if terminal else LogProgress(),
            processes=processes,
            drain=drain,
            health_file=health_file,
        )


@click.command("status")
@with_appcontext
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show the number of jobs in each state, and why jobs failed."""
    with reporting_missing_tables():
        queue = report(current()[1].database)
    if as_json:
        click.echo(json.dumps(asdict(queue)))
        return
    for state in STATES:
        click.echo(f"{state:<12}{queue.states.get(state, 0):>10,}")
    click.echo(f"\nQueued bulk jobs             {queue.bulk:,}")
    click.echo(f"Oldest due job               {_age(queue.oldest)}")
    click.echo(f"Active workers               {join_names(queue.workers) or 'none'}")
    click.echo(
        f"Done                         {queue.last_minute:,} in the last minute,"
        f" {queue.last_hour:,} in the last hour"
    )
    for reason in queue.reasons:
        jobs = counted(reason.count, "job")
        click.echo(f"\n{jobs} with the error {reason.code}, for example:")
        echo_line(f"    {reason.example}")


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "none"
    if seconds < 60:
        return f"waiting for {seconds:.0f} s"
    return f"waiting for {seconds / 60:.0f} min"


@click.command("retry")
@with_appcontext
@click.option(
    "--state",
    "states",
    type=click.Choice([FAILED, QUARANTINED]),
    multiple=True,
    default=[FAILED, QUARANTINED],
    help="Only jobs in this state. Default: both.",
)
@click.option("--code", help="Only jobs that failed with this code; see 'status'.")
@click.option("--instance", callback=check_text, help="Only jobs of this instance.")
def retry_jobs(states: tuple[str, ...], code: str | None, instance: str | None) -> None:
    """Queue failed jobs again."""
    database = current()[1].database
    with reporting_missing_tables():
        number = retry(database, states, code, instance)
        hint = "" if number or code is None else _codes(database, states, instance)
    click.echo(f"{counted(number, 'job')} will be tried again.{hint}")


@click.command("purge")
@with_appcontext
@click.option(
    "--days",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    help="Only jobs that ended at least this many days ago.",
)
@click.option(
    "--state",
    "states",
    type=click.Choice(ENDED),
    multiple=True,
    default=list(ENDED),
    help="Only jobs in this state. Default: all jobs that have ended.",
)
def purge_jobs(days: float, states: tuple[str, ...]) -> None:
    """Delete jobs that have ended. Tags stay."""
    with reporting_missing_tables():
        number = purge(current()[1].database, days * 86_400, states)
    click.echo(f"{counted(number, 'job')} deleted.")


def _codes(database: Database, states: Collection[str], instance: str | None) -> str:
    """Return a sentence that lists the codes of failed jobs."""

    def work(session: Session) -> list[str]:
        queue = read_report(session, database.models, instance, states, most=0)
        return sorted(
            {reason.code for reason in queue.reasons if reason.state in states}
        )

    codes = database.transact(work)
    return f" Jobs failed with: {', '.join(codes)}." if codes else " No job has failed."
