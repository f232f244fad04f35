"""Only the rules of related words are read, not all rules of all tenants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, event, text

from flask_autotag import AssetRef, TagCount
from flask_autotag.errors import VocabularyError
from flask_autotag.host.assets import SYSTEM
from flask_autotag.settings.stored_words import change_words, read_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.settings.vocabulary import Vocabulary, combine_rules
from flask_autotag.tags.queries.autocomplete import words_to_add
from flask_autotag.tags.queries.names import read_vocabularies

from ..hosts import Host
from ..tags.queries.test_applied_tags import tag
from ..tags.queries.test_plans import plans, whole_tables

INSTANCES = (SYSTEM, "a", "b", "c")
NAMES = ("cat", "dog", "pup", "fox", "cub", "owl", "bee")

decisions = st.dictionaries(
    st.tuples(st.sampled_from(INSTANCES), st.sampled_from(NAMES)),
    st.one_of(st.none(), st.sampled_from(NAMES)),
    max_size=14,
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=40,
    deadline=None,
)
@given(decisions)
def test_related_words_have_the_same_rules_as_in_the_whole_vocabulary(
    host: Host, becomes_by_word: dict[tuple[str, str], str | None]
) -> None:
    with host.app.app_context():
        database = host.autotag.state_of(host.app).database
        with database.begin() as session:
            session.execute(delete(host.models.word.__table__))
        for (instance, name), becomes in becomes_by_word.items():
            fields = {"becomes": becomes} if becomes else {"listed": True}
            try:
                with database.begin() as session:
                    change_words(
                        session, host.models, instance, {tag_name(name): fields}, None
                    )
            except VocabularyError:
                continue
        with database.begin() as session:
            words = read_words(session, host.models, INSTANCES)
            whole = {
                instance: Vocabulary(
                    combine_rules(words[SYSTEM], words[instance] if instance else {})
                )
                for instance in INSTANCES
            }
            for name in map(tag_name, NAMES):
                for tenant in (None, "a", "b"):
                    found = read_vocabularies(
                        session.connection(), host.models, tenant, {name.key}
                    )
                    for instance in INSTANCES if tenant is None else [tenant]:
                        vocabulary = whole[instance]
                        assert found.keys_of(name, instance) == vocabulary.same_as(
                            vocabulary.called(name).key
                        )


MANY = 300_000
#: Half of them aliases, the other half blocked.
CROWD = """
    INSERT INTO autotag_word
        (instance, "key", name, becomes, becomes_key, blocked, changed_at)
    WITH RECURSIVE number(n) AS (
        SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :many
    )
    SELECT 'crowd', 'd' || n, 'd' || n, iif(n % 2, 'x' || n, NULL),
        iif(n % 2, 'x' || n, NULL), iif(n % 2, NULL, 1), '2026-01-01 00:00:00.000000'
    FROM number
"""


@pytest.fixture
def crowded(host: Host) -> Host:
    """A photo of one tenant, and very many words and aliases of another tenant."""
    with host.app.app_context():
        tag(host, AssetRef("photo", "1"), "dog", "grass")
        with host.db.engine.begin() as connection:
            connection.execute(text(CROWD), {"many": MANY})
    return host


def rows_read(host: Host, query: Callable[[], object]) -> int:
    """Return how many rows SQLite returns for a query."""
    read = 0

    def count(_connection: Connection, cursor: Any, *_: Any) -> None:
        nonlocal read
        cursor.row_factory = note

    def note(_cursor: Any, row: Any) -> Any:
        nonlocal read
        read += 1
        return row

    engine = host.db.engine
    event.listen(engine, "before_cursor_execute", count)
    query()
    event.remove(engine, "before_cursor_execute", count)
    host.db.session.rollback()
    return read


def test_no_cost_grows_with_other_tenants_words(crowded: Host) -> None:
    def offer(start: str) -> object:
        connection = crowded.db.session.connection()
        return words_to_add(connection, crowded.models, "default", start, 10)

    def select() -> object:
        found = crowded.autotag.select(crowded.Photo, all_of=["dog"], none_of=["cat"])
        return crowded.db.session.scalars(found).all()

    with crowded.app.app_context():
        queries: list[Callable[[], object]] = [
            select,
            lambda: crowded.autotag.complete("d", "default"),
            lambda: crowded.autotag.complete("d"),
            lambda: offer("d"),
            lambda: offer(""),
            lambda: crowded.autotag.state_of(crowded.app).settings_for("default"),
        ]
        for query in queries:
            assert rows_read(crowded, query) < 200
            for plan in plans(crowded, query, words=True):
                assert not set(whole_tables(plan)) - {"photo"}, plan
        assert crowded.autotag.complete("d", "default") == [TagCount("dog", 1)]


def test_another_tenants_aliases_do_not_hide_ones_own(any_host: Host) -> None:
    with any_host.app.app_context():
        tag(any_host, AssetRef("photo", "1"), "dog")
        database = any_host.autotag.state_of(any_host.app).database
        crowd = {tag_name(f"pu{n:03}"): {"becomes": f"x{n}"} for n in range(60)}
        with database.begin() as session:
            change_words(session, any_host.models, "acme", crowd, None)
            own = {tag_name("pup"): {"becomes": "dog"}}
            change_words(session, any_host.models, "default", own, None)
        assert any_host.autotag.complete("pu", "default") == [TagCount("dog", 1)]
        with database.begin() as session:
            connection = session.connection()
            offered = words_to_add(connection, any_host.models, "default", "pu", 9)
        assert offered == ["dog"]


def test_a_systems_alias_is_completed_in_every_instance(host: Host) -> None:
    with host.app.app_context():
        tag(host, AssetRef("photo", "1"), "dog")
        with host.autotag.state_of(host.app).database.begin() as session:
            shared = {tag_name("pup"): {"becomes": "dog"}}
            change_words(session, host.models, SYSTEM, shared, None)
        assert host.autotag.complete("pu", "default") == [TagCount("dog", 1)]
        assert host.autotag.complete("pu") == [TagCount("dog", 1)]
