"""Asking before something is taken away, or paid for."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from ..estimates import estimates
from ..state import State


def is_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def ask(question: str, yes: bool) -> None:
    """Ask whether to go on, and end the command if not.

    :param yes: whether that was said already, with ``--yes``.
    """
    if yes:
        return
    if not is_terminal():
        raise click.ClickException(
            "There is no terminal to ask on; --yes says that it may go on."
        )
    if not click.confirm(question, err=True):
        raise click.ClickException("Nothing was done.")


def ask_about_costs(state: State, images: Mapping[str, int], yes: bool) -> None:
    """Say what providers elsewhere may cost, and ask; if none is on, say nothing.

    :param images: how many may be sent, by instance.
    """
    lines = [
        line
        for instance in sorted(images)
        for line in _costs(state, instance, images[instance])
    ]
    for line in lines:
        click.echo(line, err=True)
    if lines:
        ask("May these images be sent there?", yes)


def _costs(state: State, instance: str, number: int) -> list[str]:
    settings, models = state.settings_for(instance), state.database.models
    found = state.database.transact(
        lambda session: estimates(session, models, settings, instance, number)
    )
    return [f"{instance or 'system'}: {each.sentence}" for each in found]
