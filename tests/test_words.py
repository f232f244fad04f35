"""Decisions about words: stored, applied to existing images, read from CSV."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from flask_autotag import AssetRef, VocabularyError
from flask_autotag.assets import SYSTEM
from flask_autotag.jobs.rules import enqueue_for
from flask_autotag.jobs.worker import Worker
from flask_autotag.vocabulary import Word, tag_name
from flask_autotag.words import (
    change_words,
    read_csv,
    read_vocabulary,
    read_words,
    write_csv,
)

from .hosts import Host, store_labels
from .settings.desk import Desk

LABELS = [("tabby", 0.9), ("dog", 0.8), ("wolf", 0.3)]
SHOP, NEWS = "shop", "news"


def asset(number: int = 1) -> AssetRef:
    return AssetRef("photo", str(number))


def change(
    host: Host, changes: Mapping[str, Mapping[str, Any]], instance: str = SHOP
) -> None:
    """Decide about words, and bring existing images up to date."""
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
        # Somebody who adds it again is obeyed.
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
    assert words == {"a": Word(becomes="b")}


def test_what_is_taken_back_leaves_no_row(host: Host) -> None:
    change(host, {"a": {"blocked": True, "threshold": 0.5}})
    change(host, {"a": {"blocked": None}})
    with host.app.app_context(), host.db.engine.connect() as connection:
        assert read_vocabulary(connection, host.models, SHOP).threshold("a") == 0.5
    change(host, {"a": {"threshold": None}})
    with host.app.app_context(), host.db.engine.connect() as connection:
        assert read_words(connection, host.models, [SHOP])[SHOP] == {}


class TestCSV:
    def written(self, host: Host) -> str:
        file = io.StringIO()
        state = host.autotag.state_of(host.app)
        with host.app.app_context(), state.database.begin() as session:
            write_csv(file, session, host.models, SHOP)
        return file.getvalue()

    def test_what_is_written_is_read_again(self, host: Host) -> None:
        words: dict[str, dict[str, Any]] = {
            "Tabby, striped": {"becomes": 'The "cat"'},
            "dog": {"blocked": True, "threshold": 0.25},
            "fox": {"blocked": False, "listed": True},
        }
        change(host, words)
        text = self.written(host)
        assert text.splitlines() == [
            "word,becomes,blocked,listed,threshold",
            "dog,,yes,,0.25",
            "fox,,no,yes,",
            '"Tabby, striped","The ""cat""",,,',
        ]
        read = read_csv(io.StringIO(text))
        assert {name.name: Word(**fields) for name, fields in read.items()} == {
            word: Word(**fields) for word, fields in words.items()
        }

    def test_a_missing_column_says_nothing_and_an_empty_cell_takes_back(self) -> None:
        [(name, fields)] = read_csv(["word,blocked\n", "Dog,\n"]).items()
        assert (name.key, fields) == ("dog", {"blocked": None})

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "Line 0 has no column 'word': it names the columns."),
            (
                "tag\ndog\n",
                "Line 1 has the column 'tag'; there are: word, becomes, blocked,"
                " listed, threshold.",
            ),
            (
                "word;blocked\ndog;yes\n",
                "Line 1 is divided by semicolons: save the file with commas.",
            ),
            ("word,blocked\n,yes\n", "Line 2 has no word."),
            (
                "word,blocked\ndog,perhaps\n",
                "Line 2 has a wrong blocked: must be yes, no or empty, not 'perhaps'.",
            ),
            (
                "word,threshold\ndog,2\n",
                "Line 2 has a wrong threshold: must be a number from 0 to 1, not '2';"
                " for 2 % write 0.02, with a point.",
            ),
            (
                f"word,becomes\ndog,{'x' * 101}\n",
                "Line 2 has a wrong becomes: a tag's name has at most 100 characters.",
            ),
            (
                "word,blocked\ndog,yes\nDOG,no\n",
                "Line 3 repeats the word DOG.",
            ),
            (
                "word,blocked\ndog,yes,no\n",
                "Line 2 has another number of cells than the first line.",
            ),
            (
                "word,blocked\ndog\n",
                "Line 2 has another number of cells than the first line.",
            ),
        ],
    )
    def test_the_line_that_is_wrong_is_named(self, text: str, sentence: str) -> None:
        with pytest.raises(VocabularyError) as caught:
            read_csv(io.StringIO(text))
        assert str(caught.value) == sentence

    def test_a_file_may_name_more_words_than_a_statement_takes_parameters(
        self, any_host: Host
    ) -> None:
        read = read_csv(["word\n", *(f"w{number}\n" for number in range(70_000))])
        change(any_host, {name.name: fields for name, fields in read.items()})
        with any_host.app.app_context(), any_host.db.engine.connect() as connection:
            assert read_words(connection, any_host.models, [SHOP])[SHOP] == {}

    def test_what_is_no_csv_file_is_refused(self) -> None:
        with pytest.raises(VocabularyError, match=r"It is no CSV file: .*"):
            read_csv(io.StringIO('word\n"dog'))
