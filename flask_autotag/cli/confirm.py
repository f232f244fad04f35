"""Questions before a command deletes something or costs money."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from ..characters import printable
from ..classification.estimates import estimates
from ..runtime.state import State


def is_terminal() -> bool:
    """Whether standard input is a terminal, so that a question can be answered."""
    return sys.stdin.isatty()


def confirm(question: str, yes: bool) -> None:
    """Ask whether to continue.

    :param yes: the value of ``--yes``, which answers the question.
    :raises click.ClickException: if the answer is no, or there is no terminal.
    """
    if yes:
        return
    if not is_terminal():
        raise click.ClickException(
            "There is no terminal to ask on. Add --yes to answer yes."
        )
    if not click.confirm(question, err=True):
        raise click.ClickException("Nothing was done.")


def ask_about_costs(state: State, images: Mapping[str, int], yes: bool) -> None:
    """Show what remote providers may cost, and ask; do nothing if none is enabled.

    :param images: number of images that may be sent, by instance.
    """
    lines = [
        line
        for instance in sorted(images)
        for line in _costs(state, instance, images[instance])
    ]
    for line in lines:
        click.echo(line, err=True)
    if lines:
        confirm("Send these images?", yes)


def _costs(state: State, instance: str, number: int) -> list[str]:
    settings, models = state.settings_for(instance), state.database.models
    costs = state.database.transact(
        lambda session: estimates(session, models, settings, instance, number)
    )
    layer = printable(instance or "system")
    return [f"{layer}: {each.sentence}" for each in costs]
