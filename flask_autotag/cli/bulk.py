"""``flask autotag tag-untagged``, ``untag`` and ``commit``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click
from flask import Flask
from flask.cli import with_appcontext

from .. import bulk
from ..backfill import Backlog
from ..jobs.progress import LogProgress, TerminalProgress, logging_to
from ..jobs.supervise import default_processes, supervise
from ..portions import Scope, count_assets
from .common import (
    WHO,
    counted,
    current,
    instance_option,
    read_scope,
    tell_problems,
    type_option,
    working,
    yes_option,
)
from .consent import ask, ask_about_costs
from .progress import progress

if TYPE_CHECKING:
    from ..state import State

#: Who works off the queue, by ``AUTOTAG_RUNNER``.
_WORKERS = {
    "thread": "The application's own thread tags them, or 'flask autotag worker' does.",
    "inline": "They are tagged.",
    "celery": "The Celery workers tag them.",
    "none": "'flask autotag worker' tags them.",
}

now_option = click.option(
    "--now", is_flag=True, help="Work the queue off before returning."
)


@click.command("tag-untagged")
@with_appcontext
@instance_option
@type_option
@click.option("--dry-run", is_flag=True, help="Only count them.")
@now_option
@yes_option
def tag_untagged(
    instance: str | None, asset_type: str | None, dry_run: bool, now: bool, yes: bool
) -> None:
    """Queue the images that were never classified.

    The application lists its images (asset_lister); without that, the objects of
    watched models are taken. An image that only people have tagged is queued too; one
    that waits in the queue, or is in quarantine, is not.
    """
    app, state = current()
    scope = read_scope(state, instance, asset_type)
    with working(), Backlog(state, capturing=not dry_run) as backlog:
        with progress("Looking for images") as advance:
            backlog.fill(app, scope, advance)
        _tell_backlog(backlog)
        ask_about_costs(state, backlog.untagged, yes or dry_run)
        if not dry_run:
            total = backlog.untagged.total()
            queue_all(app, state, backlog.queue(), total, now)


@click.command("untag")
@with_appcontext
@instance_option
@type_option
@click.option("--dry-run", is_flag=True, help="Only count them.")
@yes_option
def untag(
    instance: str | None, asset_type: str | None, dry_run: bool, yes: bool
) -> None:
    """Remove what providers said, and the tags and suggestions that came of it.

    What people decided stays. The images count as untagged then.
    """
    _, state = current()
    scope = read_scope(state, instance, asset_type)
    with working():
        found = _automatic(state, scope)
        click.echo(
            f"{counted(found.images, 'image')} with {counted(found.tags, 'tag')} and"
            f" {counted(found.suggestions, 'suggestion')} of providers."
        )
        if dry_run or not (found.images or found.tags or found.suggestions):
            return
        ask("Remove them?", yes)
        with progress("Removing tags", _assets(state, scope)) as advance:
            bulk.untag(state, scope, advance)
        click.echo("They are removed; what people decided stays.")


@click.command("commit")
@with_appcontext
@instance_option
@type_option
@click.option("--dry-run", is_flag=True, help="Only count them.")
@yes_option
def commit(
    instance: str | None, asset_type: str | None, dry_run: bool, yes: bool
) -> None:
    """Make the tags of providers permanent, as if people had added them.

    Suggestions stay suggestions. This cannot be undone as a whole.
    """
    _, state = current()
    scope = read_scope(state, instance, asset_type)
    with working():
        found = _automatic(state, scope)
        click.echo(f"{counted(found.tags, 'tag')} of providers.")
        if dry_run or not found.tags:
            return
        ask("Make them permanent?", yes)
        with progress("Making tags permanent", _assets(state, scope)) as advance:
            bulk.commit(state, scope, WHO, advance)
        click.echo("They are permanent.")


def queue_all(
    app: Flask, state: State, jobs: Iterable[list[int]], total: int, now: bool
) -> None:
    """Write jobs with a progress bar, and see that somebody works them off.

    :param jobs: writes them; gives the ids of each transaction.
    :param now: whether this command works them off.
    """
    number = 0
    with progress("Queueing images", total) as advance:
        for ids in jobs:
            number += len(ids)
            advance(len(ids))
            if not now:
                state.runner.wake(app, state, ids)
    click.echo(f"{counted(number, 'image')} queued.")
    if number:
        _finish(app, state, now)


def _finish(app: Flask, state: State, now: bool) -> None:
    """Work the queue off, or say who does it.

    :param now: whether this command does.
    """
    if not now:
        click.echo(_WORKERS[state.config.runner])
        return
    terminal = sys.stdout.isatty()
    with nullcontext() if terminal else logging_to(sys.stderr):
        supervise(
            app,
            state,
            TerminalProgress() if terminal else LogProgress(),
            processes=default_processes(),
            drain=True,
        )


def _tell_backlog(backlog: Backlog) -> None:
    tell_problems(backlog.unreadable)
    click.echo(
        f"{counted(backlog.untagged.total(), 'image')} of {backlog.listed:,} to tag."
    )
    for instance, number in sorted(backlog.untagged.items()):
        click.echo(f"    {instance}: {number:,}")
    if backlog.unreadable.count:
        left = counted(backlog.unreadable.count, "image")
        click.echo(f"{left} left out: untagged, but could not be read.")
    if backlog.off:
        click.echo(
            f"{counted(backlog.off, 'image')} left alone: tagging is off in their"
            " instance."
        )


def _automatic(state: State, scope: Scope) -> bulk.Automatic:
    models = state.database.models
    return state.database.transact(
        lambda session: bulk.count_automatic(session, models, scope)
    )


def _assets(state: State, scope: Scope) -> int:
    models = state.database.models
    return state.database.transact(lambda session: count_assets(session, models, scope))
