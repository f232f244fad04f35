"""Asking before something is taken away, or paid for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import click

from ..providers.registry import enabled_elsewhere
from ..state import State
from .common import counted


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
    sentences = list(estimates(state, images))
    for sentence in sentences:
        click.echo(sentence, err=True)
    if sentences:
        ask("May these images be sent there?", yes)


def estimates(state: State, images: Mapping[str, int]) -> Iterable[str]:
    """Say for each instance and provider elsewhere what images of it may cost."""
    for instance, number in sorted(images.items()):
        for provider in enabled_elsewhere(state.settings_for(instance)):
            yield (
                f"{provider.section.title} gets up to {counted(number, 'image')} of the"
                f" instance {instance}."
            )
