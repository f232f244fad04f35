"""Random histories of one image: providers, models, settings, words and people.

In every order of events a rejected tag never comes back, a tag that a person added
never goes, the maximum holds, explanations agree with the tags, and to repeat an action
changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select
from sqlalchemy.orm import Session

from flask_autotag import AssetRef, VocabularyError
from flask_autotag.classification.request import Classified
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.settings.resolution import Settings
from flask_autotag.settings.stored_words import change_words, read_vocabulary
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.settings.vocabulary import Vocabulary
from flask_autotag.tags import deciding, reapply
from flask_autotag.tags.asset_rows import ensure_rows
from flask_autotag.tags.counters import check_some
from flask_autotag.tags.decisions import PERSON, PROVIDER
from flask_autotag.tags.explanation import explain
from flask_autotag.tags.rules import APPLIED, REJECTED, SUGGESTED
from flask_autotag.tags.store import Entry, delete_predictions, forget, store

from ..hosts import Host, make_host

#: Labels of WordNet's concepts and others, some of one name.
LABELS = {"dog": "n02084071", "animal": "n00015388", "Dog": "/m/0bt9lr", "cat": "cat"}
#: Few, so that they meet.
NAMES = st.sampled_from(["dog", "cat", "rex"])
CONFIDENCES = st.sampled_from([0.1, 0.5, 0.9])
SAID = st.dictionaries(st.sampled_from([*LABELS]), CONFIDENCES, max_size=4)
PROVIDERS = st.sampled_from(["tensorflow", "google"])
MODELS = st.sampled_from(["1", "2"])

_numbers = itertools.count(1)


class History(RuleBasedStateMachine):
    """One image in an instance of its own."""

    host: ClassVar[Host]

    def __init__(self) -> None:
        super().__init__()
        self.instance = f"instance {next(_numbers)}"
        self.asset = AssetRef("photo", "1")
        self.general: dict[str, Any] = {
            "enabled": True,
            "max_tags": 0,
            "broader_tags": True,
            "suggestion_threshold": 1.0,
            "vocabulary": "open",
        }
        self.thresholds = {"tensorflow": 0.5, "google": 0.5}
        #: People's decisions: added words by their present name, rejected words by
        #: their name at the time.
        self.decided: dict[str, str] = {}
        #: Whether the tags are those of the present settings and words.
        self.is_fresh = True
        #: Whether they follow from all stored predictions: an answer replaces the tags
        #: of providers that were not asked.
        self.follows_from_all = True

    @rule(provider=PROVIDERS, model=MODELS, said=SAID)
    def a_provider_answers(
        self, provider: str, model: str, said: dict[str, float]
    ) -> None:
        labels = tuple(Label(LABELS[name], name, sure) for name, sure in said.items())
        prediction = Prediction(provider, model, labels)
        with self.transaction() as session:
            entry = Entry(
                self.asset,
                self.instance,
                Classified("0" * 64, [prediction]),
                self.settings(session),
            )
            store(session, self.host.models, [entry])
            before = self.rows(session)
            store(session, self.host.models, [entry])
            assert self.rows(session) == before
            self.decided = self.settled(session)
        self.is_fresh, self.follows_from_all = True, False

    @rule()
    def settings_and_words_are_applied(self) -> None:
        with self.transaction() as session:
            self.apply(session)
            before = self.rows(session)
            chunk = self.chunk(session)
            assert chunk.stale == frozenset()
            assert not any(each.is_change for each in chunk.differences)
            self.apply(session)
            assert self.rows(session) == before
            self.decided = self.settled(session)
        self.is_fresh = self.follows_from_all = True

    @rule(most=st.integers(0, 2), broader=st.booleans(), suggest=CONFIDENCES, sure=SAID)
    def settings_change(
        self, most: int, broader: bool, suggest: float, sure: dict[str, float]
    ) -> None:
        self.general.update(
            max_tags=most, broader_tags=broader, suggestion_threshold=suggest
        )
        for provider, threshold in zip(self.thresholds, sure.values(), strict=False):
            self.thresholds[provider] = threshold
        self.is_fresh = False

    @rule(
        word=NAMES,
        becomes=st.none() | NAMES,
        blocked=st.sampled_from([None, None, True]),
        threshold=st.none() | CONFIDENCES,
    )
    def a_word_changes(
        self,
        word: str,
        becomes: str | None,
        blocked: bool | None,
        threshold: float | None,
    ) -> None:
        change = {"becomes": becomes, "blocked": blocked, "threshold": threshold}
        try:
            with self.transaction() as session:
                models = self.host.models
                named = {tag_name(word): change}
                change_words(session, models, self.instance, named, None)
        except VocabularyError:
            return
        self.is_fresh = False

    @rule(name=NAMES, state=st.sampled_from([APPLIED, REJECTED]))
    def a_person_decides(self, name: str, state: str) -> None:
        with self.transaction() as session:
            models, connection = self.host.models, session.connection()
            place = (self.instance, self.asset.type, self.asset.id)
            [row] = ensure_rows(
                connection, models.asset.__table__, {place: {}}
            ).values()
            deciding.decide_on_rows(
                connection,
                models,
                self.settings(session),
                self.instance,
                tag_name(name),
                {row: (self.asset, state)},
                "nora",
            )
            vocabulary = self.vocabulary(session)
            called = vocabulary.called(tag_name(name))
            self.decided = {
                key: former
                for key, former in self.decided.items()
                if former == REJECTED
                or vocabulary.called(tag_name(key)).key != called.key
            }
            self.decided[called.key] = state
            self.decided = self.settled(session)
        self.is_fresh = self.follows_from_all = True

    @rule()
    def what_providers_said_is_forgotten(self) -> None:
        with self.transaction() as session:
            asset = self.host.models.asset
            ids = select(asset.id).where(asset.instance == self.instance)
            rows = session.scalars(ids).all()
            delete_predictions(session.connection(), self.host.models, rows)

    @rule()
    def the_image_is_forgotten(self) -> None:
        with self.transaction() as session:
            forget(session.connection(), self.host.models, self.asset, self.instance)
        self.decided = {}

    @invariant()
    def counters_are_right(self) -> None:
        with self.transaction() as session:
            database = self.host.autotag.state_of(self.host.app).database
            assert check_some(session, database.models).wrong == []
            counted = self.counted(session)
        applied = {row.key for row in self.present() if row.state == APPLIED}
        assert counted == dict.fromkeys(applied, 1)

    @invariant()
    def people_have_the_last_word(self) -> None:
        with self.transaction() as session:
            decided = {
                row.key: row.state for row in self.rows(session) if row.source == PERSON
            }
            assert decided == self.decided

    @invariant()
    def what_was_rejected_is_not_there(self) -> None:
        with self.transaction() as session:
            rows = self.rows(session)
            vocabulary = self.vocabulary(session)
        by_providers = {row.key for row in rows if row.source == PROVIDER}
        # The tag under its stored name, whatever renames came later.
        assert not by_providers & self.decided.keys()
        if self.is_fresh:
            called = {vocabulary.called(tag_name(key)).key for key in self.decided}
            assert not by_providers & called

    @invariant()
    def the_maximum_holds(self) -> None:
        with self.transaction() as session:
            rows = self.rows(session)
        applied = [row for row in rows if row.state == APPLIED]
        by_people = [row for row in applied if row.source == PERSON]
        most = self.general["max_tags"]
        if self.is_fresh and most:
            assert len(applied) <= max(most, len(by_people))
        assert {row.state for row in rows} <= {APPLIED, SUGGESTED, REJECTED}

    @invariant()
    def the_explanation_agrees(self) -> None:
        if not (self.is_fresh and self.follows_from_all):
            return
        with self.transaction() as session:
            settings = self.settings(session)
            found = explain(
                session, self.host.models, self.asset, self.instance, settings
            )
            rows = self.rows(session)
        for state in (APPLIED, SUGGESTED):
            explained = {
                tag_name(label.tag).key
                for label in found.labels
                if label.outcome == state and label.tag
            }
            stored = {row for row in rows if row.source == PROVIDER}
            assert explained == {row.key for row in stored if row.state == state}

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self.host.autotag.state_of(self.host.app).database.begin() as session:
            yield session

    def vocabulary(self, session: Session) -> Vocabulary:
        return read_vocabulary(session, self.host.models, self.instance)

    def settings(self, session: Session) -> Settings:
        values: dict[str, Any] = {"": dict(self.general)}
        for provider, threshold in self.thresholds.items():
            values[provider] = {"enabled": True, "confidence_threshold": threshold}
        return Settings(MappingProxyType(values), vocabulary=self.vocabulary(session))

    def settled(self, session: Session) -> dict[str, str]:
        """People's decisions; added tags have their current names."""
        vocabulary = self.vocabulary(session)
        found = {key: state for key, state in self.decided.items() if state == REJECTED}
        for key, state in self.decided.items():
            if state == APPLIED:
                found[vocabulary.called(tag_name(key)).key] = APPLIED
        return found

    def present(self) -> list[Any]:
        with self.transaction() as session:
            return self.rows(session)

    def counted(self, session: Session) -> dict[str, int]:
        """The instance's counters that are not 0."""
        tag, counter = self.host.models.tag, self.host.models.counter
        rows = session.execute(
            select(tag.key, counter.assets)
            .join_from(tag, counter, counter.tag_id == tag.id)
            .where(counter.instance == self.instance, counter.assets != 0)
        )
        return {row.key: row.assets for row in rows}

    def chunk(self, session: Session) -> reapply.Chunk:
        return reapply.read_chunk(
            session,
            self.host.models,
            self.instance,
            self.settings(session),
            0,
            lock=True,
        )

    def apply(self, session: Session) -> None:
        reapply.apply(session, self.host.models, self.chunk(session))

    def rows(self, session: Session) -> list[Any]:
        """All assignments of the image without their times."""
        models = self.host.models
        tag, assigned, asset = models.tag, models.assignment, models.asset
        return list(
            session.execute(
                select(
                    tag.key,
                    assigned.state,
                    assigned.source,
                    assigned.providers,
                    assigned.model,
                    assigned.confidence,
                    assigned.decided_by,
                )
                .join_from(assigned, tag, tag.id == assigned.tag_id)
                .join(asset, asset.id == assigned.asset_id)
                .where(asset.instance == self.instance)
                .order_by(tag.key)
            )
        )


@pytest.fixture
def history(tmp_path: Path) -> Iterator[type[History]]:
    with (
        make_host(f"sqlite:///{tmp_path / 'host.sqlite'}") as host,
        host.app.app_context(),
    ):
        yield type("HistoryOfHost", (History,), {"host": host})


def test_people_have_the_last_word_in_every_history(history: type[History]) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        history,
        settings=hypothesis_settings(stateful_step_count=25),
    )
