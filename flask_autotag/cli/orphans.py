"""``flask autotag forget-orphans``."""

from __future__ import annotations

from collections.abc import Iterable

import click
from flask.cli import with_appcontext

from ..jobs.bulk.orphans import Orphans, count_orphans, forget_orphans
from .confirm import confirm
from .options import (
    asset_filter,
    counted,
    current,
    echo_line,
    instance_option,
    long_running,
    type_option,
    yes_option,
)
from .progress import progress


@click.command("forget-orphans")
@with_appcontext
@instance_option
@type_option
@click.option("--dry-run", is_flag=True, help="Only count the images and jobs.")
@yes_option
def forget(
    instance: str | None, asset_type: str | None, dry_run: bool, yes: bool
) -> None:
    """Forget the images of watched models whose rows are deleted.

    Sessions that delete objects forget their images. Run this command after a bulk
    DELETE, ON DELETE CASCADE, or changes by other programs. It deletes the tags,
    people's decisions, predictions and jobs of each key without a row.
    """
    _, state = current()
    scope = asset_filter(state, instance, asset_type)
    with long_running():
        with progress("Looking for rows") as advance:
            found = count_orphans(state, scope, advance)
        click.echo(f"{_total(found)} without a row.")
        _echo_types(found)
        if dry_run or not any(each.images or each.jobs for each in found):
            return
        confirm("Forget them, with people's decisions?", yes)
        with progress("Forgetting") as advance:
            forgotten = forget_orphans(state, scope, advance)
        click.echo(f"{_total(forgotten)} forgotten.")


def _total(found: Iterable[Orphans]) -> str:
    each = [(orphans.images, orphans.jobs) for orphans in found]
    images, jobs = (sum(numbers) for numbers in zip(*each, strict=True))
    return f"{counted(images, 'image')} and {counted(jobs, 'job')}"


def _echo_types(found: Iterable[Orphans]) -> None:
    for each in found:
        if each.images or each.jobs:
            echo_line(f"    {each.asset_type}: {_total([each])}")
