"""Images with outdated predictions: another model or fewer providers than today.

They are queued to be classified again, or classified at once for a dry run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from ...characters import one_line
from ...classification import remote
from ...classification.request import Classified
from ...db.columns import MODEL_LENGTH
from ...db.models import Models
from ...db.sql import lock_writers
from ...errors import ImageMissing, TaggingError
from ...host.assets import AssetRef
from ...host.image_source import read
from ...providers.base import (
    LocalProvider,
    Prediction,
    Provider,
    RemoteProvider,
)
from ...providers.registry import enabled, remote_enabled
from ...providers.remote_call import missing_fields
from ...providers.tensorflow.provider import TensorFlowProvider
from ...runtime.state import State
from ...settings.machine import Machine
from ...settings.resolution import Settings
from ...tags import reapply
from ...tags.batches import Advance, AssetFilter, read_batch
from ...tags.reapply import Difference
from ...tags.store import Entry, read_predictions
from ..image_loading import load_asset
from ..queue import enqueue_bulk
from ..reclassify import Key, make_intent, require_path, source_paths
from .skipped import Skipped

if TYPE_CHECKING:
    from flask import Flask

#: Images that a dry run classifies before it compares their tags.
_DRY_RUN_BATCH = 32


@dataclass(frozen=True)
class RetagOptions:
    """Which images to classify again, and how.

    :param scope: the images to look at.
    :param everything: classify all of them; by default only the outdated ones.
    :param model: a TensorFlow model for a dry run; by default the model that each
        instance has chosen.
    """

    scope: AssetFilter
    everything: bool = False
    model: str | None = None


@dataclass(frozen=True)
class Stale:
    """An image to classify again.

    :param key: primary key of its row.
    :param unanswered: enabled providers without a stored prediction of their present
        model.
    """

    key: int
    asset: AssetRef
    instance: str
    unanswered: frozenset[str]


@dataclass(frozen=True)
class StaleBatch:
    """The images to classify again among some assets.

    :param looked_at: number of assets that were compared.
    :param stale: the images to classify again.
    """

    looked_at: int
    stale: Sequence[Stale]


@dataclass
class StaleCounts:
    """The number of images to classify again, by instance.

    :ivar stale: all of them.
    :ivar unpaid: images that a remote provider has not answered yet.
    """

    stale: Counter[str] = field(default_factory=Counter)
    unpaid: Counter[str] = field(default_factory=Counter)


class Retagging:
    """Classifies known images again, by jobs or at once in a dry run.

    No position is saved: an image that was classified is no longer outdated, so an
    interrupted run goes on when it is started again.

    :ivar problems: images that cannot be classified.
    """

    def __init__(self, app: Flask, state: State, options: RetagOptions) -> None:
        self._app = app
        self._state = state
        self._options = options
        self.settings_for = cache(self._settings_for)
        self._expected = cache(self._expected_models)
        self.problems = Skipped()

    def count(self, advance: Advance) -> StaleCounts:
        """Count the images to classify again.

        :raises ModelError: if a chosen model is not installed.
        """
        counts = StaleCounts()
        for batch in self._batches():
            for each in batch.stale:
                counts.stale[each.instance] += 1
                remote_providers = remote_enabled(self.settings_for(each.instance))
                if each.unanswered & {provider.name for provider in remote_providers}:
                    counts.unpaid[each.instance] += 1
            advance(batch.looked_at)
        return counts

    def queue(self) -> Iterator[list[int]]:
        """Write bulk jobs, some hundred in a transaction.

        An image that has a live job gets no second one.

        :return: the ids of the new or live jobs, transaction by transaction.
        """
        for batch in self._batches():
            yield self._queue(batch.stale)

    def differences(
        self, advance: Advance, *, paid: bool = False, processes: int = 1
    ) -> Iterator[Difference]:
        """Classify the images, write nothing, and return the changes to each.

        Providers that are not asked keep their stored predictions.

        :param paid: whether to ask remote providers too.
        :param processes: number of images to classify at the same time.
        """
        self._state.pool.resize(processes)
        with ThreadPoolExecutor(processes + 1, "flask-autotag-retag") as executor:
            for batch in self._batches(_DRY_RUN_BATCH):
                yield from self._compare(batch.stale, paid, executor)
                advance(batch.looked_at)

    def _settings_for(self, instance: str) -> Settings:
        settings = self._state.settings_for(instance)
        if self._options.model is None:
            return settings
        return settings.with_value(
            (TensorFlowProvider.section.name, "model"), self._options.model
        )

    def _expected_models(self, instance: str) -> Mapping[str, str | None]:
        settings = self.settings_for(instance)
        if not reapply.applies(settings):
            return {}
        return present_models(settings, self._state.config.machine)

    def _batches(self, size: int | None = None) -> Iterator[StaleBatch]:
        database, after = self._state.database, 0

        def work(
            session: Session,
        ) -> tuple[Sequence[Row[tuple[object, ...]]], dict[int, dict[str, str]]]:
            scope = self._options.scope
            rows = read_batch(session, database.models, scope, after, size=size)
            keys = [row.id for row in rows]
            return rows, _stored_models(session, database.models, keys)

        while True:
            rows, models = database.transact(work)
            if not rows:
                return
            after = rows[-1].id
            yield StaleBatch(len(rows), list(self._stale(rows, models)))

    def _stale(
        self,
        rows: Iterable[Row[tuple[object, ...]]],
        models: Mapping[int, Mapping[str, str]],
    ) -> Iterator[Stale]:
        for row in rows:
            if row.no_image:
                continue
            expected = self._expected(row.instance)
            unanswered = frozenset(
                provider
                for provider, model in expected.items()
                if provider not in models[row.id]
                or model not in (None, models[row.id][provider])
            )
            outdated = unanswered and row.tagged_at is not None
            if outdated or (self._options.everything and expected):
                asset = AssetRef(row.asset_type, row.asset_id)
                yield Stale(row.id, asset, row.instance, unanswered)

    def _queue(self, stale: Sequence[Stale]) -> list[int]:
        models = self._state.database.models

        def work(
            session: Session,
        ) -> tuple[list[int], list[tuple[Stale, ImageMissing]]]:
            lock_writers(session, models.job.__table__)
            paths = self._source_paths(session, stale)
            intents, missing = [], []
            for each in stale:
                try:
                    key = (each.instance, each.asset)
                    intents.append(make_intent(self._state, paths, key))
                except ImageMissing as error:
                    missing.append((each, error))
            return enqueue_bulk(session, models, intents), missing

        ids, missing = self._state.database.transact(work)
        for each, error in missing:
            self.problems.add(each.asset, each.instance, error)
        return ids

    def _compare(
        self, stale: Sequence[Stale], paid: bool, executor: ThreadPoolExecutor
    ) -> list[Difference]:
        models = self._state.database.models

        def work(
            session: Session,
        ) -> tuple[dict[int, list[Prediction]], dict[Key, str | None]]:
            keys = [each.key for each in stale]
            stored = read_predictions(session.connection(), models, keys)
            return stored, self._source_paths(session, stale)

        stored, paths = self._state.database.transact(work)
        entries: dict[int, Entry] = {}
        answers = executor.map(lambda each: self._classify(each, paths, paid), stale)
        for each, answer in zip(stale, answers, strict=True):
            if isinstance(answer, TaggingError):
                self.problems.add(each.asset, each.instance, answer)
                continue
            for failure in answer.failures.values():
                self.problems.add(each.asset, each.instance, failure)
            settings = self.settings_for(each.instance)
            merged = _merge(stored[each.key], answer)
            entries[each.key] = Entry(each.asset, each.instance, merged, settings)
        return self._state.database.transact(
            lambda session: reapply.compare(session, models, entries)
        )

    def _source_paths(
        self, session: Session, stale: Sequence[Stale]
    ) -> dict[Key, str | None]:
        keys = [(each.instance, each.asset) for each in stale]
        return source_paths(session, self._state, keys)

    def _classify(
        self, stale: Stale, paths: Mapping[Key, str | None], paid: bool
    ) -> Classified | TaggingError:
        """Ask the providers about one image. Called in several threads."""
        settings = self._settings_to_ask(stale, paid)
        if not reapply.applies(settings):
            return Classified("", ())
        try:
            data = self._load(stale, require_path(paths, (stale.instance, stale.asset)))
            return remote.classify(
                self._app, self._state, stale.instance, data, settings
            )
        except TaggingError as error:
            return error

    def _load(self, stale: Stale, path: str | None) -> bytes:
        if path is not None:
            return read(path, self._state.config.max_image_bytes)
        # The host's session closes with this context, before the image is classified.
        with self._app.app_context():
            return load_asset(self._state, stale.asset)

    def _settings_to_ask(self, stale: Stale, paid: bool) -> Settings:
        """Return the instance's settings, with unneeded providers turned off."""
        settings = self.settings_for(stale.instance)
        for provider in enabled(settings):
            needed = self._options.everything or provider.name in stale.unanswered
            if not needed or (issubclass(provider, RemoteProvider) and not paid):
                settings = settings.with_value((provider.name, "enabled"), False)
        return settings


def present_models(settings: Settings, machine: Machine) -> dict[str, str | None]:
    """Return the model with which each enabled provider would answer now.

    A remote provider without a key cannot answer and is left out.

    :return: name of the model by provider; ``None`` where it is not known.
    :raises ModelError: if a chosen model is not installed.
    """
    return {
        provider.name: _present_model(provider, settings, machine)
        for provider in enabled(settings)
        if not (
            issubclass(provider, RemoteProvider)
            and missing_fields(provider, settings[provider.name])
        )
    }


def _present_model(
    provider: type[Provider], settings: Settings, machine: Machine
) -> str | None:
    own = settings[provider.name]
    model: str | None = None
    if issubclass(provider, RemoteProvider):
        model = provider.model(own)
    elif issubclass(provider, LocalProvider):
        model = provider.current_model(own, machine)
    # Shortened as the stored names are, so that the two compare equal.
    return None if model is None else one_line(model, MODEL_LENGTH)


def stored_differences(
    state: State, instances: Iterable[str], advance: Advance
) -> Iterator[Difference]:
    """Apply the present settings to stored predictions; return the changes."""
    for instance in instances:
        settings = state.settings_for(instance)
        for chunk in reapply.chunks(partial(_read_chunk, state, instance, settings)):
            yield from chunk.differences
            advance(len(chunk.entries))


def _read_chunk(
    state: State, instance: str, settings: Settings, after: int
) -> reapply.Chunk:
    database = state.database
    return database.transact(
        lambda session: reapply.read_chunk(
            session, database.models, instance, settings, after
        )
    )


def _stored_models(
    session: Session, models: Models, keys: Sequence[int]
) -> dict[int, dict[str, str]]:
    """Return the model of each stored prediction, by asset row and provider."""
    table = models.prediction.__table__
    stored: dict[int, dict[str, str]] = {key: {} for key in keys}
    rows = session.execute(
        select(table.c.asset_id, table.c.provider, table.c.model).where(
            table.c.asset_id.in_(keys)
        )
    )
    for row in rows:
        stored[row.asset_id][row.provider] = row.model
    return stored


def _merge(stored: Iterable[Prediction], answer: Classified) -> Classified:
    """Replace the stored predictions of the providers that have just answered."""
    predictions = {each.provider: each for each in (*stored, *answer.predictions)}
    return Classified(answer.sha256, list(predictions.values()))
