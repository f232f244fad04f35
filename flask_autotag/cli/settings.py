"""``flask autotag settings …`` and ``rotate-keys``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import click
from flask.cli import AppGroup, with_appcontext
from sqlalchemy.orm import Session

from ..characters import printable
from ..errors import SettingsError
from ..host.assets import SYSTEM
from ..jobs.reapply_job import Reapplying, enqueue_for
from ..runtime.state import State
from ..settings import fields as declared
from ..settings.did_you_mean import did_you_mean
from ..settings.edit import save, save_in_transaction
from ..settings.fields import Field, dotted, paths
from ..settings.resolution import Layers
from ..settings.secret import Secret
from .options import (
    ACTOR,
    check_instance,
    counted,
    current,
    echo_line,
    echo_reapplying,
    layer_name,
    layer_option,
)

#: Version of the exported file's format.
_FORMAT = 1
#: The key of the system's values in the file.
_SYSTEM_KEY = "system"

apply_option = click.option(
    "--apply", "applied", is_flag=True, help="Apply it to existing images too."
)

settings_cli = AppGroup("settings", help="Show and change settings.")


@settings_cli.command("show")
@layer_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(instance: str, as_json: bool) -> None:
    """Show the value and origin of each setting."""
    _, state = current()
    check_instance(state, instance)
    layers = _layers(state, [instance])[instance]
    settings = layers.resolve()
    lines = {
        path: (_shown(settings.value(path), layers, path), settings.origins[path])
        for path in paths(state.sections)
    }
    if as_json:
        content = {
            dotted(path): {"value": value, "origin": origin.value}
            for path, (value, origin) in lines.items()
        }
        click.echo(json.dumps(content, indent=2))
        return
    width = max(len(dotted(path)) for path in lines)
    for path, (value, origin) in lines.items():
        text = "-" if value is None else str(value)
        echo_line(f"{dotted(path):<{width}}  {text:<24}  {origin.value}")


@settings_cli.command("set")
@layer_option
@click.argument("key")
@click.argument("value", required=False)
@apply_option
def set_value(instance: str, key: str, value: str | None, applied: bool) -> None:
    """Set KEY, such as tensorflow.confidence_threshold, to VALUE.

    A secret is typed at a prompt or read from standard input: other users of the
    machine can see the command line.
    """
    _, state = current()
    path, field = _field(state, key)
    if field.is_secret:
        if value is not None:
            raise click.UsageError(
                f"{key} is a secret, and other users can see the command line: leave"
                " out the value, then type it at the prompt or pipe it in."
            )
        value = _secret(field)
    elif value is None:
        raise click.UsageError(f"{key} needs a value. To inherit it, use 'unset'.")
    done = f"{key} is set for {layer_name(instance)}."
    _save(state, instance, {path: value}, applied, done)


@settings_cli.command("unset")
@layer_option
@click.argument("key")
@apply_option
def unset(instance: str, key: str, applied: bool) -> None:
    """Remove the value of KEY, so that it is inherited again."""
    _, state = current()
    path, _ = _field(state, key)
    name = layer_name(instance)
    done = (
        f"{key} is inherited by {name}."
        if instance
        else f"{key} is no longer set for {name}: the value from the application's"
        " configuration or the default applies."
    )
    _save(state, instance, {path: None}, applied, done)


@settings_cli.command("export")
@click.argument("file", type=click.File("w", encoding="utf-8"), default="-")
def export(file: IO[str]) -> None:
    """Write the saved settings of the system and all instances to FILE, as JSON.

    Secrets are left out.
    """
    _, state = current()
    names = state.database.transact(
        lambda session: state.stored_settings().instances(session)
    )
    layers = _layers(state, [SYSTEM, *names])
    saved = {
        name: {
            dotted(path): value
            for path, value in layers[name].own.items()
            if not isinstance(value, Secret)
        }
        for name in sorted(layers)
    }
    content = {
        "flask_autotag": _FORMAT,
        _SYSTEM_KEY: saved.pop(SYSTEM),
        "instances": {name: values for name, values in saved.items() if values},
    }
    file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@settings_cli.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--dry-run", is_flag=True, help="Check the file without saving anything.")
def import_(file: IO[str], dry_run: bool) -> None:
    """Save the settings in FILE, which 'export' wrote.

    All settings are saved or, after an error, none. Other settings stay unchanged.
    """
    _, state = current()
    imported = _read_file(state, file)

    def work(session: Session) -> None:
        for instance, typed in imported.items():
            try:
                save_in_transaction(
                    session,
                    state.stored_settings(),
                    instance,
                    typed,
                    model_dir=state.config.model_dir,
                    who=ACTOR,
                )
            except SettingsError as error:
                raise click.ClickException(f"{layer_name(instance)}: {error}") from None
        if dry_run:
            session.rollback()

    state.database.transact(work)
    settings = counted(sum(map(len, imported.values())), "setting")
    click.echo(f"{settings} {'can be imported' if dry_run else 'imported'}.")


@click.command("rotate-keys")
@with_appcontext
def rotate_keys() -> None:
    """Encrypt the stored API keys with the newest secret.

    First insert the new secret at the beginning of AUTOTAG_SECRET_KEYS and restart the
    application. After this command, remove the old secret.
    """
    _, state = current()
    stored = state.stored_settings()
    if not stored.sealer.is_ready:
        raise click.ClickException("Set AUTOTAG_SECRET_KEYS or SECRET_KEY first.")
    rotated, failed = state.database.transact(stored.rotate)
    click.echo(f"{counted(rotated, 'key')} encrypted again.")
    if failed:
        raise click.ClickException(
            f"{counted(failed, 'key')} cannot be decrypted with any secret: add the old"
            " secret to AUTOTAG_SECRET_KEYS, or enter the keys again."
        )


def _read_file(state: State, file: IO[str]) -> dict[str, dict[declared.Path, Any]]:
    try:
        content = json.load(file)
        if content["flask_autotag"] != _FORMAT:
            raise ValueError
        scopes: dict[str, Mapping[str, Any]] = {
            SYSTEM: dict(content.get(_SYSTEM_KEY, {})),
            **{name: dict(one) for name, one in content.get("instances", {}).items()},
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        name = printable(Path(file.name).name)
        raise click.ClickException(
            f"{name} was not written by 'flask autotag settings export'."
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
            or "'flask autotag settings show' lists all settings."
        )
        raise click.ClickException(f"There is no setting {key!r:.80}. {hint}")
    return known[key]


def _secret(field: Field) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(field.label, hide_input=True))
    return sys.stdin.readline().strip()


def _save(
    state: State,
    instance: str,
    typed: Mapping[declared.Path, Any],
    applied: bool,
    done: str,
) -> None:
    """Save values.

    :param applied: whether to apply them to existing images too.
    :param done: the text to print afterwards.
    """
    check_instance(state, instance)
    found = Reapplying()

    def apply(session: Session) -> None:
        nonlocal found
        found = enqueue_for(session, state, instance)

    try:
        save(
            state.database,
            state.stored_settings(),
            instance,
            typed,
            model_dir=state.config.model_dir,
            who=ACTOR,
            also=apply if applied else None,
        )
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    state.runner.wake(current()[0], state, found.jobs)
    click.echo(done)
    if applied:
        echo_reapplying(found)


def _shown(value: Any, layers: Layers, path: declared.Path) -> Any:
    """Return a value to print; for a secret, whether it is set, and its ending."""
    if not isinstance(value, Secret):
        own = layers.own.get(path)
        return "set, but not usable" if isinstance(own, Secret) else value
    return f"set, ending in {value.ending}" if value.ending else "set"


def _layers(state: State, names: list[str]) -> dict[str, Layers]:
    return state.database.transact(
        lambda session: state.stored_settings().layers_of(session, names)
    )
