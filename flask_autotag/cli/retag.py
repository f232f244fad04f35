"""``flask autotag retag``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

import click
from flask import Flask
from flask.cli import with_appcontext

from ..characters import printable
from ..host.assets import SYSTEM
from ..jobs.bulk.outdated import Retagging, RetagOptions, stored_differences
from ..jobs.reapply_job import affected, enqueue_for
from ..jobs.worker_process import default_processes
from ..providers.tensorflow.kinds import find_classifier
from ..runtime.state import State
from ..tags.batches import Advance, AssetFilter
from ..tags.reapply import Difference, Preview
from .confirm import ask_about_costs
from .images import now_option, queue_all
from .options import (
    asset_count,
    asset_filter,
    counted,
    current,
    echo_line,
    echo_reapplying,
    echo_skipped,
    instance_option,
    long_running,
    type_option,
    yes_option,
)
from .progress import progress


@click.command("retag")
@with_appcontext
@instance_option
@type_option
@click.option("--all", "everything", is_flag=True, help="Classify all known images.")
@click.option(
    "--stored",
    is_flag=True,
    help="Apply settings and vocabulary to stored predictions; classify nothing.",
)
@click.option("--dry-run", is_flag=True, help="Show the changes without making them.")
@click.option("--summary", is_flag=True, help="With --dry-run: show only the totals.")
@click.option("--model", help="With --dry-run: compare with this TensorFlow model.")
@click.option("--paid", is_flag=True, help="With --dry-run: ask remote providers too.")
@now_option
@yes_option
def retag(
    instance: str | None,
    asset_type: str | None,
    everything: bool,
    stored: bool,
    dry_run: bool,
    summary: bool,
    model: str | None,
    paid: bool,
    now: bool,
    yes: bool,
) -> None:
    """Classify images with outdated predictions again.

    Predictions are outdated if a provider that is on has not classified the image, or
    has classified it with another model. People's decisions stay. To continue after an
    interruption, run the command again.

    --dry-run classifies at once, in this process, and shows the changes to each image.
    It uses the stored predictions of remote providers.
    """
    app, state = current()
    _check_options(
        stored=stored,
        dry_run=dry_run,
        only_dry_run={"--summary": summary, "--model": model, "--paid": paid},
        not_stored={
            "--all": everything,
            "--type": asset_type,
            "--model": model,
            "--paid": paid,
            "--now": now,
        },
    )
    scope = asset_filter(state, instance, asset_type)
    with long_running():
        if model is not None:
            find_classifier(model, state.config.model_dir)
        if stored:
            _apply_stored(app, state, scope, dry_run, summary)
            return
        retagging = Retagging(app, state, RetagOptions(scope, everything, model))
        if dry_run:
            _preview(state, retagging, scope, summary, paid, yes)
        else:
            _queue(app, state, retagging, scope, now, yes)


def _check_options(
    *,
    stored: bool,
    dry_run: bool,
    only_dry_run: dict[str, object],
    not_stored: dict[str, object],
) -> None:
    """Refuse options that would have no effect."""
    for option, value in only_dry_run.items():
        if value and not dry_run:
            raise click.UsageError(f"{option} requires --dry-run.")
    for option, value in not_stored.items():
        if value and stored:
            raise click.UsageError(
                f"{option} cannot be combined with --stored, which applies the settings"
                " to all images of an instance and classifies nothing."
            )


def _apply_stored(
    app: Flask, state: State, scope: AssetFilter, dry_run: bool, summary: bool
) -> None:
    instance = scope.instance or SYSTEM
    if not dry_run:
        found = state.database.transact(
            lambda session: enqueue_for(session, state, instance)
        )
        state.runner.wake(app, state, found.jobs)
        echo_reapplying(found)
        return
    instances = state.database.transact(
        lambda session: affected(session, state, instance)
    )
    with _advancing(state, scope, summary) as advance:
        _show(stored_differences(state, instances, advance), summary)


def _queue(
    app: Flask,
    state: State,
    retagging: Retagging,
    scope: AssetFilter,
    now: bool,
    yes: bool,
) -> None:
    with progress("Looking for images", asset_count(state, scope)) as advance:
        counts = retagging.count(advance)
    total = counts.stale.total()
    click.echo(f"{counted(total, 'image')} to classify again.")
    for instance, number in sorted(counts.stale.items()):
        echo_line(f"    {instance}: {number:,}")
    ask_about_costs(state, counts.unpaid, yes)
    queue_all(app, state, retagging.queue(), total, now)
    echo_skipped(retagging.problems)


def _preview(
    state: State,
    retagging: Retagging,
    scope: AssetFilter,
    summary: bool,
    paid: bool,
    yes: bool,
) -> None:
    if paid:
        with progress("Looking for images", asset_count(state, scope)) as advance:
            counts = retagging.count(advance)
        ask_about_costs(state, counts.unpaid, yes)
    try:
        with _advancing(state, scope, summary) as advance:
            differences = retagging.differences(
                advance, paid=paid, processes=default_processes()
            )
            _show(differences, summary)
    finally:
        state.pool.close()
    echo_skipped(retagging.problems)


def _advancing(
    state: State, scope: AssetFilter, summary: bool
) -> AbstractContextManager[Advance]:
    """Show a progress bar, unless a line is printed for each image."""
    if summary:
        return progress("Comparing images", asset_count(state, scope))
    return nullcontext(lambda number: None)


def _show(differences: Iterable[Difference], summary: bool) -> None:
    """Print a line for each image that changes, and the totals."""
    totals = Preview()
    for each in differences:
        totals.count(each)
        if each.is_change and not summary:
            click.echo(_line(each))
    for line in _total_lines(totals):
        click.echo(line)


def _line(difference: Difference) -> str:
    """Return a line such as ``photo 12 (news): + cat  - wolf  = 3 kept``."""
    parts = [
        f"{sign} {', '.join(tags)}"
        for sign, tags in (("+", difference.added), ("-", difference.removed))
        if tags
    ]
    parts.append(f"= {len(difference.kept)} kept")
    instance = printable(difference.instance)
    return f"{difference.asset} ({instance}): {'  '.join(parts)}"


def _total_lines(totals: Preview) -> Iterator[str]:
    yield (
        f"{counted(totals.images, 'image')}: {counted(totals.tags_added, 'tag')} added,"
        f" {totals.tags_removed:,} removed, {totals.tags_kept:,} kept."
    )
    for sign, tags in (("+", totals.most_added), ("-", totals.most_removed)):
        if tags:
            most = ", ".join(f"{tag} ({number:,})" for tag, number in tags)
            yield f"    {sign} {most}"
