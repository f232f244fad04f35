"""``flask autotag models …``: the TensorFlow models that can be chosen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask.cli import AppGroup, with_appcontext

from ..errors import ModelError, TaggingError
from ..host.assets import SYSTEM
from ..providers.registry import sections
from ..providers.tensorflow import model_store
from ..providers.tensorflow.model_file import (
    BUNDLED,
    ModelFile,
    available,
    find,
)
from ..providers.tensorflow.provider import TensorFlowProvider
from ..settings.fields import Path as SettingPath
from ..settings.fields import dotted
from ..settings.resolution import read_settings
from .options import current, echo_line, reporting_errors

if TYPE_CHECKING:
    from ..providers.base import Prediction
    from ..providers.tensorflow.download import ReportProgress
    from ..runtime.state import State

#: The settings that choose an instance's model and detector.
_MODEL, _DETECTOR = (
    (TensorFlowProvider.section.name, field) for field in ("model", "detector")
)

models_cli = AppGroup("models", help="List, add, remove and check TensorFlow models.")


@models_cli.command("list")
@with_appcontext
def list_models() -> None:
    """List installed models and models to download."""
    model_dir = current()[1].config.model_dir
    names = available(model_dir)
    for name in names:
        try:
            model = find(name, model_dir)
        except ModelError as error:
            echo_line(f"{name}: {error}")
            continue
        origin = "bundled" if model.network.parent.parent == BUNDLED else "added"
        kind = ", a detector" if model.detector else ""
        echo_line(f"{name}: {model.title}; {model.format}, {origin}{kind}")
    for name in model_store.downloadable():
        if name not in names:
            click.echo(f"{name}: 'flask autotag models add {name}' downloads it")


@models_cli.command("add")
@with_appcontext
@click.argument("model")
@click.option(
    "--from",
    "archive",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the download from this file, for machines without a network.",
)
@click.option("--name", help="Name of the model. Default: the name of its folder.")
def add(model: str, archive: Path | None, name: str | None) -> None:
    """Add MODEL: a download that 'list' names, or a folder with a model.toml.

    A detector is such a folder, too. The model is checked by classifying an image; a
    model that fails is removed again.
    """
    _, state = current()
    model_dir = _model_dir(state)
    with reporting_errors():
        if model in model_store.downloadable():
            with _progress(model) as progress:
                added = model_store.add_download(model, model_dir, archive, progress)
        elif Path(model).is_dir():
            source = Path(model).resolve()
            added = model_store.add_folder(source, name or source.name, model_dir)
        else:
            raise ModelError(
                f"{model!r:.80} is neither a folder with a model.toml nor one of:"
                f" {', '.join(model_store.downloadable())}."
            )
        try:
            _try(state, added.name)
        except TaggingError:
            model_store.remove(added.name, model_dir)
            raise
    click.echo(
        "Choose it on the settings page, or with 'flask autotag settings set"
        f" {dotted(_field(added))} {added.name}'."
    )


@models_cli.command("remove")
@with_appcontext
@click.argument("name")
def remove(name: str) -> None:
    """Delete the model NAME, unless an instance or the system has chosen it."""
    _, state = current()
    with reporting_errors():
        chosen = [each or "the system" for each in _choosers(state, name)]
        if chosen:
            raise ModelError(
                f"The model {name} is chosen in {', '.join(chosen)}. Choose another"
                " model there first."
            )
        model_store.remove(name, _model_dir(state))
    click.echo(f"The model {name} is deleted.")


@models_cli.command("check")
@with_appcontext
@click.argument("names", nargs=-1)
def check(names: tuple[str, ...]) -> None:
    """Check models by classifying an image with each; by default all models."""
    _, state = current()
    failed = False
    for name in names or available(state.config.model_dir):
        try:
            _try(state, name)
        except TaggingError as error:
            failed = True
            echo_line(f"{name}: {error}")
    if failed:
        raise click.exceptions.Exit(1)


def _try(state: State, name: str) -> None:
    """Classify an image twice and print the times.

    :raises TaggingError: if it fails.
    """
    model = find(name, state.config.model_dir)
    model.check()
    started = time.perf_counter()
    try:
        _classify(state, model)
        first = time.perf_counter() - started
        [prediction] = _classify(state, model)
    finally:
        state.pool.close()
    second = time.perf_counter() - started - first
    echo_line(
        f"{name}: {prediction.model}, {_count_labels(model)}; the first image"
        f" took {first:.1f} s, the next {second * 1000:.0f} ms"
    )


def _field(model: ModelFile) -> SettingPath:
    """Return the setting that chooses a model."""
    return _DETECTOR if model.detector else _MODEL


def _count_labels(model: ModelFile) -> str:
    labels = f"{len(model.labels):,} labels"
    if model.detector is None:
        return labels
    return f"{len(model.detector.allowed):,} of {labels} allowed"


def _classify(state: State, model: ModelFile) -> list[Prediction]:
    """Classify an image with a model, or with the bundled one beside a detector."""
    from ..classification.decode import sample_image
    from ..classification.sandbox.question import Question

    settings = read_settings(sections(), {}).with_value(_field(model), model.name)
    question = Question(
        sample_image(), [TensorFlowProvider], settings, state.config.machine
    )
    return list(state.pool.classify(question).predictions)


def _choosers(state: State, name: str) -> Iterator[str]:
    """Yield the instances that have chosen a model; ``""`` is the system."""
    stored = state.stored_settings()
    with state.database.begin() as session:
        names = [SYSTEM, *sorted(stored.instances(session))]
        layers = stored.layers_of(session, names)
    for instance in names:
        settings = layers[instance].resolve()
        if name in (settings.value(_MODEL), settings.value(_DETECTOR)):
            yield instance


@contextmanager
def _progress(name: str) -> Iterator[ReportProgress]:
    """Show a progress bar for a download."""
    with click.progressbar(length=0, label=f"Downloading {name}") as bar:

        def show(done: int, whole: int | None) -> None:
            bar.length = whole or done
            bar.update(done - bar.pos)

        yield show


def _model_dir(state: State) -> str:
    if state.config.model_dir is None:
        raise click.ClickException(
            "Set AUTOTAG_MODEL_DIR to an existing folder for models first."
        )
    return state.config.model_dir
