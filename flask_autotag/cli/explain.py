"""``flask autotag explain`` and ``try``: why an image has, or would get, its tags."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import click
from flask import Flask
from flask.cli import with_appcontext

from ..characters import printable
from ..classification import remote
from ..errors import TaggingError
from ..host.assets import DEFAULT_INSTANCE, SYSTEM, AssetRef
from ..host.image_source import read
from ..runtime.state import State
from ..settings.resolution import Settings
from ..tags.explanation import (
    Decision,
    ExplainedLabel,
    Explanation,
    explain_labels,
)
from ..tags.explanation import explain as explain_asset
from ..tags.queries.instances import instances_of
from ..tags.queries.latest_job import LatestJob, latest_job
from ..web.access import instances
from .confirm import ask_about_costs
from .options import (
    check_instance,
    check_text,
    current,
    echo_line,
    join_names,
    long_running,
    yes_option,
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("explain")
@with_appcontext
@click.argument("asset_type", metavar="TYPE", callback=check_text)
@click.argument("asset_id", metavar="ID", callback=check_text)
@click.option(
    "--instance",
    callback=check_text,
    help="The instance of the image; required if several instances have it.",
)
@json_option
def explain(
    asset_type: str, asset_id: str, instance: str | None, as_json: bool
) -> None:
    """Explain why the image TYPE ID, such as photo 42, has its tags and no others."""
    _, state = current()
    with long_running():
        asset = AssetRef(asset_type, asset_id)
        explanation, job = _explain(state, asset, instance)
    if as_json:
        content = {**asdict(explanation), "job": job and asdict(job)}
        click.echo(json.dumps(content, indent=2, default=str))
        return
    tagged_at = explanation.tagged_at
    when = "never" if tagged_at is None else f"{tagged_at:%Y-%m-%d %H:%M}"
    echo_line(f"{asset} ({explanation.instance}), classified: {when}")
    if job is not None and job.sentences():
        sentences = " ".join(job.sentences())
        echo_line(f"Its latest job, {job.moment:%Y-%m-%d %H:%M}: {sentences}")
    for line in _tables(explanation.labels):
        click.echo(line)
    if explanation.decisions:
        click.echo("\nDecided by people")
    for decision in explanation.decisions:
        click.echo(f"    {_decision_line(decision)}")


@click.command("try")
@with_appcontext
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE…")
@click.option(
    "--instance",
    callback=check_text,
    help="Use the settings of this instance. Default: those of the instance 'default',"
    " or of the system if there is no such instance.",
)
@json_option
@yes_option
def try_files(
    files: tuple[str, ...], instance: str | None, as_json: bool, yes: bool
) -> None:
    """Classify each FILE and explain its tags, without storing anything.

    Remote providers that are on are asked too, after a confirmation. With --json, the
    output is one line for each file.
    """
    app, state = current()
    tenant = _default_instance(state) if instance is None else instance
    check_instance(state, tenant)
    failed = False
    with long_running():
        # Works while tagging is still off.
        settings = state.settings_for(tenant).with_value(("", "enabled"), True)
        ask_about_costs(state, {tenant: len(files)}, yes)
        try:
            for file in files:
                result = _try(app, state, file, tenant, settings)
                failed |= result.error is not None
                click.echo(json.dumps(asdict(result)) if as_json else result.text)
        finally:
            state.pool.close()
    if failed:
        raise click.exceptions.Exit(1)


def _default_instance(state: State) -> str:
    """Return "default", or the system if the host lists only other instances."""
    has_others = state.hooks.instance_lister and DEFAULT_INSTANCE not in instances()
    return SYSTEM if has_others else DEFAULT_INSTANCE


@dataclass(frozen=True)
class FileResult:
    """The labels of one file.

    :param error: why it could not be classified; ``None`` if it was.
    :param labels: as in :class:`.explanation.Explanation`.
    :param failures: why providers did not answer, by provider.
    """

    file: str
    error: str | None = None
    labels: tuple[ExplainedLabel, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text to print without ``--json``."""
        file = printable(self.file)
        if self.error is not None:
            return f"{file}: {printable(self.error)}"
        failures = (
            f"\n{name}: {printable(error)}" for name, error in self.failures.items()
        )
        return "\n".join((file, *_tables(self.labels), *failures, ""))


def _try(
    app: Flask, state: State, file: str, instance: str, settings: Settings
) -> FileResult:
    try:
        data = read(file, state.config.max_image_bytes)
        classified = remote.classify(app, state, instance, data, settings)
    except TaggingError as error:
        return FileResult(file, str(error))
    return FileResult(
        file,
        labels=explain_labels(classified.predictions, settings),
        failures={name: str(error) for name, error in classified.failures.items()},
    )


def _explain(
    state: State, asset: AssetRef, instance: str | None
) -> tuple[Explanation, LatestJob | None]:
    """Explain an asset of an instance; by default, of the only one that has it.

    :raises click.ClickException: if no instance has it, or several have.
    """
    models = state.database.models
    known = state.database.transact(
        lambda session: sorted(instances_of(session, models, [asset])[asset])
    )
    if not known or (instance is not None and instance not in known):
        others = f" These instances have it: {join_names(known)}." if known else ""
        raise click.ClickException(f"The image {asset} is not known.{others}")
    if instance is None and len(known) > 1:
        raise click.ClickException(
            f"Several instances have {asset}; choose one with --instance:"
            f" {join_names(known)}."
        )
    tenant = instance or known[0]
    settings = state.settings_for(tenant)
    return state.database.transact(
        lambda session: (
            explain_asset(session, models, asset, tenant, settings),
            latest_job(session, models, asset, tenant),
        )
    )


def _tables(labels: Iterable[ExplainedLabel]) -> Iterator[str]:
    """Write the labels of each provider as a table."""
    for (provider, model), group in itertools.groupby(
        labels, key=lambda label: (label.provider, label.model)
    ):
        yield f"\n{printable(provider)} ({printable(model)})"
        rows = [
            (
                _with_part(label),
                f"{label.confidence:.2f}",
                label.tag or "-",
                label.reason,
            )
            for label in group
        ]
        yield from _columns([("Label", "Confidence", "Tag", "Why"), *rows])


def _with_part(label: ExplainedLabel) -> str:
    """Return a label, and the part of the model if it is not a class."""
    return f"{label.label} ({label.part})" if label.part else label.label


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"    {'  '.join(cells).rstrip()}"


def _decision_line(decision: Decision) -> str:
    """Write a decision, such as "wolf: rejected by ada on 2026-11-25; …"."""
    answer = (
        ""
        if decision.provider is None
        else f"; {decision.provider} said {decision.confidence or 0:.2f}"
    )
    person = printable(decision.person or "somebody")
    return (
        f"{decision.tag}: {decision.state} by {person} on"
        f" {decision.decided_at:%Y-%m-%d %H:%M}{answer}"
    )
