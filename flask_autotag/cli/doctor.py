"""``flask autotag doctor``."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from .options import current, echo_line


@click.command("doctor")
@click.option(
    "--repair",
    is_flag=True,
    help="First recount the images of all tags and correct wrong counters.",
)
@with_appcontext
def doctor(repair: bool) -> None:
    """Check the installation and show how to fix each problem."""
    from ..monitoring.doctor.checkup import examine
    from ..monitoring.doctor.counters import repair_counters
    from ..monitoring.doctor.finding import ERROR

    app, state = current()
    levels = set()
    repaired = (repair_counters(state),) if repair else ()
    for finding in (*repaired, *examine(app, state)):
        levels.add(finding.level)
        echo_line(f"{finding.level:<8} {finding.subject}: {finding.message}")
        if finding.fix is not None:
            echo_line(f"         → {finding.fix}")
    state.pool.close()
    if ERROR in levels:
        raise click.exceptions.Exit(1)
