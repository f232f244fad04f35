"""Bulk actions: their outcomes, their numbers and their undo, on each database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import select

from flask_autotag import AssetRef
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.tags import bulk_actions, bulk_decisions
from flask_autotag.tags.asset_rows import lock_assets
from flask_autotag.tags.bulk_actions import BulkAction, ItemOutcome, Request
from flask_autotag.tags.counters import check_all
from flask_autotag.tags.queries import image_list
from flask_autotag.tags.queries.image_list import ImageFilter
from flask_autotag.tags.rules import APPLIED, REJECTED, SUGGESTED

from ..hosts import ANIMALS, Host, store_labels
from ..settings.desk import Desk

SUGGESTIONS = ("", "suggestion_threshold")
LABELS = [("dog", 0.9), ("wolf", 0.3)]
CHANGED, UNCHANGED = ItemOutcome.CHANGED, ItemOutcome.UNCHANGED


def photo(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


class Bulk:
    """Bulk actions in the instance ``shop`` of a host."""

    def __init__(self, host: Host, images: int = 3) -> None:
        self.host = host
        self.state = host.autotag.state_of(host.app)
        self.database, self.models = self.state.database, host.models
        Desk(host).save({SUGGESTIONS: 0.2})
        for number in range(1, 1 + images):
            for instance in ("shop", "news"):
                store_labels(host, photo(number), LABELS, instance, concepts=ANIMALS)

    def rows(self) -> list[int]:
        return self.database.transact(
            lambda session: [
                each.row
                for each in image_list.page(
                    session.connection(), self.models, "shop", ImageFilter(), 100
                )
            ][::-1]
        )

    def decide(
        self,
        tag: str,
        state: str = APPLIED,
        expected: str | None = None,
        rows: Sequence[int] | None = None,
        who: str = "ada",
    ) -> tuple[BulkAction, list[str]]:
        """Decide in one portion, and return the outcomes in the order of the images."""

        def work(session: Any) -> tuple[BulkAction, list[str]]:
            connection, stored = session.connection(), self.state.stored_settings()
            action = bulk_actions.begin(
                connection, stored, "shop", tag_name(tag), state, expected, who
            )
            assets = lock_assets(
                session, self.models, "shop", self.rows() if rows is None else rows
            )
            outcomes = bulk_decisions.decide(connection, stored, action, assets)
            done = outcomes.values()
            bulk_actions.count(connection, self.models, action, done, is_new=True)
            bulk_actions.finish(connection, self.models, action)
            return action, [outcomes[row] for row in assets]

        if rows is None:
            rows = self.rows()
        return self.database.transact(work)

    def undo(self, action: BulkAction) -> list[str]:
        def work(session: Any) -> list[str]:
            connection, stored = session.connection(), self.state.stored_settings()
            assert bulk_actions.begin_undo(connection, self.models, action, "eve")
            found = self.read(connection, action)
            assets = lock_assets(session, self.models, "shop", self.rows_of(action))
            outcomes = bulk_decisions.undo(connection, stored, found, assets)
            bulk_actions.count(connection, self.models, found, outcomes.values())
            bulk_actions.finish(connection, self.models, found)
            return [outcomes[row] for row in assets]

        return self.database.transact(work)

    def rows_of(self, action: BulkAction) -> Sequence[int]:
        item = self.models.bulk_item
        with self.host.db.engine.connect() as connection:
            found = select(item.asset_id).where(item.action_id == action.id)
            return connection.scalars(found).all()

    def read(self, connection: Any, action: BulkAction) -> BulkAction:
        found = bulk_actions.read(connection, self.models, action.id, "shop")
        assert found is not None
        return found

    def stored(self, action: BulkAction) -> BulkAction:
        return self.database.transact(lambda s: self.read(s.connection(), action))

    def assignments(self) -> list[tuple[Any, ...]]:
        """Read all columns of all assignments of all instances."""
        tag, table = self.models.tag.__table__, self.models.assignment.__table__
        with self.host.db.engine.connect() as connection:
            rows = connection.execute(
                select(tag.c.key, table)
                .join_from(table, tag, tag.c.id == table.c.tag_id)
                .order_by(table.c.asset_id, tag.c.key)
            )
            return [tuple(row) for row in rows]

    def tags(self, number: int, instance: str = "shop") -> list[str]:
        # A new transaction of the host, which sees what is committed.
        self.host.db.session.rollback()
        return [tag.name for tag in self.host.autotag.tags_for(photo(number), instance)]

    def is_counted(self) -> bool:
        return check_all(self.database).wrong == []


@pytest.fixture
def bulk(any_host: Host) -> Any:
    with any_host.app.app_context():
        yield Bulk(any_host)


def test_each_outcome(bulk: Bulk) -> None:
    bulk.host.autotag.add_tag(photo(2), "wolf", instance="shop")
    bulk.host.autotag.reject_tag(photo(3), "wolf", instance="shop")
    action, outcomes = bulk.decide("wolf")
    assert outcomes == [CHANGED, UNCHANGED, CHANGED]
    assert [bulk.tags(number) for number in (1, 2, 3)] == [["wolf", "dog"]] * 3
    assert bulk.tags(1, "news") == ["dog"]
    stored = bulk.stored(action)
    assert (stored.phase, stored.images, stored.changed) == ("done", 3, 2)
    assert (stored.person, stored.tag.name, stored.undone_by) == ("ada", "wolf", None)
    assert bulk.is_counted()


def test_only_tags_in_the_expected_state(bulk: Bulk) -> None:
    bulk.host.autotag.reject_tag(photo(2), "wolf", instance="shop")
    _, outcomes = bulk.decide("wolf", APPLIED, SUGGESTED)
    assert outcomes == [CHANGED, ItemOutcome.UNEXPECTED, CHANGED]
    assert [bulk.tags(n) for n in (1, 2)] == [["wolf", "dog"], ["dog"]]
    assert bulk.is_counted()


def add(bulk: Bulk) -> None:
    bulk.host.autotag.add_tag(photo(1), "wolf", instance="shop", person="nora")


def reject(bulk: Bulk) -> None:
    bulk.host.autotag.reject_tag(photo(1), "wolf", instance="shop", person="nora")


def pin(bulk: Bulk) -> None:
    bulk.host.autotag.pin_tags(
        photo(1), ["dog", "wolf"], instance="shop", person="nora"
    )


def nothing(bulk: Bulk) -> None:
    """Leave the provider's tag dog and the suggestion wolf."""


@pytest.mark.parametrize("before", [nothing, add, reject, pin])
@pytest.mark.parametrize("tag", ["dog", "wolf", "Rex"])
@pytest.mark.parametrize("state", [APPLIED, REJECTED])
def test_an_undo_restores_exactly(
    host: Host, before: Callable[[Bulk], None], tag: str, state: str
) -> None:
    with host.app.app_context():
        bulk = Bulk(host)
        before(bulk)
        expected = bulk.assignments()
        action, _ = bulk.decide(tag, state)
        assert bulk.assignments() != expected
        assert bulk.undo(action) == [ItemOutcome.RESTORED] * 3
        assert bulk.assignments() == expected
        assert bulk.is_counted()


def test_an_undo_restores_on_each_database(bulk: Bulk) -> None:
    pin(bulk)
    before = bulk.assignments()
    first, _ = bulk.decide("wolf", REJECTED)
    second, outcomes = bulk.decide("Wolf", APPLIED, who="mia")
    assert outcomes == [CHANGED] * 3
    assert bulk.undo(second) == [ItemOutcome.RESTORED] * 3
    assert bulk.undo(first) == [ItemOutcome.RESTORED] * 3
    assert bulk.assignments() == before
    stored = bulk.stored(first)
    assert (stored.phase, stored.restored, stored.undone_by) == ("undone", 3, "eve")
    assert bulk.is_counted()


def test_an_undo_leaves_what_was_decided_again(bulk: Bulk) -> None:
    action, _ = bulk.decide("Rex")
    bulk.host.autotag.add_tag(photo(1), "Rex", instance="shop", person="mia")
    bulk.host.autotag.reject_tag(photo(2), "Rex", instance="shop", person="mia")
    kept = ItemOutcome.KEPT
    assert bulk.undo(action) == [kept, kept, ItemOutcome.RESTORED]
    assert [bulk.tags(n) for n in (1, 2, 3)] == [["Rex", "dog"], ["dog"], ["dog"]]
    assert bulk.stored(action).restored == 1
    assert bulk.is_counted()


def test_an_undo_after_the_word_was_renamed(bulk: Bulk) -> None:
    action, _ = bulk.decide("Rex")
    words: Any = {tag_name("Rex"): {"becomes": "Max"}}
    bulk.database.transact(
        lambda session: change_words(session, bulk.models, "shop", words, None)
    )
    # Applies the words to this image.
    bulk.host.autotag.add_tag(photo(1), "Tom", instance="shop")
    assert bulk.tags(1) == ["Max", "Tom", "dog"]
    assert bulk.undo(action) == [ItemOutcome.RESTORED] * 3
    assert [bulk.tags(n) for n in (1, 2, 3)] == [["Tom", "dog"], ["dog"], ["dog"]]
    assert bulk.is_counted()


def test_an_undo_happens_once(bulk: Bulk) -> None:
    action, _ = bulk.decide("Rex")
    bulk.undo(action)
    assert not bulk.database.transact(
        lambda s: bulk_actions.begin_undo(s.connection(), bulk.models, action, "eve")
    )


def test_an_action_belongs_to_its_instance(bulk: Bulk) -> None:
    action, _ = bulk.decide("Rex")
    others = bulk.database.transact(
        lambda s: (
            bulk_actions.read(s.connection(), bulk.models, action.id, "news"),
            bulk_actions.latest(s.connection(), bulk.models, "news", 10),
        )
    )
    assert others == (None, [])


def test_the_latest_actions_page_by_page(bulk: Bulk) -> None:
    made = [bulk.decide(tag)[0].id for tag in ("Rex", "Tom", "Ida")]

    def ids(before: int | None) -> list[int]:
        return bulk.database.transact(
            lambda s: [
                each.id
                for each in bulk_actions.latest(
                    s.connection(), bulk.models, "shop", 2, before
                )
            ]
        )

    assert ids(None) == made[:0:-1]
    assert ids(made[1]) == made[:1]


def test_an_action_of_a_request_is_found_again(bulk: Bulk) -> None:
    def begin(instance: str, key: str) -> BulkAction:
        return bulk.database.transact(
            lambda session: bulk_actions.begin(
                session.connection(),
                bulk.state.stored_settings(),
                instance,
                tag_name("Rex"),
                APPLIED,
                None,
                "ada",
                Request(key, "f" * 64),
            )
        )

    made = {instance: begin(instance, "key") for instance in ("shop", "news")}

    def find(instance: str, key: str) -> BulkAction | None:
        return bulk.database.transact(
            lambda s: bulk_actions.read_by_request(
                s.connection(), bulk.models, instance, key
            )
        )

    for instance, action in made.items():
        found = find(instance, "key")
        assert found is not None
        assert (found.id, found.request_digest) == (action.id, "f" * 64)
    assert find("shop", "other") is None


def test_a_forgotten_image_leaves_the_action(bulk: Bulk) -> None:
    action, _ = bulk.decide("Rex")
    bulk.host.autotag.forget(photo(2), instance="shop")
    assert len(bulk.rows_of(action)) == 2
    assert bulk.undo(action) == [ItemOutcome.RESTORED] * 2
    assert bulk.is_counted()
