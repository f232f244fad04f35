"""What several commands need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask import Flask, current_app
from sqlalchemy.exc import OperationalError, ProgrammingError

from ..admin.access import instances
from ..assets import INSTANCE_LENGTH, SYSTEM
from ..errors import AutoTagError
from ..portions import Scope
from ..problems import Problems
from ..state import State
from ..troubles import TABLES_ADVICE

#: Stands for whoever has the shell, in histories and decisions.
WHO = "command line"


def check_text(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> str | None:
    """Refuse bytes of the shell that are no UTF-8: no database can look for them."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{value!r:.80} is not valid UTF-8.") from None
    return value


layer_option = click.option(
    "--instance",
    callback=check_text,
    default=SYSTEM,
    help="Those of this tenant; else the system's.",
)
instance_option = click.option(
    "--instance",
    callback=check_text,
    help="Only images of this tenant; of all by default.",
)
type_option = click.option(
    "--type",
    "asset_type",
    callback=check_text,
    help="Only images of this type, such as a model's table; of all by default.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def current() -> tuple[Flask, State]:
    """Give the application, and what the extension keeps for it."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    state = app.extensions["autotag"].state_of(app)
    with telling():
        state.database.check()
    return app, state


def check_instance(state: State, instance: str) -> None:
    """Refuse a tenant that the host does not list."""
    if len(instance) > INSTANCE_LENGTH:
        raise click.ClickException(
            f"The name of an instance has at most {INSTANCE_LENGTH} characters."
        )
    if instance != SYSTEM and state.hooks.instance_lister is not None:
        known = instances()
        if instance not in known:
            raise click.ClickException(
                f"There is no instance {instance!r}; there are: {', '.join(known)}."
            )


def read_scope(state: State, instance: str | None, asset_type: str | None) -> Scope:
    """Make a scope of the options of a command."""
    if instance is not None:
        check_instance(state, instance)
    return Scope(instance, asset_type)


def scope_name(instance: str) -> str:
    """Name a tenant, or the system, within a sentence."""
    return f"the instance {instance}" if instance else "the system"


def counted(number: int, noun: str) -> str:
    """Write a number of things, such as "1,200 images" or "1 image"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def tell_problems(problems: Problems) -> None:
    """Name the images that could not be looked at."""
    if not problems.count:
        return
    click.echo(f"{counted(problems.count, 'image')} could not be read:", err=True)
    for sentence in problems.named:
        click.echo(f"    {sentence}", err=True)
    if problems.count > len(problems.named):
        click.echo(f"    … and {problems.count - len(problems.named):,} more", err=True)


@contextmanager
def telling() -> Iterator[None]:
    """Show an error of the extension as one sentence."""
    try:
        yield
    except AutoTagError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def telling_of_tables() -> Iterator[None]:
    """Turn what a database without our tables says into advice."""
    try:
        yield
    except (OperationalError, ProgrammingError) as error:
        raise click.ClickException(
            f"The queue cannot be read ({type(error).__name__}). {TABLES_ADVICE}"
            " 'flask autotag doctor' tells more."
        ) from None


@contextmanager
def working() -> Iterator[None]:
    """Tell what becomes of a command that works long: it failed, or was interrupted."""
    with telling(), telling_of_tables():
        try:
            yield
        except KeyboardInterrupt:
            click.echo(
                "\nStopped. What was done stays; run it again for the rest.", err=True
            )
            raise click.exceptions.Exit(130) from None
