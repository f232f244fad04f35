"""``flask autotag explain`` and ``try``: why an image has its tags, or would."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import click
from flask import Flask
from flask.cli import with_appcontext

from .. import remote
from ..admin.access import instances
from ..assets import DEFAULT_INSTANCE, SYSTEM, AssetRef
from ..errors import TaggingError
from ..explain import (
    Decision,
    ExplainedLabel,
    Explanation,
    explain_labels,
)
from ..explain import explain as explain_asset
from ..instances import instances_of
from ..last_job import LastJob, last_job
from ..settings.resolution import Settings
from ..sources import read
from ..state import State
from .common import check_instance, check_text, current, working, yes_option
from .consent import ask_about_costs

json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.command("explain")
@with_appcontext
@click.argument("asset_type", metavar="TYPE", callback=check_text)
@click.argument("asset_id", metavar="ID", callback=check_text)
@click.option(
    "--instance",
    callback=check_text,
    help="In this tenant; needed where several know the image.",
)
@json_option
def explain(
    asset_type: str, asset_id: str, instance: str | None, as_json: bool
) -> None:
    """Tell why the image TYPE ID, such as photo 42, has its tags and no others."""
    _, state = current()
    with working():
        asset = AssetRef(asset_type, asset_id)
        found, job = _explain(state, asset, instance)
    if as_json:
        about = {**asdict(found), "job": job and asdict(job)}
        click.echo(json.dumps(about, indent=2, default=str))
        return
    when = "never" if found.tagged_at is None else f"{found.tagged_at:%Y-%m-%d %H:%M}"
    click.echo(f"{asset} ({found.instance}), classified: {when}")
    if job is not None and job.sentences():
        click.echo(f"Its latest job, {job.moment:%Y-%m-%d %H:%M}:", nl=False)
        click.echo(f" {' '.join(job.sentences())}")
    for line in _tables(found.labels):
        click.echo(line)
    if found.decisions:
        click.echo("\nDecided by people")
    for decision in found.decisions:
        click.echo(f"    {_decided(decision)}")


@click.command("try")
@with_appcontext
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE…")
@click.option(
    "--instance",
    callback=check_text,
    help="With the settings of this tenant; else of 'default', or of the system if"
    " there is no such tenant.",
)
@json_option
@yes_option
def try_files(
    files: tuple[str, ...], instance: str | None, as_json: bool, yes: bool
) -> None:
    """Classify each FILE, and tell what would apply and why; nothing is stored.

    Providers elsewhere that are on are asked too, after a question. With --json, each
    file is one line.
    """
    app, state = current()
    tenant = _usual(state) if instance is None else instance
    check_instance(state, tenant)
    failed = False
    with working():
        # Tagging need not be on to try it.
        settings = state.settings_for(tenant).with_value(("", "enabled"), True)
        ask_about_costs(state, {tenant: len(files)}, yes)
        try:
            for file in files:
                found = _try(app, state, file, tenant, settings)
                failed |= found.error is not None
                click.echo(json.dumps(asdict(found)) if as_json else found.text)
        finally:
            state.pool.close()
    if failed:
        raise click.exceptions.Exit(1)


def _usual(state: State) -> str:
    """Give the instance of a host without tenants; the system where it has others."""
    has_others = state.hooks.instance_lister and DEFAULT_INSTANCE not in instances()
    return SYSTEM if has_others else DEFAULT_INSTANCE


@dataclass(frozen=True)
class Tried:
    """What came of one file.

    :param error: why it could not be classified.
    :param labels: as in :class:`.explain.Explanation`.
    :param failures: why providers did not answer, by name.
    """

    file: str
    error: str | None = None
    labels: tuple[ExplainedLabel, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What people read."""
        # A name of bytes that are no text cannot be written as it is.
        file = click.format_filename(self.file)
        if self.error is not None:
            return f"{file}: {self.error}"
        failures = (f"\n{name}: {error}" for name, error in self.failures.items())
        return "\n".join((file, *_tables(self.labels), *failures, ""))


def _try(
    app: Flask, state: State, file: str, instance: str, settings: Settings
) -> Tried:
    try:
        data = read(file, state.config.max_image_bytes)
        found = remote.classify(app, state, instance, data, settings)
    except TaggingError as error:
        return Tried(file, str(error))
    return Tried(
        file,
        labels=explain_labels(found.predictions, settings),
        failures={name: str(error) for name, error in found.failures.items()},
    )


def _explain(
    state: State, asset: AssetRef, instance: str | None
) -> tuple[Explanation, LastJob | None]:
    """Explain an asset in an instance, or in the only one that knows it."""
    models = state.database.models
    known = state.database.transact(
        lambda session: instances_of(session, models, asset)
    )
    if not known or (instance is not None and instance not in known):
        where = f"; it is known in: {', '.join(known)}" if known else ""
        raise click.ClickException(f"Nothing is known of {asset}{where}.")
    if instance is None and len(known) > 1:
        raise click.ClickException(
            f"Several instances know {asset}; choose one with --instance:"
            f" {', '.join(known)}."
        )
    tenant = instance or known[0]
    settings = state.settings_for(tenant)
    return state.database.transact(
        lambda session: (
            explain_asset(session, models, asset, tenant, settings),
            last_job(session, models, asset, tenant),
        )
    )


def _tables(labels: Iterable[ExplainedLabel]) -> Iterator[str]:
    """Write what each provider said as a table."""
    for (provider, model), group in itertools.groupby(
        labels, key=lambda label: (label.provider, label.model)
    ):
        yield f"\n{provider} ({model})"
        rows = [
            (_named(label), f"{label.confidence:.2f}", label.tag or "-", label.reason)
            for label in group
        ]
        yield from _columns([("Label", "Confidence", "Tag", "Why"), *rows])


def _named(label: ExplainedLabel) -> str:
    return f"{label.label} (broader)" if label.broader else label.label


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"    {'  '.join(cells).rstrip()}"


def _decided(decision: Decision) -> str:
    """Write a decision, such as "wolf: rejected by ada on 2026-11-25; …"."""
    said = (
        ""
        if decision.provider is None
        else f"; {decision.provider} said {decision.confidence or 0:.2f}"
    )
    return (
        f"{decision.tag}: {decision.state} by {decision.person or 'somebody'} on"
        f" {decision.decided_at:%Y-%m-%d %H:%M}{said}"
    )
