"""Rules for words: stored, and applied to existing images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select

from flask_autotag import AssetRef, VocabularyError
from flask_autotag.host.assets import SYSTEM
from flask_autotag.jobs.reapply_job import enqueue_for
from flask_autotag.jobs.worker import Worker
from flask_autotag.settings.related_words import read_related
from flask_autotag.settings.stored_words import (
    change_words,
    read_vocabulary,
    read_words,
    rename_tags,
)
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.settings.vocabulary import Vocabulary, WordRule

from ..hosts import Host, store_labels
from .desk import Desk

LABELS = [("tabby", 0.9), ("dog", 0.8), ("wolf", 0.3)]
SHOP, NEWS = "shop", "news"


def asset(number: int = 1) -> AssetRef:
    return AssetRef("photo", str(number))


def change(
    host: Host, changes: Mapping[str, Mapping[str, Any]], instance: str = SHOP
) -> None:
    """Change rules, and apply them to existing images."""
    state = host.autotag.state_of(host.app)

    def work(session: Any) -> None:
        named = {tag_name(word): fields for word, fields in changes.items()}
        change_words(session, host.models, instance, named, "ada")
        enqueue_for(session, state, instance)

    with host.app.app_context():
        state.database.transact(work)
    Worker(host.app, state).drain()


def tags(host: Host, number: int = 1, instance: str = SHOP) -> list[str]:
    with host.app.app_context():
        return [tag.name for tag in host.autotag.tags_for(asset(number), instance)]


def fill(host: Host, *instances: str) -> None:
    with host.app.app_context():
        for instance in instances or (SHOP,):
            store_labels(host, asset(), LABELS, instance)


def test_a_word_that_becomes_another_does_so_on_existing_images(
    any_host: Host,
) -> None:
    fill(any_host)
    change(any_host, {"Tabby": {"becomes": "Cat"}})
    assert tags(any_host) == ["Cat", "dog"]
    change(any_host, {"tabby": {"becomes": None}})
    assert tags(any_host) == ["tabby", "dog"]


def test_a_blocked_word_goes_and_comes_back(any_host: Host) -> None:
    fill(any_host)
    change(any_host, {"dog": {"blocked": True}})
    assert tags(any_host) == ["tabby"]
    change(any_host, {"dog": {"blocked": None}})
    assert tags(any_host) == ["tabby", "dog"]


def test_a_threshold_of_its_own(host: Host) -> None:
    fill(host)
    change(host, {"wolf": {"threshold": 0.25}, "dog": {"threshold": 0.95}})
    assert tags(host) == ["tabby", "wolf"]


def test_listed_words_only(host: Host) -> None:
    fill(host)
    Desk(host).save({("", "vocabulary"): "listed"}, SHOP)
    change(host, {"dog": {"listed": True}})
    assert tags(host) == ["dog"]


def test_the_systems_words_hold_where_the_instance_decides_nothing(
    any_host: Host,
) -> None:
    fill(any_host, SHOP, NEWS)
    change(any_host, {"dog": {"blocked": True}}, SYSTEM)
    assert [tags(any_host, 1, each) for each in (SHOP, NEWS)] == [["tabby"]] * 2
    change(any_host, {"dog": {"blocked": False}}, NEWS)
    assert [tags(any_host, 1, each) for each in (SHOP, NEWS)] == [
        ["tabby"],
        ["tabby", "dog"],
    ]


def test_another_spelling_is_seen_on_images_that_have_the_tag(host: Host) -> None:
    fill(host)
    change(host, {"dog": {"becomes": "DOG"}})
    assert tags(host) == ["tabby", "DOG"]


def test_what_people_decided_follows_the_word(any_host: Host) -> None:
    fill(any_host)
    autotag = any_host.autotag
    with any_host.app.app_context():
        autotag.reject_tag(asset(), "tabby", instance=SHOP, person="nora")
        autotag.add_tag(asset(), "moggy", instance=SHOP, person="nora")
    change(any_host, {"tabby": {"becomes": "cat"}, "moggy": {"becomes": "puss"}})
    assert tags(any_host) == ["puss", "dog"]
    with any_host.app.app_context():
        store_labels(any_host, asset(), [("cat", 1.0)], SHOP)
        decisions = autotag.explain(asset(), instance=SHOP).decisions
    assert {(each.tag, each.state, each.person) for each in decisions} == {
        ("tabby", "rejected", "nora"),
        ("puss", "applied", "nora"),
    }
    assert tags(any_host) == ["puss"]
    change(any_host, {"tabby": {"becomes": None}})
    with any_host.app.app_context():
        autotag.add_tag(asset(), "tabby", instance=SHOP)
    assert tags(any_host) == ["puss", "tabby", "cat"]


def test_what_was_rejected_is_not_back_when_a_word_has_its_name_again(
    any_host: Host,
) -> None:
    fill(any_host)
    with any_host.app.app_context():
        any_host.autotag.reject_tag(asset(), "tabby", instance=SHOP)
    change(any_host, {"tabby": {"becomes": "cat"}})
    assert tags(any_host) == ["dog"]
    change(any_host, {"tabby": {"becomes": None}})
    assert tags(any_host) == ["dog"]
    fill(any_host)
    assert tags(any_host) == ["dog"]


def test_who_decides_before_a_word_is_renamed_everywhere_has_the_last_word(
    any_host: Host,
) -> None:
    fill(any_host)
    state = any_host.autotag.state_of(any_host.app)
    with any_host.app.app_context():
        any_host.autotag.add_tag(asset(), "moggy", instance=SHOP)
        words = {tag_name("moggy"): {"becomes": "cat"}}
        words[tag_name("dog")] = {"becomes": "hound"}
        with state.database.begin() as session:
            change_words(session, any_host.models, SHOP, words, "ada")
        any_host.autotag.remove_tag(asset(), "moggy", instance=SHOP)
        any_host.autotag.remove_tag(asset(), "dog", instance=SHOP)
    assert tags(any_host) == ["tabby"]
    change(any_host, {"wolf": {"blocked": True}})
    assert tags(any_host) == ["tabby"]


def test_of_two_words_that_become_one_what_was_added_counts(any_host: Host) -> None:
    fill(any_host)
    with any_host.app.app_context():
        any_host.autotag.reject_tag(asset(), "tabby", instance=SHOP)
        any_host.autotag.add_tag(asset(), "moggy", instance=SHOP)
    change(any_host, {"tabby": {"becomes": "cat"}, "moggy": {"becomes": "cat"}})
    assert tags(any_host) == ["cat", "dog"]


def test_a_name_that_a_person_types_is_taken_for_what_it_became(host: Host) -> None:
    change(host, {"puss": {"becomes": "cat"}})
    with host.app.app_context():
        host.autotag.add_tag(asset(), "Puss", instance=SHOP)
        host.autotag.reject_tag(asset(2), "PUSS", instance=SHOP)
        store_labels(host, asset(2), [("cat", 0.9)], SHOP)
    assert (tags(host), tags(host, 2)) == (["cat"], [])


def test_a_dropped_word_is_gone_with_what_people_said_of_it(any_host: Host) -> None:
    fill(any_host)
    with any_host.app.app_context():
        any_host.autotag.add_tag(asset(), "dog", instance=SHOP)
        any_host.autotag.reject_tag(asset(2), "dog", instance=SHOP)
    now = datetime.now(UTC).replace(tzinfo=None)
    change(any_host, {"dog": {"blocked": True, "dropped_at": now}})
    assert tags(any_host) == ["tabby"]
    with any_host.app.app_context():
        assert any_host.autotag.explain(asset(2), instance=SHOP).decisions == ()
        # Adding it again works.
        any_host.autotag.add_tag(asset(), "dog", instance=SHOP)
    change(any_host, {"wolf": {"blocked": True}})
    assert tags(any_host) == ["dog", "tabby"]


def test_where_tagging_is_off_only_what_people_said_follows(host: Host) -> None:
    fill(host)
    with host.app.app_context():
        host.autotag.add_tag(asset(), "moggy", instance=SHOP)
    Desk(host).save({("", "enabled"): False})
    change(host, {"moggy": {"becomes": "cat"}, "dog": {"blocked": True}})
    assert tags(host) == ["cat", "tabby", "dog"]


def test_words_that_would_become_each_other_are_refused(any_host: Host) -> None:
    change(any_host, {"a": {"becomes": "b"}})
    with pytest.raises(VocabularyError) as caught:
        change(any_host, {"b": {"becomes": "A"}, "c": {"blocked": True}})
    assert str(caught.value) in (
        "These words would become each other: a becomes b becomes a.",
        "These words would become each other: b becomes a becomes b.",
    )
    with any_host.app.app_context(), any_host.db.engine.connect() as connection:
        words = read_words(connection, any_host.models, [SHOP])[SHOP]
    assert words == {"a": WordRule(becomes="b")}


def test_what_is_taken_back_leaves_no_row(host: Host) -> None:
    change(host, {"a": {"blocked": True, "threshold": 0.5}})
    change(host, {"a": {"blocked": None}})
    with host.app.app_context(), host.db.engine.connect() as connection:
        assert read_vocabulary(connection, host.models, SHOP).threshold("a") == 0.5
    change(host, {"a": {"threshold": None}})
    with host.app.app_context(), host.db.engine.connect() as connection:
        assert read_words(connection, host.models, [SHOP])[SHOP] == {}


def decide(host: Host, most: int, **changes: Mapping[str, Any]) -> None:
    state = host.autotag.state_of(host.app)
    named = {tag_name(word): fields for word, fields in changes.items()}
    with host.app.app_context(), state.database.begin() as session:
        change_words(session, host.models, SHOP, named, "ada", most)


def test_a_vocabulary_that_is_too_large_shrinks_and_does_not_grow(host: Host) -> None:
    block = {"blocked": True}
    decide(host, 4, cat=block, dog=block, owl=block, fox=block)
    full = r"would have 5 words; AUTOTAG_MAX_WORDS allows 4"
    with pytest.raises(VocabularyError, match=full):
        decide(host, 4, bee=block)
    # Below a lowered limit, rules can be changed, deleted and exchanged.
    decide(host, 2, cat={"threshold": 0.5})
    decide(host, 2, cat={"blocked": None, "threshold": None})
    decide(host, 2, dog={"blocked": None}, bee=block)
    with pytest.raises(VocabularyError, match="would have 4 words"):
        decide(host, 2, cat=block)


MANY = 2_000


@contextmanager
def few_parameters(host: Host) -> Iterator[Connection]:
    """Fail for a statement with a parameter for each of :data:`MANY` values."""

    def check(
        _connection: Connection,
        _cursor: Any,
        _statement: str,
        parameters: Any,
        _context: Any,
        executemany: bool,
    ) -> None:
        assert executemany or len(parameters) < MANY

    with host.app.app_context(), host.db.engine.connect() as connection:
        event.listen(host.db.engine, "before_cursor_execute", check)
        try:
            yield connection
        finally:
            event.remove(host.db.engine, "before_cursor_execute", check)


class TestManyValues:
    """No statement has a parameter for each instance or word."""

    def test_words_of_many_instances(self, host: Host) -> None:
        decide(host, MANY, cat={"blocked": True})
        instances = [SHOP, *(f"i{number}" for number in range(MANY))]
        with few_parameters(host) as connection:
            words = read_words(connection, host.models, instances)
        assert set(words) == set(instances)
        assert words[SHOP] == {"cat": WordRule(blocked=True)}

    def test_settings_of_many_instances(self, host: Host) -> None:
        Desk(host).save({("", "max_tags"): 7}, SHOP)
        instances = [SHOP, *(f"i{number}" for number in range(MANY))]
        with few_parameters(host):
            stored = host.autotag.state_of(host.app).stored_settings()
            layers = stored.layers_of(host.db.session(), instances)
        assert layers[SHOP].resolve().max_tags == 7
        assert layers["i1"].resolve().max_tags == 0

    def test_related_words_in_many_instances(self, host: Host) -> None:
        pup = {"key": "pup", "name": "pup", "changed_at": datetime(2026, 1, 1)}
        rows = [
            {**pup, "instance": f"i{number}", "becomes": name, "becomes_key": name}
            for number in range(MANY)
            for name in [f"dog {number}"]
        ]
        with few_parameters(host) as connection:
            connection.execute(insert(host.models.word.__table__), rows)
            found = read_related(connection, host.models, ["pup"], None)
        assert len(found) == MANY

    def test_new_names_of_many_tags(self, host: Host) -> None:
        keys = [f"w{number}" for number in range(MANY)]
        vocabulary = Vocabulary({key: WordRule(becomes=key.upper()) for key in keys})
        with few_parameters(host):
            table, session = host.models.tag.__table__, host.db.session()
            rows = [{"instance": SHOP, "key": key, "name": key} for key in keys[-9:]]
            session.execute(insert(table), rows)
            rename_tags(session, host.models, SHOP, vocabulary)
            names = session.scalars(select(table.c.name).order_by(table.c.id)).all()
        assert names == [key.upper() for key in keys[-9:]]
