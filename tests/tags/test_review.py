"""Suggestions and the decisions about them, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from flask_autotag import AssetRef
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import TagName, tag_name
from flask_autotag.tags import review
from flask_autotag.tags.asset_rows import find_row
from flask_autotag.tags.queries.applied_tags import tags_for
from flask_autotag.tags.review import BulkDecision, Suggestion
from flask_autotag.tags.rules import APPLIED, REJECTED, SUGGESTED

from ..hosts import Host, make_host, store_labels

DOG, CAT = tag_name("Dog"), tag_name("cat")


class Desk:
    """Reads and decides in transactions of its own, as pages do."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.database = host.autotag.state_of(host.app).database

    def run(self, work: Any, *arguments: Any, **named: Any) -> Any:
        def act(session: Session) -> Any:
            return work(session, self.host.models, *arguments, **named)

        return self.database.transact(act)

    def decide_or_undo(self, work: Any, *arguments: Any) -> Any:
        stored = self.host.autotag.state_of(self.host.app).stored_settings()
        return self.database.transact(lambda session: work(session, stored, *arguments))

    def suggested(self, name: TagName = DOG, **named: Any) -> list[str]:
        found: list[Suggestion] = self.run(
            review.suggestions, "default", name.key, limit=10, **named
        )
        return [one.asset.id for one in found]

    def rows(self, *ids: str) -> list[int]:
        return [self.run(find_row, AssetRef("photo", each), "default") for each in ids]

    def decide(
        self, wanted: dict[str, str], name: TagName = DOG, who: str | None = "nora"
    ) -> BulkDecision:
        by_row = {self.rows(each)[0]: state for each, state in wanted.items()}
        made: BulkDecision = self.decide_or_undo(
            review.decide_if_unchanged, "default", name, by_row, who
        )
        return made

    def put_back(self, decided: BulkDecision, who: str | None = "nora") -> int:
        back: int = self.decide_or_undo(review.undo, "default", decided, who)
        return back

    def states(self, asset: str) -> dict[str, tuple[str, str, str | None]]:
        """State, source and person of each tag."""
        found = {}
        for state in (APPLIED, SUGGESTED, REJECTED):
            tags = self.run(tags_for, AssetRef("photo", asset), "default", state=state)
            found |= {tag.name: (state, tag.source, tag.person) for tag in tags}
        return found


def fill(host: Host) -> Desk:
    """Suggest dog on three photos and cat on two of them; apply grass."""
    for asset, labels in (
        ("1", [("grass", 0.9), ("Dog", 0.4)]),
        ("2", [("cat", 0.45), ("Dog", 0.3)]),
        ("3", [("Dog", 0.35), ("cat", 0.25)]),
    ):
        store_labels(host, AssetRef("photo", asset), labels)
    store_labels(host, AssetRef("photo", "9"), [("Dog", 0.4)], "other")
    return Desk(host)


@pytest.fixture
def desk(host_database_url: str) -> Iterator[Desk]:
    config = {"AUTOTAG_SUGGESTION_THRESHOLD": 0.2}
    with make_host(host_database_url, **config) as host, host.app.app_context():
        yield fill(host)


def test_tags_by_how_many_images_they_are_suggested_for(desk: Desk) -> None:
    found = desk.run(review.suggested_tags, "default", limit=10)
    assert [(one.name.name, one.images) for one in found] == [("Dog", 3), ("cat", 2)]
    [second] = desk.run(review.suggested_tags, "default", limit=1, offset=1)
    assert second.name == CAT
    one = desk.run(review.suggested_tag, "default", "dog")
    assert (one.name, one.images) == (DOG, 3)
    assert desk.run(review.suggested_tag, "default", "whale") is None
    assert desk.run(review.suggested_tag, "other", "dog").images == 1


def test_images_of_a_tag_the_latest_first(desk: Desk) -> None:
    assert desk.suggested() == ["3", "2", "1"]
    [third] = desk.rows("3")
    assert desk.suggested(before=third) == ["2", "1"]
    [first, *_] = desk.run(review.suggestions, "default", "cat", limit=1)
    assert first == Suggestion(
        third, AssetRef("photo", "3"), 0.25, "tensorflow", "model 1"
    )


def test_deciding_and_putting_back(desk: Desk) -> None:
    before = [desk.states(each) for each in "123"]
    decided = desk.decide({"1": APPLIED, "2": REJECTED})
    assert (decided.accepted, decided.rejected) == (desk.rows("1"), desk.rows("2"))
    assert desk.states("1")["Dog"] == (APPLIED, "person", "nora")
    assert desk.states("2")["Dog"] == (REJECTED, "person", "nora")
    assert desk.suggested() == ["3"]
    assert desk.put_back(decided) == 2
    assert [desk.states(each) for each in "123"] == before
    assert desk.put_back(decided) == 0


def test_what_is_no_suggestion_any_more_is_left(desk: Desk) -> None:
    desk.decide({"1": REJECTED}, who="sam")
    decided = desk.decide({"1": APPLIED, "2": APPLIED})
    assert decided.accepted == desk.rows("2")
    assert desk.states("1")["Dog"] == (REJECTED, "person", "sam")
    again = desk.decide({"1": APPLIED})
    assert (again.accepted, again.since) == ([], None)


def test_another_instances_images_are_out_of_reach(desk: Desk) -> None:
    row = desk.run(find_row, AssetRef("photo", "9"), "other")
    decided = desk.decide_or_undo(
        review.decide_if_unchanged, "default", DOG, {row: APPLIED}, "nora"
    )
    assert decided.accepted == []


def test_what_was_decided_anew_is_not_put_back(desk: Desk) -> None:
    decided = desk.decide({"1": APPLIED, "2": APPLIED})
    with desk.host.app.app_context():
        desk.host.autotag.reject_tag(AssetRef("photo", "1"), "dog", person="sam")
        desk.host.autotag.add_tag(AssetRef("photo", "3"), "dog", person="nora")
    assert desk.put_back(decided, who="sam") == 0
    assert desk.put_back(decided) == 1
    assert desk.states("1")["Dog"] == (REJECTED, "person", "sam")
    assert desk.states("3")["Dog"] == (APPLIED, "person", "nora")
    assert desk.suggested() == ["2"]


def test_nobodys_decisions_are_put_back_too(desk: Desk) -> None:
    decided = desk.decide({"1": APPLIED}, who=None)
    assert desk.put_back(decided, who="nora") == 0
    assert desk.put_back(decided, who=None) == 1


def test_a_word_that_has_another_name_by_now(desk: Desk) -> None:
    desk.run(change_words, "default", {DOG: {"becomes": "hound"}}, "ada")
    decided = desk.decide({"1": APPLIED, "2": REJECTED})
    assert (len(decided.accepted), decided.since) == (1, None)
    assert desk.states("1")["hound"] == (APPLIED, "person", "nora")
    assert desk.suggested() == ["3"]


def test_the_index_finds_the_images_of_a_tag(sqlite_url: str) -> None:
    with make_host(sqlite_url) as host, host.app.app_context():
        seen: list[str] = []
        real = Session.execute

        class Spy(Session):
            def execute(self, statement: Any, *rest: Any, **named: Any) -> Any:
                sql = str(statement.compile(self.get_bind(), compile_kwargs=LITERAL))
                plan = real(self, text(f"EXPLAIN QUERY PLAN {sql}"))
                seen.extend(row.detail for row in plan)
                return real(self, statement, *rest, **named)

        with Spy(host.db.engine) as session:
            review.suggestions(session, host.models, "default", "dog", 25, before=9)
    assert any("(tag_id=? AND state=?" in line for line in seen), seen
    assert not [line for line in seen if line.startswith("SCAN") or "TEMP" in line]


LITERAL = {"literal_binds": True}
