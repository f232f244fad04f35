"""Options, checks and output that several commands share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click
from flask import Flask
from sqlalchemy.exc import OperationalError, ProgrammingError

from ..characters import printable
from ..errors import AutoTagError
from ..host.application import current_application
from ..host.assets import INSTANCE_LENGTH, SYSTEM
from ..host.assets import check_instance as check_name
from ..jobs.bulk.skipped import Skipped
from ..jobs.reapply_job import Reapplying
from ..runtime.state import State
from ..runtime.throttled_log import TABLES_ADVICE
from ..tags.batches import AssetFilter, count_assets
from ..web.access import instances

#: The author of changes by commands, in histories and decisions.
ACTOR = "command line"


def check_text(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> str | None:
    """Refuse an argument that is not UTF-8: databases cannot search for it."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{value!r:.80} is not valid UTF-8.") from None
    return value


layer_option = click.option(
    "--instance",
    callback=check_text,
    default=SYSTEM,
    help="The instance. Default: the system.",
)
instance_option = click.option(
    "--instance",
    callback=check_text,
    help="Only images of this instance. Default: all.",
)
type_option = click.option(
    "--type",
    "asset_type",
    callback=check_text,
    help="Only images of this type, such as a model's table. Default: all.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def current() -> tuple[Flask, State]:
    """Return the application and the extension's state for it."""
    app: Flask = current_application()
    state = app.extensions["autotag"].state_of(app)
    with reporting_errors():
        state.database.check()
    return app, state


def check_instance(state: State, instance: str) -> None:
    """Check the name of an instance.

    :raises click.ClickException: if it is invalid, or the host does not list it.
    """
    if len(instance) > INSTANCE_LENGTH:
        raise click.ClickException(
            f"The name of an instance has at most {INSTANCE_LENGTH} characters."
        )
    if instance != SYSTEM:
        with reporting_errors():
            check_name(instance)
    if instance != SYSTEM and state.hooks.instance_lister is not None:
        known = instances()
        if instance not in known:
            raise click.ClickException(
                f"There is no instance {instance!r}. Instances: {join_names(known)}."
            )


def asset_filter(
    state: State, instance: str | None, asset_type: str | None
) -> AssetFilter:
    """Return the filter that a command's options describe."""
    if instance is not None:
        check_instance(state, instance)
    return AssetFilter(instance, asset_type)


def layer_name(instance: str) -> str:
    """Return the name of an instance, or of the system, for a sentence."""
    return f"the instance {printable(instance)}" if instance else "the system"


def join_names(names: Iterable[str]) -> str:
    """Return untrusted names as a list for a sentence."""
    return printable(", ".join(names))


def echo_line(text: str) -> None:
    """Print one line that may contain untrusted names."""
    click.echo(printable(text))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1,200 images" or "1 image"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def echo_reapplying(found: Reapplying) -> None:
    """Print whether settings or words are being applied to existing images."""
    if found.updated:
        click.echo(
            f"The existing images of {counted(found.updated, 'instance')} will be"
            " updated; none is classified again."
        )
    if found.unchanged:
        click.echo(
            f"The existing images of {counted(found.unchanged, 'instance')} keep the"
            " tags of providers: auto tagging or every provider is off there."
        )
    if not found.updated and not found.unchanged:
        click.echo("There are no existing images.")


def asset_count(state: State, scope: AssetFilter) -> int:
    """Return the number of known assets in *scope*."""
    models = state.database.models
    return state.database.transact(lambda session: count_assets(session, models, scope))


def echo_skipped(skipped: Skipped, what: str = "could not be read") -> None:
    """Print the images that were left out, to standard error.

    :param what: the end of a sentence that begins with their number.
    """
    if not skipped.count:
        return
    click.echo(f"{counted(skipped.count, 'image')} {what}:", err=True)
    for sentence in skipped.named:
        click.echo(f"    {sentence}", err=True)
    if skipped.count > len(skipped.named):
        click.echo(f"    … and {skipped.count - len(skipped.named):,} more", err=True)


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Print an error of the extension as one sentence, without a traceback."""
    try:
        yield
    except AutoTagError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def reporting_missing_tables() -> Iterator[None]:
    """Turn the error of a database without our tables into advice."""
    try:
        yield
    except (OperationalError, ProgrammingError) as error:
        raise click.ClickException(
            f"The queue cannot be read ({type(error).__name__}). {TABLES_ADVICE}"
            " 'flask autotag doctor' shows the details."
        ) from None


@contextmanager
def long_running() -> Iterator[None]:
    """Report how a long command failed, or that it was interrupted."""
    with reporting_errors(), reporting_missing_tables():
        try:
            yield
        except KeyboardInterrupt:
            click.echo(
                "\nStopped. Finished work is kept. Run the command again to continue.",
                err=True,
            )
            raise click.exceptions.Exit(130) from None


#: The address that only this machine can reach.
LOOPBACK = "127.0.0.1"


_ADDRESS = re.compile(
    r"(?:(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s:\[\]]*)):)?(?P<port>[0-9]{1,5})"
)


def read_address(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """Parse a host and a port, such as ``127.0.0.1:9187``, ``[::1]:9187`` or ``9187``.

    The default host is :data:`LOOPBACK`.
    """
    if value is None:
        return None
    match = _ADDRESS.fullmatch(value)
    if match is None or int(match["port"]) > 65535:
        raise click.BadParameter(f"{value!r} is not an address such as 127.0.0.1:9187.")
    return match["six"] or match["name"] or LOOPBACK, int(match["port"])
