"""Bulk actions execute as many statements for many images as for a few."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from flask_autotag import AssetRef
from flask_autotag.classification.request import Classified
from flask_autotag.host.images import images_by_asset
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.settings.stored import StoredSettings
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import TagName, tag_name
from flask_autotag.tags import bulk, deciding, reapply, review
from flask_autotag.tags.asset_rows import lock_assets
from flask_autotag.tags.batches import AssetFilter
from flask_autotag.tags.counters import check_all
from flask_autotag.tags.queries import applied_tags, progress
from flask_autotag.tags.rules import APPLIED, REJECTED, SUGGESTED
from flask_autotag.tags.store import Entry, store

from ..hosts import Host, make_host

#: Images of the small and of the large run.
FEW, MANY = 5, 15
DOG, HOUND = tag_name("dog"), tag_name("hound")
#: Dog is suggested, and grass is applied.
LABELS = (Label("n1", "dog", 0.4), Label("n2", "grass", 0.9))


@dataclass
class Bench:
    """A host whose instances get some images each."""

    host: Host

    @property
    def database(self) -> Any:
        return self.host.autotag.state_of(self.host.app).database

    @property
    def stored(self) -> StoredSettings:
        return self.host.autotag.state_of(self.host.app).stored_settings()

    def run(self, work: Callable[[Session], Any]) -> Any:
        return self.database.transact(work)

    def entries(self, instance: str, images: int) -> list[Entry]:
        settings = self.host.autotag.state_of(self.host.app).settings_for(instance)
        said = Classified("0" * 64, [Prediction("tensorflow", "1", LABELS)])
        return [
            Entry(AssetRef("photo", str(number)), instance, said, settings)
            for number in range(images)
        ]

    def fill(self, instance: str, images: int) -> list[int]:
        """Store the labels of images, and return the keys of their rows."""
        self.run(lambda s: store(s, self.host.models, self.entries(instance, images)))
        table = self.host.models.asset.__table__
        rows = select(table.c.id).where(table.c.instance == instance)
        return self.run(lambda s: s.scalars(rows.order_by(table.c.id)).all())

    def decide(
        self,
        instance: str,
        rows: Sequence[int],
        state: str = APPLIED,
        standing: str = SUGGESTED,
        name: TagName = DOG,
    ) -> review.BulkDecision:
        return self.run(
            lambda session: review.decide_if_unchanged(
                session,
                self.stored,
                instance,
                name,
                dict.fromkeys(rows, state),
                "nora",
                standing,
            )
        )

    def rename(self, instance: str) -> None:
        """Rename "dog" to "hound"."""
        words = {DOG: {"becomes": "hound"}}
        self.run(lambda s: change_words(s, self.host.models, instance, words, "ada"))

    def assignments(self, instance: str) -> list[tuple[Any, ...]]:
        """Read all tags of an instance, without keys and times."""
        asset, tag, assigned = (
            getattr(self.host.models, name).__table__
            for name in ("asset", "tag", "assignment")
        )
        columns = [
            column
            for column in assigned.c
            if column.name not in ("asset_id", "tag_id", "created_at")
        ]
        rows = (
            select(asset.c.asset_id, tag.c.key, *columns)
            .join_from(assigned, asset, asset.c.id == assigned.c.asset_id)
            .join(tag, tag.c.id == assigned.c.tag_id)
            .where(asset.c.instance == instance)
            .order_by(asset.c.asset_id, tag.c.key)
        )
        return [tuple(row) for row in self.run(lambda s: s.execute(rows).all())]

    @contextmanager
    def counting_statements(self) -> Iterator[list[str]]:
        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        event.listen(self.host.db.engine, "before_cursor_execute", note)
        try:
            yield statements
        finally:
            event.remove(self.host.db.engine, "before_cursor_execute", note)


@pytest.fixture
def bench(sqlite_url: str) -> Iterator[Bench]:
    with (
        make_host(sqlite_url, AUTOTAG_SUGGESTION_THRESHOLD=0.2) as host,
        host.app.app_context(),
    ):
        yield Bench(host)


#: Prepares an instance with so many images, and returns the action to measure.
Prepare = Callable[[Bench, str, int], Callable[[], Any]]


def store_labels(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    entries = bench.entries(instance, images)
    return lambda: bench.run(lambda s: store(s, bench.host.models, entries))


def accept(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    rows = bench.fill(instance, images)
    return lambda: bench.decide(instance, rows)


def reject(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    rows = bench.fill(instance, images)
    return lambda: bench.decide(instance, rows, REJECTED)


def accept_renamed(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    rows = bench.fill(instance, images)
    bench.rename(instance)
    return lambda: bench.decide(instance, rows)


def accept_renamed_rejections(
    bench: Bench, instance: str, images: int
) -> Callable[[], Any]:
    rows = bench.fill(instance, images)
    bench.decide(instance, rows, REJECTED)
    bench.rename(instance)
    return lambda: bench.decide(instance, rows, APPLIED, REJECTED)


def undo(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    rows = bench.fill(instance, images)
    decided = bench.decide(instance, rows)
    return lambda: bench.run(
        lambda s: review.undo(s, bench.stored, instance, decided, "nora")
    )


def apply_rename(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    bench.decide(instance, bench.fill(instance, images))
    bench.rename(instance)
    return lambda: bench.run(lambda s: _apply(bench, s, instance))


def apply_dropped_word(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    bench.decide(instance, bench.fill(instance, images))
    word = bench.host.models.word.__table__
    assigned = bench.host.models.assignment.__table__
    changes = {DOG: {"blocked": True}}
    bench.run(lambda s: change_words(s, bench.host.models, instance, changes, "ada"))
    latest = select(assigned.c.created_at).order_by(assigned.c.created_at.desc())
    dropped = update(word).values(dropped_at=latest.limit(1).scalar_subquery())
    bench.run(lambda s: s.execute(dropped.where(word.c.instance == instance)))
    return lambda: bench.run(lambda s: _apply(bench, s, instance))


def _apply(bench: Bench, session: Session, instance: str) -> None:
    settings = bench.host.autotag.state_of(bench.host.app).settings_for(instance)
    models = bench.host.models
    chunk = reapply.read_chunk(session, models, instance, settings, 0, lock=True)
    assert chunk.stale
    reapply.apply(session, models, chunk)


def preview(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    bench.fill(instance, images)
    settings = bench.host.autotag.state_of(bench.host.app).settings_for(instance)
    models = bench.host.models
    return lambda: bench.run(
        lambda s: reapply.preview(
            s, models, {instance: settings}, 1000, {instance: settings}
        )
    )


def untag(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    bench.fill(instance, images)
    state = bench.host.autotag.state_of(bench.host.app)
    return lambda: bulk.untag(state, AssetFilter(instance), lambda _: None)


def commit(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    bench.fill(instance, images)
    state = bench.host.autotag.state_of(bench.host.app)
    return lambda: bulk.commit(state, AssetFilter(instance), "nora", lambda _: None)


def read_tags(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    bench.fill(instance, images)
    refs = [AssetRef("photo", str(number)) for number in range(images)]
    models = bench.host.models
    return lambda: bench.run(
        lambda s: applied_tags.preload(s, models, images_by_asset(refs), instance)
    )


def read_progress(bench: Bench, instance: str, images: int) -> Callable[[], Any]:
    bench.fill(instance, images)
    refs = [AssetRef("photo", str(number)) for number in range(images)]
    models = bench.host.models
    return lambda: bench.run(
        lambda s: progress.progress(s, models, images_by_asset(refs), instance)
    )


@pytest.mark.parametrize(
    "prepare",
    [
        store_labels,
        accept,
        reject,
        accept_renamed,
        accept_renamed_rejections,
        undo,
        apply_rename,
        apply_dropped_word,
        preview,
        untag,
        commit,
        read_tags,
        read_progress,
    ],
)
def test_statements_do_not_grow_with_images(bench: Bench, prepare: Prepare) -> None:
    counts = []
    for instance, images in (("few", FEW), ("many", MANY)):
        action = prepare(bench, instance, images)
        before = bench.assignments(instance)
        with bench.counting_statements() as statements:
            action()
        counts.append(statements)
        assert prepare in READS or bench.assignments(instance) != before
    few, many = counts
    assert len(many) == len(few), "\n".join(many)
    assert check_all(bench.database).wrong == []


#: The actions that change no tag.
READS = (preview, read_tags, read_progress)


@pytest.mark.parametrize("is_renamed", [False, True])
@pytest.mark.parametrize("state", [APPLIED, REJECTED])
@pytest.mark.parametrize("standing", [SUGGESTED, REJECTED])
def test_many_decisions_write_the_rows_of_single_ones(
    bench: Bench, is_renamed: bool, state: str, standing: str
) -> None:
    rows = {instance: bench.fill(instance, FEW) for instance in ("bulk", "single")}
    for instance, keys in rows.items():
        if standing == REJECTED:
            bench.decide(instance, keys, REJECTED)
        if is_renamed:
            bench.rename(instance)
        # Decisions about another tag, which have to stay.
        bench.decide(instance, keys[:2], REJECTED, APPLIED, tag_name("grass"))
    bench.decide("bulk", rows["bulk"], state, standing)
    for row in rows["single"]:
        bench.decide("single", [row], state, standing)
    assert bench.assignments("bulk") == bench.assignments("single")
    assert check_all(bench.database).wrong == []


def test_a_decision_about_no_image_makes_no_tag(bench: Bench) -> None:
    rows = bench.fill("shop", FEW)
    assert bench.decide("shop", rows, name=HOUND) == review.BulkDecision(
        "hound", [], []
    )
    tag = bench.host.models.tag
    assert (
        bench.run(lambda s: s.scalars(select(tag.key).where(tag.key == "hound")).all())
        == []
    )


def test_a_rejection_of_the_former_name_stays(bench: Bench) -> None:
    """The former name is deleted only where it was not rejected."""
    first, second = bench.fill("shop", 2)
    bench.decide("shop", [first], REJECTED)
    bench.rename("shop")
    models = bench.host.models

    def decide(session: Session) -> None:
        assets = lock_assets(session, models, "shop", [first, second])
        connection = session.connection()
        deciding.decide_on_rows(
            connection,
            models,
            bench.stored.settings(connection, "shop"),
            "shop",
            HOUND,
            {row: (asset, APPLIED) for row, asset in assets.items()},
            "nora",
        )

    bench.run(decide)
    found = {(asset, key): state for asset, key, state, *_ in bench.assignments("shop")}
    assert found["0", "dog"] == REJECTED
    assert ("1", "dog") not in found
    assert found["0", "hound"] == found["1", "hound"] == APPLIED


def test_lists_longer_than_a_statement_may_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_autotag.db.sql._IN_SIZE", 2)
    rows = bench.fill("shop", FEW)
    decided = bench.decide("shop", rows)
    assert decided.accepted == rows
    states = {state for _, key, state, *_ in bench.assignments("shop") if key == "dog"}
    assert states == {APPLIED}
    refs = [AssetRef("photo", str(number)) for number in range(FEW)]
    models = bench.host.models
    tags = bench.run(
        lambda s: applied_tags.preload(s, models, images_by_asset(refs), "shop")
    )
    assert [len(tags[ref]) for ref in refs] == [2] * FEW
    found = bench.run(
        lambda s: progress.progress(s, models, images_by_asset(refs), "shop")
    )
    assert {found[ref].state for ref in refs} == {"tagged"}
    undone = bench.run(lambda s: review.undo(s, bench.stored, "shop", decided, "nora"))
    assert undone == FEW
    assert check_all(bench.database).wrong == []
