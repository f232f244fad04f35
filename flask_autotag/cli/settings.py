"""``flask autotag settings …`` and ``rotate-keys``: the settings from the shell."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import click
from flask.cli import AppGroup, with_appcontext
from sqlalchemy.orm import Session

from ..assets import SYSTEM
from ..errors import SettingsError
from ..jobs.rules import enqueue_for
from ..nearest import did_you_mean
from ..settings import fields as declared
from ..settings.edit import save, save_in
from ..settings.fields import Field, dotted, paths
from ..settings.resolution import Layers
from ..settings.secret import Secret
from ..state import State
from .common import WHO, check_instance, counted, current, layer_option, scope_name

#: Version of the file's form.
_FORM = 1
#: What the file calls the system.
_SYSTEM_NAME = "system"

settings_cli = AppGroup("settings", help="Show and change settings, as the pages do.")


@settings_cli.command("show")
@layer_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(instance: str, as_json: bool) -> None:
    """Show every value, and where it comes from."""
    _, state = current()
    check_instance(state, instance)
    layers = _layers(state, [instance])[instance]
    settings = layers.resolve()
    lines = {
        path: (_written(settings.value(path), layers, path), settings.origins[path])
        for path in paths(state.sections)
    }
    if as_json:
        found = {
            dotted(path): {"value": value, "origin": origin.value}
            for path, (value, origin) in lines.items()
        }
        click.echo(json.dumps(found, indent=2))
        return
    width = max(len(dotted(path)) for path in lines)
    for path, (value, origin) in lines.items():
        shown = "-" if value is None else value
        click.echo(f"{dotted(path):<{width}}  {shown!s:<24}  {origin.value}")


@settings_cli.command("set")
@layer_option
@click.argument("key")
@click.argument("value", required=False)
@click.option("--apply", "applied", is_flag=True, help="To existing images too.")
def set_value(instance: str, key: str, value: str | None, applied: bool) -> None:
    """Set KEY, such as tensorflow.confidence_threshold, to VALUE.

    Secrets are typed at a prompt, or read from standard input; they are not taken from
    the command line, which others can see.
    """
    _, state = current()
    path, field = _field(state, key)
    if field.is_secret:
        if value is not None:
            raise click.UsageError(
                f"{key} is a secret, and others see the command line: leave the value"
                " out and type it, or pipe it in."
            )
        value = _secret(field)
    elif value is None:
        raise click.UsageError(f"{key} needs a value; 'unset' makes it inherit.")
    jobs = _save(state, instance, {path: value}, applied)
    click.echo(f"{key} is set for {scope_name(instance)}.")
    _tell_applied(jobs, applied)


@settings_cli.command("unset")
@layer_option
@click.argument("key")
@click.option("--apply", "applied", is_flag=True, help="To existing images too.")
def unset(instance: str, key: str, applied: bool) -> None:
    """Let KEY inherit its value again."""
    _, state = current()
    path, _ = _field(state, key)
    jobs = _save(state, instance, {path: None}, applied)
    name = scope_name(instance)
    click.echo(
        f"{key} is inherited by {name}."
        if instance
        else f"{key} is no longer set for {name}: the application's configuration"
        " counts, or the default."
    )
    _tell_applied(jobs, applied)


@settings_cli.command("export")
@click.argument("file", type=click.File("w", encoding="utf-8"), default="-")
def export(file: IO[str]) -> None:
    """Write what was saved for the system and all instances to FILE, as JSON.

    Secrets are left out.
    """
    _, state = current()
    names = state.database.transact(
        lambda session: state.stored_settings().instances(session)
    )
    layers = _layers(state, [SYSTEM, *names])
    found = {
        name: {
            dotted(path): value
            for path, value in layers[name].own.items()
            if not isinstance(value, Secret)
        }
        for name in sorted(layers)
    }
    content = {
        "flask_autotag": _FORM,
        _SYSTEM_NAME: found.pop(SYSTEM),
        "instances": {name: values for name, values in found.items() if values},
    }
    file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@settings_cli.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--dry-run", is_flag=True, help="Check the file, and save nothing.")
def import_(file: IO[str], dry_run: bool) -> None:
    """Save what FILE, written by export, says; all of it, or nothing.

    What it does not name stays as it is.
    """
    _, state = current()
    wanted = _read_file(state, file)

    def work(session: Session) -> None:
        for instance, typed in wanted.items():
            try:
                save_in(
                    session,
                    state.stored_settings(),
                    instance,
                    typed,
                    model_dir=state.config.model_dir,
                    who=WHO,
                )
            except SettingsError as error:
                raise click.ClickException(f"{scope_name(instance)}: {error}") from None
        if dry_run:
            session.rollback()

    state.database.transact(work)
    number = sum(map(len, wanted.values()))
    settings = "1 setting" if number == 1 else f"{number} settings"
    click.echo(
        f"{settings} can be imported." if dry_run else f"{settings} were imported."
    )


@click.command("rotate-keys")
@with_appcontext
def rotate_keys() -> None:
    """Encrypt the stored API keys again, with the newest secret.

    Put a new secret first into AUTOTAG_SECRET_KEYS, restart the application, run this;
    then the old secret can go.
    """
    _, state = current()
    stored = state.stored_settings()
    if not stored.sealer.is_ready:
        raise click.ClickException("Set AUTOTAG_SECRET_KEYS or SECRET_KEY first.")
    rotated, failed = state.database.transact(stored.rotate)
    click.echo(f"{_keys(rotated)} encrypted again.")
    if failed:
        raise click.ClickException(
            f"{_keys(failed)} cannot be decrypted with any of the secrets: add the old"
            " secret to AUTOTAG_SECRET_KEYS, or type the keys again."
        )


def _read_file(state: State, file: IO[str]) -> dict[str, dict[declared.Path, Any]]:
    try:
        content = json.load(file)
        if content["flask_autotag"] != _FORM:
            raise ValueError
        scopes: dict[str, Mapping[str, Any]] = {
            SYSTEM: dict(content.get(_SYSTEM_NAME, {})),
            **{name: dict(one) for name, one in content.get("instances", {}).items()},
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        raise click.ClickException(
            f"{Path(file.name).name} is no file that 'settings export' wrote."
        ) from None
    for name in scopes:
        check_instance(state, name)
    return {
        name: {_field(state, key)[0]: value for key, value in one.items()}
        for name, one in scopes.items()
    }


def _field(state: State, key: str) -> tuple[declared.Path, Field]:
    known = {dotted(path): (path, one) for path, one in paths(state.sections).items()}
    if key not in known:
        hint = (
            did_you_mean(key, known, ".")
            or "'flask autotag settings show' has them all."
        )
        raise click.ClickException(f"There is no setting {key!r:.80}. {hint}")
    return known[key]


def _secret(field: Field) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(field.label, hide_input=True))
    return sys.stdin.readline().strip()


def _save(
    state: State, instance: str, typed: Mapping[declared.Path, Any], applied: bool
) -> list[int]:
    """Save values.

    :param applied: whether to apply them to existing images too.
    :return: the ids of the jobs that do so, one an instance.
    """
    check_instance(state, instance)
    jobs: list[int] = []
    try:
        save(
            state.database,
            state.stored_settings(),
            instance,
            typed,
            model_dir=state.config.model_dir,
            who=WHO,
            also=lambda session: jobs.extend(
                enqueue_for(session, state, instance) if applied else ()
            ),
        )
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    state.runner.wake(current()[0], state, jobs)
    return jobs


def _tell_applied(jobs: Sequence[int], applied: bool) -> None:
    if applied and jobs:
        where = counted(len(jobs), "instance")
        click.echo(f"Queued for the existing images of {where}; nothing is classified.")
    elif applied:
        click.echo("There are no existing images.")


def _written(value: Any, layers: Layers, path: declared.Path) -> Any:
    """Write a value; of a secret only that it is set, and its ending."""
    if not isinstance(value, Secret):
        own = layers.own.get(path)
        return "set, but not usable" if isinstance(own, Secret) else value
    return f"set, ending in {value.ending}" if value.ending else "set"


def _layers(state: State, names: list[str]) -> dict[str, Layers]:
    return state.database.transact(
        lambda session: state.stored_settings().layers_of(session, names)
    )


def _keys(number: int) -> str:
    return f"{number:,} {'key' if number == 1 else 'keys'}"
