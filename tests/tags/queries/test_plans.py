"""Query plans: databases use indexes, and scan no table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, text
from sqlalchemy.orm import joinedload, selectinload, subqueryload

from flask_autotag import AssetRef, TaggedMixin
from flask_autotag.host.assets import SYSTEM
from flask_autotag.jobs import claims
from flask_autotag.jobs.maintenance import Ended, purging
from flask_autotag.monitoring import hourly
from flask_autotag.monitoring.activity import read_activity
from flask_autotag.runtime.turn import Turn
from flask_autotag.tags.queries import selection
from flask_autotag.tags.queries.autocomplete import words_to_add
from flask_autotag.tags.queries.word_list import Filter, Order, list_words

from ...hosts import Host, make_host
from ...services import temporary_database
from .test_applied_tags import tag

PHOTOS = 2000
#: The table that is read page by page in the host's order, and may be "scanned".
WALKED = "photo"


@pytest.fixture(params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """Photos that each have a common tag; one also has a rare one."""
    with (
        temporary_database(request.param, tmp_path) as url,
        make_host(url) as host,
        host.app.app_context(),
    ):
        host.db.session.execute(
            insert(host.Photo), [{"path": str(each)} for each in range(PHOTOS)]
        )
        host.db.session.commit()
        tag(host, AssetRef("photo", "1"), "common", "rare")
        asset, assigned = host.models.asset, host.models.assignment
        model = host.db.session.execute(select(assigned.__table__)).mappings().first()
        assert model is not None
        ids = range(2, PHOTOS)
        named = {"instance": "default", "asset_type": "photo"}
        host.db.session.execute(
            insert(asset.__table__),
            [{**named, "id": each, "asset_id": str(each)} for each in ids],
        )
        host.db.session.execute(
            insert(assigned.__table__), [{**model, "asset_id": each} for each in ids]
        )
        host.db.session.commit()
        yield host


def plans(host: Host, ask: Callable[[], object], *, words: bool = False) -> list[str]:
    """Return the plan of each statement that a query executes.

    :param words: include the statements that read the rules of words.
    """
    asked: list[tuple[str, Any]] = []

    def note(_connection: Connection, _cursor: Any, statement: str, *rest: Any) -> None:
        asked.append((statement, rest[0]))

    engine = host.db.engine
    event.listen(engine, "before_cursor_execute", note)
    ask()
    event.remove(engine, "before_cursor_execute", note)
    host.db.session.rollback()
    prefix = (
        "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    )
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
            # It scans small tables unless scans are made expensive.
            connection.execute(text("SET enable_seqscan = off"))
        return [
            "\n".join(
                str(row[-1])
                for row in connection.exec_driver_sql(prefix + statement, parameters)
            )
            for statement, parameters in asked
            # A statement that only locks reads no row.
            if (words or "autotag_word" not in statement) and "0 = 1" not in statement
        ]


def whole_tables(plan: str) -> Sequence[str]:
    """Return the tables that a plan scans."""
    found = []
    for line in plan.splitlines():
        words = line.replace("->", "").split()
        if words[0] == "SCAN" and words[1].startswith(("autotag_", "photo")):
            found.append(words[1])
        if words[:2] == ["Seq", "Scan"]:
            found.append(words[3])
    return found


def latest(host: Host, **by: Any) -> Callable[[], object]:
    def ask() -> object:
        found = host.autotag.select(host.Photo, instance="default", **by)
        page = found.order_by(host.Photo.id.desc()).limit(50)
        return host.db.session.scalars(page).all()

    return ask


@pytest.mark.parametrize(
    "by",
    [
        {"all_of": ["rare"]},
        {"all_of": ["common"]},
        {"all_of": ["common", "rare"]},
        {"any_of": ["rare"], "none_of": ["common"]},
    ],
)
@pytest.mark.parametrize("few", [1, 50])
def test_a_page_by_tags(
    filled: Host, by: dict[str, Any], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_PAGE", few)
    for plan in plans(filled, latest(filled, **by)):
        assert set(whole_tables(plan)) <= {WALKED}, plan


def test_a_page_by_a_rare_tag_does_not_walk_over_objects(filled: Host) -> None:
    for plan in plans(filled, latest(filled, all_of=["rare"])):
        assert not whole_tables(plan), plan


@pytest.mark.parametrize(
    "question",
    ["tags", "page", "progress", "counts", "complete", "add", "add any", "related"],
)
def test_other_questions(filled: Host, question: str) -> None:
    autotag = filled.autotag
    refs = [AssetRef("photo", str(number)) for number in range(1, 51)]

    def offer(start: str) -> object:
        connection = filled.db.session.connection()
        return words_to_add(connection, filled.models, "default", start, 10)

    asked: dict[str, Callable[[], object]] = {
        "tags": lambda: autotag.tags_for(refs[0], "default"),
        "page": lambda: autotag.preload(refs, "default"),
        "progress": lambda: autotag.progress(refs, "default"),
        "counts": lambda: autotag.tag_counts("default", 10),
        "complete": lambda: autotag.complete("co", "default"),
        "add": lambda: offer("co"),
        "add any": lambda: offer(""),
        "related": lambda: autotag.related_tags(["rare"], "default"),
    }
    for plan in plans(filled, asked[question]):
        assert not whole_tables(plan), plan


def test_facets_read_the_selected_objects_only(filled: Host) -> None:
    photo = filled.Photo
    some = select(photo).where(photo.id < 10)
    latest = some.order_by(photo.id.desc()).limit(5)
    for within in (some, latest):
        for plan in plans(filled, partial(filled.autotag.tag_counts, within=within)):
            assert not whole_tables(plan), plan


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("shown", Filter)
def test_a_page_of_words_counts_no_images(
    filled: Host, order: Order, shown: Filter
) -> None:
    def ask() -> object:
        return list_words(
            filled.db.session, filled.models, "default", shown=shown, order=order
        )

    *found, uses = plans(filled, ask, words=True)
    for plan in found:
        assert "autotag_assignment" not in plan, plan
    assert not whole_tables(uses), uses


@pytest.fixture
def photo_tags(filled: Host) -> type[Any]:
    """A model of the same photos, with their tags."""

    class Photo(TaggedMixin, filled.db.Model):  # type: ignore[name-defined]
        __table__ = filled.Photo.__table__

    return Photo


@pytest.mark.parametrize("load", [None, selectinload, subqueryload, joinedload])
def test_the_tags_of_objects(filled: Host, photo_tags: type[Any], load: Any) -> None:
    if load is joinedload and filled.db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite makes a table of all rows of a join inside an outer join")
    some = select(photo_tags).where(photo_tags.id < 10)
    if load is not None:
        some = some.options(load(photo_tags.tags))

    def ask() -> list[str]:
        found = filled.db.session.scalars(some).unique()
        return [tag.name for photo in found for tag in photo.tags]

    assert sorted(ask()) == ["common"] * 9 + ["rare"]
    filled.db.session.expunge_all()
    for plan in plans(filled, ask):
        assert not whole_tables(plan), plan


def test_a_condition_on_the_tags_of_objects(
    filled: Host, photo_tags: type[Any]
) -> None:
    of_some = select(photo_tags.id).where(
        photo_tags.id < 10, photo_tags.tags.any(name="rare")
    )
    for plan in plans(filled, lambda: filled.db.session.scalars(of_some).all()):
        assert not whole_tables(plan), plan


#: A row of each instance and provider, or one a month; the system is all of them.
SMALL = {"autotag_provider_state", "autotag_usage"}


@pytest.fixture
def worked(filled: Host) -> Host:
    """The same with jobs in all states, of two instances."""
    states = ("queued", "running", "done", "failed", "quarantined")
    now = time.time()
    rows = []
    for number in range(PHOTOS):
        state = states[number % len(states)]
        failed = state in ("failed", "quarantined")
        rows.append(
            {
                "instance": ("shop", "news")[number % 2],
                "asset_type": "photo",
                "asset_id": str(number),
                "state": state,
                "priority": number % 2,
                "run_at": now - 60 if number % 5 < 2 else None,
                "error_code": f"code_{number % 3}" if failed else None,
                "created_at": now,
                "finished_at": now - number if number % 5 >= 2 else None,
            }
        )
    filled.db.session.execute(insert(filled.models.job.__table__), rows)
    filled.db.session.commit()
    return filled


@pytest.mark.parametrize("instance", [SYSTEM, "shop"])
@pytest.mark.parametrize("few", [0, 1000])
def test_what_goes_on(
    worked: Host, instance: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hourly, "_FEW", few)
    database = worked.autotag.state_of(worked.app).database

    def ask() -> object:
        return database.transact(
            lambda session: read_activity(session, worked.models, instance)
        )

    found = plans(worked, ask)
    assert found
    for plan in found:
        assert set(whole_tables(plan)) <= (SMALL if instance == SYSTEM else set()), plan


@pytest.mark.parametrize("instance", [None, "shop"])
def test_dismissing_a_group(worked: Host, instance: str | None) -> None:
    database = worked.autotag.state_of(worked.app).database
    which = Ended(["failed"], "code_1", instance)
    for plan in plans(worked, lambda: list(purging(database, which, 1.0))):
        assert not whole_tables(plan), plan


@pytest.mark.parametrize("last", [None, "news"])
def test_claims_in_turn(worked: Host, last: str | None) -> None:
    database = worked.autotag.state_of(worked.app).database

    def ask() -> object:
        return claims.claim(database, 32, "tester", turn=Turn(last))

    found = plans(worked, ask)
    assert sum("ix_autotag_job_turn" in plan for plan in found) >= 2
    for plan in found:
        assert not whole_tables(plan), plan
