"""A person's decision applies the rules to the image again, in the same transaction."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from flask_autotag import AssetRef
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.tags import review
from flask_autotag.tags.asset_rows import find_row
from flask_autotag.tags.counters import check_all
from flask_autotag.tags.rules import APPLIED, REJECTED, SUGGESTED

from ..hosts import ANIMALS, Host, make_host, store_labels
from ..settings.desk import Desk

PHOTO = AssetRef("photo", "1")
MAXIMUM, ENABLED = ("", "max_tags"), ("", "enabled")
LABELS = [("dog", 0.9), ("grass", 0.8), ("animal", 0.65), ("fence", 0.3)]


def fill(host: Host, asset: AssetRef = PHOTO, instance: str = "default") -> None:
    store_labels(host, asset, LABELS, instance, concepts=ANIMALS)


def names(host: Host, instance: str = "default") -> list[str]:
    return [tag.name for tag in host.autotag.tags_for(PHOTO, instance)]


def committed(host: Host) -> list[str]:
    """The tags as a new transaction reads them."""
    host.db.session.rollback()
    return names(host)


def suggested(host: Host) -> list[str]:
    return [tag.name for tag in host.autotag.suggestions_for(PHOTO)]


def agrees(host: Host, asset: AssetRef = PHOTO) -> bool:
    """Whether explanations are those of the tags, and the counters are right."""
    labels = host.autotag.explain(asset).labels
    explained = {each.tag for each in labels if each.outcome == "applied"}
    tags = host.autotag.tags_for(asset)
    applied = {tag.name for tag in tags if tag.source == "provider"}
    offered = {each.tag for each in labels if each.outcome == "suggested"}
    waiting = {tag.name for tag in host.autotag.suggestions_for(asset)}
    database = host.autotag.state_of(host.app).database
    return (explained, offered, check_all(database).wrong) == (applied, waiting, [])


@pytest.fixture
def filled(host: Host) -> Iterator[Host]:
    with host.app.app_context():
        fill(host)
        yield host


def test_a_broader_tag_appears_when_the_narrower_one_is_removed(
    host_database_url: str,
) -> None:
    with make_host(host_database_url) as host, host.app.app_context():
        fill(host)
        assert committed(host) == ["dog", "grass"]
        host.autotag.remove_tag(PHOTO, "dog")
        assert committed(host) == ["grass", "animal"]
        assert agrees(host)
        host.autotag.add_tag(PHOTO, "dog")
        assert committed(host) == ["dog", "grass"]
        assert agrees(host)


def test_the_maximum_is_kept(filled: Host) -> None:
    Desk(filled).save({MAXIMUM: 2})
    filled.autotag.add_tag(PHOTO, "Rex")
    assert names(filled) == ["Rex", "grass"]
    filled.autotag.remove_tag(PHOTO, "Rex")
    assert names(filled) == ["dog", "grass"]
    filled.autotag.reject_tag(PHOTO, "grass")
    assert names(filled) == ["dog"]
    assert agrees(filled)


def test_suggestions_follow(sqlite_url: str) -> None:
    config = {"AUTOTAG_SUGGESTION_THRESHOLD": 0.2}
    with make_host(sqlite_url, **config) as host, host.app.app_context():
        labels = [("dog", 0.4), ("animal", 0.4)]
        store_labels(host, PHOTO, labels, concepts=ANIMALS)
        assert suggested(host) == ["dog"]
        host.autotag.reject_tag(PHOTO, "dog")
        assert suggested(host) == ["animal"]
        host.autotag.accept_tag(PHOTO, "dog")
        assert suggested(host) == []
        assert agrees(host)


def test_tags_of_providers_stay_while_tagging_is_off(filled: Host) -> None:
    Desk(filled).save({ENABLED: False, MAXIMUM: 1})
    filled.autotag.remove_tag(PHOTO, "dog")
    filled.autotag.add_tag(PHOTO, "Rex")
    assert names(filled) == ["Rex", "grass"]


def test_the_settings_and_images_of_other_instances_have_no_part(host: Host) -> None:
    with host.app.app_context():
        for instance in ("shop", "news"):
            fill(host, instance=instance)
        Desk(host).save({MAXIMUM: 1}, "news")
        host.autotag.remove_tag(PHOTO, "dog", instance="shop")
        assert names(host, "shop") == ["grass", "animal"]
        assert names(host, "news") == ["dog", "grass"]


def test_a_word_without_its_rename_yet_is_renamed(filled: Host) -> None:
    """Saved words apply to the image of a decision before the job reaches it."""
    words = {tag_name("grass"): {"becomes": "lawn"}}
    filled.autotag.state_of(filled.app).database.transact(
        lambda session: change_words(session, filled.models, "default", words, None)
    )
    filled.autotag.add_tag(PHOTO, "Rex")
    assert names(filled) == ["Rex", "dog", "lawn"]
    assert agrees(filled)


def test_unchanged_tags_are_not_written(filled: Host) -> None:
    before = filled.autotag.tags_for(PHOTO)
    filled.autotag.add_tag(PHOTO, "Rex")
    assert filled.autotag.tags_for(PHOTO)[1:] == before


def test_a_decision_that_the_host_rolls_back_changes_nothing(filled: Host) -> None:
    filled.db.session.add(filled.Photo(path="other.jpg"))
    filled.db.session.flush()
    filled.autotag.remove_tag(PHOTO, "dog")
    assert names(filled) == ["grass", "animal"]
    filled.db.session.rollback()
    assert names(filled) == ["dog", "grass"]
    assert agrees(filled)


def test_predictions_that_came_after_the_hosts_snapshot(any_host: Host) -> None:
    """On MariaDB the host's transaction does not see them in a plain read."""
    host = any_host
    with host.app.app_context():
        store_labels(host, PHOTO, [("cat", 0.9)])
        host.db.session.execute(text("SELECT count(*) FROM autotag_prediction"))
        if host.db.engine.dialect.name == "sqlite":
            # A transaction that has read cannot write any more once others wrote.
            host.db.session.rollback()
        fill(host)
        host.db.session.add(host.Photo(path="other.jpg"))
        host.db.session.flush()
        host.autotag.remove_tag(PHOTO, "dog")
        host.db.session.commit()
        assert names(host) == ["grass", "animal"]
        assert agrees(host)


DECISIONS = st.tuples(
    st.sampled_from(["add", "reject", "bulk", "undo"]),
    st.sampled_from(["dog", "animal", "grass", "Rex"]),
    st.sampled_from([APPLIED, REJECTED]),
    st.sampled_from([SUGGESTED, APPLIED, REJECTED]),
)
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    url = f"sqlite:///{tmp_path_factory.mktemp('deciding') / 'host.sqlite'}"
    config = {"AUTOTAG_SUGGESTION_THRESHOLD": 0.2, "AUTOTAG_MAX_TAGS": 2}
    with make_host(url, **config) as host, host.app.app_context():
        yield host


@given(
    said=st.dictionaries(
        st.sampled_from(["dog", "animal", "grass"]), st.sampled_from([0.1, 0.4, 0.9])
    ),
    decided=st.lists(DECISIONS, max_size=8),
)
def test_explanations_agree_after_any_decisions(
    bench: Host, said: dict[str, float], decided: list[tuple[str, str, str, str]]
) -> None:
    asset = AssetRef("photo", f"any {next(_numbers)}")
    store_labels(bench, asset, [*said.items()], concepts=ANIMALS)
    database, stored = Desk(bench).state.database, Desk(bench).state.stored_settings()

    def act(work: Any, *arguments: Any) -> Any:
        return database.transact(lambda session: work(session, stored, *arguments))

    row = database.transact(lambda s: find_row(s, bench.models, asset, "default"))
    latest = review.BulkDecision("dog")
    for kind, name, state, standing in decided:
        if kind == "add":
            bench.autotag.add_tag(asset, name)
        elif kind == "reject":
            bench.autotag.reject_tag(asset, name)
        elif kind == "bulk":
            latest = act(
                review.decide_if_unchanged,
                "default",
                tag_name(name),
                {row: state},
                None,
                standing,
            )
        else:
            act(review.undo, "default", latest, None)
        assert agrees(bench, asset)
        assert len(bench.autotag.tags_for(asset)) <= max(2, _by_people(bench, asset))


def _by_people(host: Host, asset: AssetRef) -> int:
    return sum(tag.source == "person" for tag in host.autotag.tags_for(asset))
