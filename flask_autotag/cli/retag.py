"""``flask autotag retag``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

import click
from flask import Flask
from flask.cli import with_appcontext

from ..assets import SYSTEM
from ..jobs.rules import affected, enqueue_for
from ..jobs.supervise import default_processes
from ..portions import Advance, Scope, count_assets
from ..providers.model_file import find
from ..reapply import Difference, Preview
from ..retagging import Retagging, Wanted, stored_differences
from ..state import State
from .bulk import now_option, queue_all
from .common import (
    counted,
    current,
    instance_option,
    read_scope,
    tell_problems,
    type_option,
    working,
    yes_option,
)
from .consent import ask_about_costs
from .progress import progress


@click.command("retag")
@with_appcontext
@instance_option
@type_option
@click.option("--all", "everything", is_flag=True, help="Every known image.")
@click.option(
    "--stored",
    is_flag=True,
    help="Classify nothing: apply settings and vocabulary to what is stored.",
)
@click.option(
    "--dry-run", is_flag=True, help="Show what would change, and write nothing."
)
@click.option("--summary", is_flag=True, help="In a dry run, only the totals.")
@click.option(
    "--model", help="In a dry run: what this TensorFlow model would say instead."
)
@click.option(
    "--paid", is_flag=True, help="In a dry run: ask the providers elsewhere, too."
)
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
    """Classify images again whose predictions are out of date.

    That is so where a provider that is on has not seen the image, or another model of
    it has. What people decided stays. Interrupted, it goes on where it was when it is
    run again.

    A dry run classifies at once, in this process, and shows what would change on each
    image. What providers elsewhere say is taken from what is stored.
    """
    app, state = current()
    _refuse_nonsense(
        stored=stored,
        dry_run=dry_run,
        for_dry_run={"--summary": summary, "--model": model, "--paid": paid},
        not_for_stored={
            "--all": everything,
            "--type": asset_type,
            "--model": model,
            "--paid": paid,
            "--now": now,
        },
    )
    scope = read_scope(state, instance, asset_type)
    with working():
        if model is not None:
            find(model, state.config.model_dir)
        if stored:
            _apply_stored(app, state, scope, dry_run, summary)
            return
        retagging = Retagging(app, state, Wanted(scope, everything, model))
        if dry_run:
            _preview(state, retagging, scope, summary, paid, yes)
        else:
            _queue(app, state, retagging, scope, now, yes)


def _refuse_nonsense(
    *,
    stored: bool,
    dry_run: bool,
    for_dry_run: dict[str, object],
    not_for_stored: dict[str, object],
) -> None:
    """Refuse options that would be without effect."""
    for option, value in for_dry_run.items():
        if value and not dry_run:
            raise click.UsageError(f"{option} is for --dry-run.")
    for option, value in not_for_stored.items():
        if value and stored:
            raise click.UsageError(
                f"{option} does not go with --stored, which applies the settings to all"
                " images of an instance and classifies nothing."
            )


def _apply_stored(
    app: Flask, state: State, scope: Scope, dry_run: bool, summary: bool
) -> None:
    instance = scope.instance or SYSTEM
    if not dry_run:
        jobs = state.database.transact(
            lambda session: enqueue_for(session, state, instance)
        )
        state.runner.wake(app, state, jobs)
        click.echo(
            f"{counted(len(jobs), 'instance')} queued: the settings are applied to"
            " stored predictions."
        )
        return
    instances = state.database.transact(
        lambda session: affected(session, state, instance)
    )
    with _advancing(state, scope, summary) as advance:
        _tell(stored_differences(state, instances, advance), summary)


def _queue(
    app: Flask, state: State, retagging: Retagging, scope: Scope, now: bool, yes: bool
) -> None:
    with progress("Looking for images", _known(state, scope)) as advance:
        found = retagging.count(advance)
    total = found.stale.total()
    click.echo(f"{counted(total, 'image')} to classify again.")
    for instance, number in sorted(found.stale.items()):
        click.echo(f"    {instance}: {number:,}")
    ask_about_costs(state, found.unpaid, yes)
    queue_all(app, state, retagging.queue(), total, now)
    tell_problems(retagging.problems)


def _preview(
    state: State,
    retagging: Retagging,
    scope: Scope,
    summary: bool,
    paid: bool,
    yes: bool,
) -> None:
    if paid:
        with progress("Looking for images", _known(state, scope)) as advance:
            found = retagging.count(advance)
        ask_about_costs(state, found.unpaid, yes)
    try:
        with _advancing(state, scope, summary) as advance:
            differences = retagging.differences(
                advance, paid=paid, processes=default_processes()
            )
            _tell(differences, summary)
    finally:
        state.pool.close()
    tell_problems(retagging.problems)


def _advancing(
    state: State, scope: Scope, summary: bool
) -> AbstractContextManager[Advance]:
    """Show a bar, unless lines do."""
    if summary:
        return progress("Comparing images", _known(state, scope))
    return nullcontext(lambda number: None)


def _tell(differences: Iterable[Difference], summary: bool) -> None:
    """Write a line for each image that changes, and the totals."""
    seen = Preview()
    for each in differences:
        seen.count(each)
        if each.is_change and not summary:
            click.echo(_line(each))
    for line in _totals(seen):
        click.echo(line)


def _line(difference: Difference) -> str:
    """Write one image, such as ``photo 12 (news): + cat  - wolf  = 3 kept``."""
    parts = [
        f"{sign} {', '.join(tags)}"
        for sign, tags in (("+", difference.added), ("-", difference.removed))
        if tags
    ]
    parts.append(f"= {len(difference.kept)} kept")
    return f"{difference.asset} ({difference.instance}): {'  '.join(parts)}"


def _totals(seen: Preview) -> Iterator[str]:
    yield (
        f"{counted(seen.images, 'image')}: {counted(seen.tags_added, 'tag')} added,"
        f" {seen.tags_removed:,} removed, {seen.tags_kept:,} kept."
    )
    for sign, tags in (("+", seen.most_added), ("-", seen.most_removed)):
        if tags:
            most = ", ".join(f"{tag} ({number:,})" for tag, number in tags)
            yield f"    {sign} {most}"


def _known(state: State, scope: Scope) -> int:
    models = state.database.models
    return state.database.transact(lambda session: count_assets(session, models, scope))
