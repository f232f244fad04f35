"""``flask autotag tag-untagged``, ``untag`` and ``commit``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click
from flask import Flask
from flask.cli import with_appcontext

from ..jobs.bulk.untagged import Backlog
from ..jobs.worker_output import LogProgress, TerminalProgress, logging_to
from ..jobs.worker_process import default_processes, supervise
from ..tags import bulk
from ..tags.batches import AssetFilter
from .confirm import ask_about_costs, confirm
from .options import (
    ACTOR,
    asset_count,
    asset_filter,
    counted,
    current,
    echo_line,
    echo_skipped,
    instance_option,
    long_running,
    type_option,
    yes_option,
)
from .progress import progress

if TYPE_CHECKING:
    from ..runtime.state import State

#: Which process tags queued images, by ``AUTOTAG_RUNNER``.
_WORKERS = {
    "thread": "The application's thread or 'flask autotag worker' will tag them.",
    "inline": "They are tagged.",
    "celery": "The Celery workers will tag them.",
    "none": "Run 'flask autotag worker' to tag them.",
}

now_option = click.option(
    "--now", is_flag=True, help="Tag the queued images before the command ends."
)


@click.command("tag-untagged")
@with_appcontext
@instance_option
@type_option
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Try assets without an image, and files that are no images, again.",
)
@click.option("--dry-run", is_flag=True, help="Only count the images.")
@now_option
@yes_option
def tag_untagged(
    instance: str | None,
    asset_type: str | None,
    everything: bool,
    dry_run: bool,
    now: bool,
    yes: bool,
) -> None:
    """Queue the images that were never classified.

    The images come from the application's asset_lister or, without one, from the
    watched models. Images that only people have tagged are queued too. Images that are
    queued already or in quarantine are left out, and so are assets that had no image,
    or a file that is none, until another is uploaded.
    """
    app, state = current()
    scope = asset_filter(state, instance, asset_type)
    with (
        long_running(),
        Backlog(state, capturing=not dry_run, everything=everything) as backlog,
    ):
        with progress("Looking for images") as advance:
            backlog.fill(app, scope, advance)
        _echo_backlog(backlog)
        ask_about_costs(state, backlog.untagged, yes or dry_run)
        if not dry_run:
            total = backlog.untagged.total()
            queue_all(app, state, backlog.queue(), total, now)


@click.command("untag")
@with_appcontext
@instance_option
@type_option
@click.option("--dry-run", is_flag=True, help="Only count the images.")
@yes_option
def untag(
    instance: str | None, asset_type: str | None, dry_run: bool, yes: bool
) -> None:
    """Remove the predictions, tags and suggestions of providers.

    People's tags and decisions stay. 'tag-untagged' finds the images again.
    """
    _, state = current()
    scope = asset_filter(state, instance, asset_type)
    with long_running():
        count = _count_results(state, scope)
        click.echo(
            f"{counted(count.images, 'image')} with {counted(count.tags, 'tag')} and"
            f" {counted(count.suggestions, 'suggestion')} of providers."
        )
        if dry_run or not (count.images or count.tags or count.suggestions):
            return
        confirm("Remove them?", yes)
        with progress("Removing tags", asset_count(state, scope)) as advance:
            bulk.untag(state, scope, advance)
        click.echo("Removed. People's tags and decisions stay.")


@click.command("commit")
@with_appcontext
@instance_option
@type_option
@click.option("--dry-run", is_flag=True, help="Only count the images.")
@yes_option
def commit(
    instance: str | None, asset_type: str | None, dry_run: bool, yes: bool
) -> None:
    """Make the tags of providers permanent, as if people had added them.

    Suggestions stay suggestions. There is no command to undo this.
    """
    _, state = current()
    scope = asset_filter(state, instance, asset_type)
    with long_running():
        count = _count_results(state, scope)
        click.echo(f"{counted(count.tags, 'tag')} of providers.")
        if dry_run or not count.tags:
            return
        confirm("Make them permanent?", yes)
        with progress("Making tags permanent", asset_count(state, scope)) as advance:
            bulk.commit(state, scope, ACTOR, advance)
        click.echo("The tags are permanent.")


def queue_all(
    app: Flask, state: State, jobs: Iterable[list[int]], total: int, now: bool
) -> None:
    """Write jobs with a progress bar.

    :param jobs: writes the jobs; yields the ids of each transaction.
    :param now: run the jobs here; by default, wake the workers.
    """
    queued = 0
    with progress("Queueing images", total) as advance:
        for ids in jobs:
            queued += len(ids)
            advance(len(ids))
            if not now:
                state.runner.wake(app, state, ids)
    click.echo(f"{counted(queued, 'image')} queued.")
    if queued and now:
        _drain(app, state)
    elif queued:
        click.echo(_WORKERS[state.config.runner])


def _drain(app: Flask, state: State) -> None:
    terminal = sys.stdout.isatty()
    with nullcontext() if terminal else logging_to(sys.stderr):
        supervise(
            app,
            state,
            TerminalProgress() if terminal else LogProgress(),
            processes=default_processes(),
            drain=True,
        )


def _echo_backlog(backlog: Backlog) -> None:
    echo_skipped(backlog.unreadable)
    click.echo(
        f"{counted(backlog.untagged.total(), 'image')} of {backlog.listed:,} to tag."
    )
    for instance, number in sorted(backlog.untagged.items()):
        echo_line(f"    {instance}: {number:,}")
    if backlog.unreadable.count:
        unreadable = counted(backlog.unreadable.count, "image")
        click.echo(f"{unreadable} skipped: untagged, but could not be read.")
    if backlog.no_image:
        click.echo(
            f"{counted(backlog.no_image, 'asset')} skipped: no image, or a file that"
            " is none (--all tries them again)."
        )
    if backlog.off:
        click.echo(
            f"{counted(backlog.off, 'image')} skipped: tagging is off in their"
            " instance."
        )


def _count_results(state: State, scope: AssetFilter) -> bulk.ProviderTotals:
    models = state.database.models
    return state.database.transact(
        lambda session: bulk.count_provider_results(session, models, scope)
    )
