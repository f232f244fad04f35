"""Images whose stored predictions are not those of the present providers and models.

They are found, queued to be classified again; or classified to see what would change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from . import reapply, remote
from .assets import AssetRef
from .database import lock_writers
from .errors import ImageMissing, TaggingError
from .jobs.again import intent_again, load_again, path_again
from .jobs.queue import enqueue_bulk
from .models import MODEL_LENGTH, Models
from .portions import Advance, Scope, read_portion
from .problems import Problems
from .providers.base import (
    LocalProvider,
    Machine,
    Prediction,
    Provider,
    RemoteProvider,
    one_line,
)
from .providers.registry import enabled, enabled_elsewhere
from .providers.tensorflow import TensorFlowProvider
from .reapply import Difference
from .settings.resolution import Settings
from .state import State
from .store import Entry, read_predictions
from .tagging import Classified

if TYPE_CHECKING:
    from flask import Flask

#: Images that are classified before what is said of them is compared.
_TOGETHER = 32


@dataclass(frozen=True)
class Wanted:
    """Which images are to be classified again.

    :param everything: all of the scope; else only those that are out of date.
    :param model: a TensorFlow model in the place of those that the instances have
        chosen; only to see what it would say.
    """

    scope: Scope
    everything: bool = False
    model: str | None = None


@dataclass(frozen=True)
class Stale:
    """An image to classify again.

    :param key: of its row.
    :param unanswered: providers that are on, and whose present model has said nothing
        of it that is stored.
    """

    key: int
    asset: AssetRef
    instance: str
    unanswered: frozenset[str]


@dataclass(frozen=True)
class Portion:
    """Some assets, in the order of their keys.

    :param looked_at: how many there were.
    :param stale: those to classify again.
    """

    looked_at: int
    stale: Sequence[Stale]


@dataclass
class Counted:
    """How many images are to be classified again, by instance.

    :ivar unpaid: those of which a provider elsewhere has said nothing yet.
    """

    stale: Counter[str] = field(default_factory=Counter)
    unpaid: Counter[str] = field(default_factory=Counter)


class Retagging:
    """Classifies known images again, in the background or only to look.

    Nothing is remembered of how far it got: what was classified is up to date.

    :ivar problems: images that cannot be classified.
    """

    def __init__(self, app: Flask, state: State, wanted: Wanted) -> None:
        self._app = app
        self._state = state
        self._wanted = wanted
        self.settings_for = cache(self._settings_for)
        self._expected = cache(self._expected_models)
        self.problems = Problems()

    def count(self, advance: Advance) -> Counted:
        """Count the images to classify.

        :raises ModelError: if a model that was chosen is not there.
        """
        counted = Counted()
        for portion in self._portions():
            for each in portion.stale:
                counted.stale[each.instance] += 1
                elsewhere = enabled_elsewhere(self.settings_for(each.instance))
                if each.unanswered & {provider.name for provider in elsewhere}:
                    counted.unpaid[each.instance] += 1
            advance(portion.looked_at)
        return counted

    def queue(self) -> Iterator[list[int]]:
        """Write bulk jobs, some hundred in a transaction; one image has one at a time.

        :return: the ids of the jobs, transaction by transaction.
        """
        for portion in self._portions():
            yield self._queue(portion.stale)

    def differences(
        self, advance: Advance, *, paid: bool = False, processes: int = 1
    ) -> Iterator[Difference]:
        """Classify, write nothing, and tell what would change on each image.

        What providers say that are not asked is taken from what is stored.

        :param paid: whether providers elsewhere are asked too.
        :param processes: how many images are classified at the same time.
        """
        self._state.pool.resize(processes)
        with ThreadPoolExecutor(processes + 1, "flask-autotag-retag") as executor:
            for portion in self._portions(_TOGETHER):
                yield from self._compare(portion.stale, paid, executor)
                advance(portion.looked_at)

    def _settings_for(self, instance: str) -> Settings:
        settings = self._state.settings_for(instance)
        if self._wanted.model is None:
            return settings
        return settings.with_value(
            (TensorFlowProvider.section.name, "model"), self._wanted.model
        )

    def _expected_models(self, instance: str) -> Mapping[str, str | None]:
        settings = self.settings_for(instance)
        if not reapply.applies(settings):
            return {}
        return present_models(settings, self._state.config.machine)

    def _portions(self, size: int | None = None) -> Iterator[Portion]:
        database, after = self._state.database, 0

        def read(
            session: Session,
        ) -> tuple[Sequence[Row[tuple[object, ...]]], dict[int, dict[str, str]]]:
            scope = self._wanted.scope
            rows = read_portion(session, database.models, scope, after, size=size)
            keys = [row.id for row in rows]
            return rows, _models_said(session, database.models, keys)

        while True:
            rows, said = database.transact(read)
            if not rows:
                return
            after = rows[-1].id
            yield Portion(len(rows), list(self._stale(rows, said)))

    def _stale(
        self,
        rows: Iterable[Row[tuple[object, ...]]],
        said: Mapping[int, Mapping[str, str]],
    ) -> Iterator[Stale]:
        for row in rows:
            expected = self._expected(row.instance)
            unanswered = frozenset(
                provider
                for provider, model in expected.items()
                if provider not in said[row.id]
                or model not in (None, said[row.id][provider])
            )
            outdated = unanswered and row.tagged_at is not None
            if outdated or (self._wanted.everything and expected):
                asset = AssetRef(row.asset_type, row.asset_id)
                yield Stale(row.id, asset, row.instance, unanswered)

    def _queue(self, stale: Sequence[Stale]) -> list[int]:
        models = self._state.database.models

        def work(
            session: Session,
        ) -> tuple[list[int], list[tuple[Stale, ImageMissing]]]:
            lock_writers(session, models.job.__table__)
            intents, missing = [], []
            for each in stale:
                try:
                    intents.append(
                        intent_again(session, self._state, each.asset, each.instance)
                    )
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

        def read(session: Session) -> dict[int, list[Prediction]]:
            return read_predictions(session, models, [one.key for one in stale])

        stored = self._state.database.transact(read)
        entries: dict[int, Entry] = {}
        answers = executor.map(lambda each: self._classify(each, paid), stale)
        for each, answer in zip(stale, answers, strict=True):
            if isinstance(answer, TaggingError):
                self.problems.add(each.asset, each.instance, answer)
                continue
            for failure in answer.failures.values():
                self.problems.add(each.asset, each.instance, failure)
            settings = self.settings_for(each.instance)
            found = _joined(stored[each.key], answer)
            entries[each.key] = Entry(each.asset, each.instance, found, settings)
        return self._state.database.transact(
            lambda session: reapply.compare(session, models, entries)
        )

    def _classify(self, stale: Stale, paid: bool) -> Classified | TaggingError:
        """Ask those who are to be asked about one image. Threads call it."""
        settings = self._asking(stale, paid)
        if not reapply.applies(settings):
            return Classified("", ())
        try:
            data = self._load(stale)
            return remote.classify(
                self._app, self._state, stale.instance, data, settings
            )
        except TaggingError as error:
            return error

    def _load(self, stale: Stale) -> bytes:
        # Left before the image is classified, with what the host's session holds.
        with self._app.app_context():
            path = self._state.database.transact(
                lambda session: path_again(session, self._state, stale.asset)
            )
            return load_again(self._state, stale.asset, path)

    def _asking(self, stale: Stale, paid: bool) -> Settings:
        """Turn off the providers that are not to be asked."""
        settings = self.settings_for(stale.instance)
        for provider in enabled(settings):
            needed = self._wanted.everything or provider.name in stale.unanswered
            if not needed or (issubclass(provider, RemoteProvider) and not paid):
                settings = settings.with_value((provider.name, "enabled"), False)
        return settings


def present_models(settings: Settings, machine: Machine) -> dict[str, str | None]:
    """Name the model with which each provider that is on would answer now.

    One elsewhere that has no key is left out: it cannot answer.

    :return: by provider; ``None`` where it is not known.
    :raises ModelError: if a model that was chosen is not there.
    """
    return {
        provider.name: _present_model(provider, settings, machine)
        for provider in enabled(settings)
        if not (
            issubclass(provider, RemoteProvider)
            and remote.missing_fields(provider, settings[provider.name])
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
    # As what a child says is stored.
    return None if model is None else one_line(model, MODEL_LENGTH)


def stored_differences(
    state: State, instances: Iterable[str], advance: Advance
) -> Iterator[Difference]:
    """Tell what the present settings change on images, from stored predictions."""
    for instance in instances:
        for chunk in _stored_chunks(state, instance):
            yield from chunk.differences
            advance(len(chunk.entries))


def _stored_chunks(state: State, instance: str) -> Iterator[reapply.Chunk]:
    settings = state.settings_for(instance)
    after: int | None = None

    def read(session: Session) -> reapply.Chunk:
        models = state.database.models
        return reapply.read_chunk(session, models, instance, settings, after)

    while (chunk := state.database.transact(read)).last is not None:
        yield chunk
        after = chunk.last


def _models_said(
    session: Session, models: Models, keys: Sequence[int]
) -> dict[int, dict[str, str]]:
    """Read with which model each provider has answered about some assets' rows."""
    table = models.prediction.__table__
    found: dict[int, dict[str, str]] = {key: {} for key in keys}
    rows = session.execute(
        select(table.c.asset_id, table.c.provider, table.c.model).where(
            table.c.asset_id.in_(keys)
        )
    )
    for row in rows:
        found[row.asset_id][row.provider] = row.model
    return found


def _joined(stored: Iterable[Prediction], answer: Classified) -> Classified:
    """Let what was just said stand for what the same provider said before."""
    predictions = {each.provider: each for each in (*stored, *answer.predictions)}
    return Classified(answer.sha256, list(predictions.values()))
