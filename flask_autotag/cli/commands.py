"""The commands for the queue and the installation, and the list of all commands."""

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

from ..database import Database
from ..exposition import serving
from ..jobs.leases import tidy
from ..jobs.progress import LogProgress, TerminalProgress, logging_to
from ..jobs.queue import ENDS, FAILED, QUARANTINED, QUEUED, RUNNING
from ..jobs.report import read_report, report
from ..jobs.supervise import default_processes, supervise
from ..jobs.upkeep import purge, retry
from ..jobs.worker import Worker
from .address import read_address
from .bulk import commit, tag_untagged, untag
from .common import check_text, current, telling, telling_of_tables
from .explaining import explain, try_files
from .models import models_cli
from .retag import retag
from .settings import rotate_keys, settings_cli
from .tables import downgrade_db, init_db, upgrade_db
from .vocabulary import vocabulary_cli


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
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    callback=read_address,
    help="Serve metrics for Prometheus there (extra metrics); on this machine alone"
    " unless a host is given, such as 0.0.0.0:9187.",
)
def worker(
    processes: int,
    drain: bool,
    once: bool,
    log: str | None,
    health_file: Path | None,
    metrics: tuple[str, int] | None,
) -> None:
    """Tag queued images until told to stop (SIGTERM, or Ctrl+C).

    The images at hand are finished first, for 25 seconds at most; the rest is handed
    back. A second signal ends it at once.
    """
    app, state = current()
    terminal = log is None and sys.stdout.isatty()
    with (
        telling(),
        nullcontext() if terminal else logging_to(sys.stderr, log or "plain"),
        nullcontext() if metrics is None else serving(app, *metrics),
    ):
        if once or drain:
            # It may not be there for the sweep that a worker makes now and then.
            tidy(state)
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


@click.command("status")
@with_appcontext
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Tell how many jobs wait, run, are done or failed, and why."""
    with telling_of_tables():
        now = report(current()[1].database)
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
@click.option("--instance", callback=check_text, help="Only those of this tenant.")
def retry_jobs(states: tuple[str, ...], code: str | None, instance: str | None) -> None:
    """Queue failed jobs again."""
    database = current()[1].database
    with telling_of_tables():
        number = retry(database, states, code, instance)
        hint = "" if number or code is None else _codes(database, states, instance)
    click.echo(f"{_jobs(number)} will be tried again.{hint}")


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
    with telling_of_tables():
        number = purge(current()[1].database, days * 86_400, states)
    click.echo(f"{_jobs(number)} deleted.")


@click.command("doctor")
@click.option(
    "--repair",
    is_flag=True,
    help="First count the images of all tags, and correct counters that are wrong.",
)
@with_appcontext
def doctor(repair: bool) -> None:
    """Examine the installation; tell of each fault how to mend it."""
    from ..doctor import examine
    from ..doctor_counters import repair_counters
    from ..findings import ERROR

    app, state = current()
    levels = set()
    mended = (repair_counters(state),) if repair else ()
    for finding in (*mended, *examine(app, state)):
        levels.add(finding.level)
        click.echo(f"{finding.level:<8} {finding.subject}: {finding.message}")
        if finding.fix is not None:
            click.echo(f"         → {finding.fix}")
    state.pool.close()
    if ERROR in levels:
        raise click.exceptions.Exit(1)


def _jobs(number: int) -> str:
    return f"{number:,} {'job' if number == 1 else 'jobs'}"


def _codes(database: Database, states: Collection[str], instance: str | None) -> str:
    """Say for which reasons jobs failed."""

    def work(session: Session) -> list[str]:
        found = read_report(session, database.models, instance, states, most=0)
        return sorted(
            {reason.code for reason in found.reasons if reason.state in states}
        )

    codes = database.transact(work)
    return f" Jobs failed with: {', '.join(codes)}." if codes else " No job has failed."


ALL: tuple[click.Command, ...] = (
    init_db,
    upgrade_db,
    downgrade_db,
    worker,
    status,
    retry_jobs,
    purge_jobs,
    doctor,
    tag_untagged,
    retag,
    untag,
    commit,
    explain,
    try_files,
    models_cli,
    settings_cli,
    rotate_keys,
    vocabulary_cli,
)
