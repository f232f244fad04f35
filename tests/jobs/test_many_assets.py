"""Decisions of host code on many assets at once, in the host's transaction contract."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from flask_autotag import AssetError, AssetRef, BulkResult
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.tags import bulk_actions, bulk_decisions
from flask_autotag.tags.bulk_actions import BulkAction
from flask_autotag.tags.counters import check_all, check_some

from ..hosts import ANIMALS, Host, store_labels
from ..settings.desk import Desk

LABELS = [("dog", 0.9), ("grass", 0.8), ("animal", 0.65), ("wolf", 0.3)]


def photo(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


def names(host: Host, asset: object, instance: str | None = None) -> list[str]:
    """Return the tags as the host's transaction sees them."""
    return [tag.name for tag in host.autotag.tags_for(asset, instance)]


def committed(host: Host, asset: object, instance: str | None = None) -> list[str]:
    """Return the tags as a new transaction sees them."""
    host.db.session.rollback()
    return names(host, asset, instance)


def actions(host: Host, instance: str = "default") -> list[BulkAction]:
    state = host.autotag.state_of(host.app)
    return state.database.transact(
        lambda s: bulk_actions.latest(s.connection(), host.models, instance, 10)
    )


def count(host: Host, table: str) -> int:
    model = getattr(host.models, table)
    with host.db.engine.connect() as connection:
        found = connection.scalar(select(func.count()).select_from(model.__table__))
        return found or 0


def is_counted(host: Host) -> bool:
    return check_all(host.autotag.state_of(host.app).database).wrong == []


@pytest.fixture
def inside(any_host: Host) -> Iterator[Host]:
    with any_host.app.app_context():
        yield any_host


def test_one_object(inside: Host) -> None:
    saved = inside.add_photo()
    added = inside.autotag.add_tag(saved, "Rex")
    assert added == BulkResult((photo(saved.id),), (), ())
    assert inside.autotag.accept_tag(saved, "rex").unchanged == (photo(saved.id),)
    assert inside.autotag.remove_tag(saved, "rex").changed == (photo(saved.id),)
    assert committed(inside, saved) == []
    assert actions(inside) == []


def test_several_are_an_action(inside: Host) -> None:
    photos = [inside.add_photo() for _ in range(3)]
    inside.autotag.add_tag(photos[1], "Rex")
    done = inside.autotag.add_tag([*photos, photo(99)], "Rex", person="ada")
    assert done.unchanged == (photo(photos[1].id),)
    assert {*done.changed} == {photo(photos[0].id), photo(photos[2].id), photo(99)}
    assert done.refused == ()
    assert all(committed(inside, each) == ["Rex"] for each in (*photos, photo(99)))
    [action] = actions(inside)
    assert (action.images, action.changed, action.person) == (4, 3, "ada")
    assert (action.phase, action.state, action.tag.name) == ("done", "applied", "Rex")
    rejected = inside.autotag.reject_tag(iter(photos), "Rex")
    assert len(rejected.changed) == 3
    assert committed(inside, photos[0]) == []
    assert is_counted(inside)


def test_a_select_of_the_hosts_model(inside: Host) -> None:
    for path in ("a.jpg", "b.jpg", "c.jpg"):
        inside.add_photo(path)
    chosen = select(inside.Photo).where(inside.Photo.path != "b.jpg")
    assert len(inside.autotag.add_tag(chosen, "Rex").changed) == 2
    inside.db.session.rollback()
    tagged = inside.autotag.select(inside.Photo, ["Rex"])
    paths = {each.path for each in inside.db.session.scalars(tagged)}
    assert paths == {"a.jpg", "c.jpg"}
    nothing = chosen.where(inside.Photo.path == "z")
    assert inside.autotag.add_tag(nothing, "Rex") == BulkResult()
    assert len(actions(inside)) == 1


def test_a_select_of_a_column(host: Host) -> None:
    with host.app.app_context(), pytest.raises(AssetError) as caught:
        host.autotag.add_tag(select(func.count()), "Rex")
    assert str(caught.value).startswith(
        "assets takes a Select of a mapped class, such as select(Photo), not"
    )


@pytest.mark.parametrize("text", ["photo 7", b"photo 7"])
def test_a_text_is_one_wrong_asset(host: Host, text: object) -> None:
    with (
        host.app.app_context(),
        pytest.raises(AssetError, match="An asset is an instance of a mapped class"),
    ):
        host.autotag.add_tag(text, "Rex")


def test_a_word_that_can_be_no_tag(host: Host) -> None:
    with host.app.app_context():
        with pytest.raises(ValueError, match="a tag needs a name that can be seen"):
            host.autotag.add_tag([photo(1), photo(2)], "\u200b")
        assert count(host, "asset") == count(host, "bulk_action") == 0


def test_each_wrong_asset_is_told_and_the_rest_done(inside: Host) -> None:
    saved, new = inside.add_photo(), inside.Photo(path="new.jpg")
    for instance in ("shop", "news"):
        store_labels(inside, photo(50), LABELS, instance)
    done = inside.autotag.add_tag([new, "x", photo(50), saved], "Rex")
    assert done.changed == (photo(saved.id),)
    refused = {
        asset if isinstance(asset, str) else type(asset): reason
        for asset, reason in done.refused
    }
    assert [asset for asset, _ in done.refused] == [new, "x", photo(50)]
    assert refused["x"] == (
        "An asset is an instance of a mapped class or an AssetRef, not 'x'."
    )
    assert refused[AssetRef] == (
        "photo 50 is an image of news, shop, and not of default. Pass one of them as"
        " the argument instance."
    )
    assert "flush" in refused[inside.Photo] or "saved" in refused[inside.Photo]
    assert inside.autotag.add_tag([new, "x"], "Rex").changed == ()


def test_each_tenant_has_its_own_action(inside: Host) -> None:
    store_labels(inside, photo(1), LABELS, "shop")
    store_labels(inside, photo(2), LABELS, "news")
    done = inside.autotag.add_tag([photo(1), photo(2), photo(3)], "Rex")
    assert len(done.changed) == 3
    tenants = {each: actions(inside, each) for each in ("shop", "news", "default")}
    assert [len(found) for found in tenants.values()] == [1, 1, 1]
    assert (
        committed(inside, photo(1), "news") == committed(inside, photo(2), "shop") == []
    )
    inside.autotag.add_tag([photo(1), photo(2)], "Tom", instance="shop")
    assert committed(inside, photo(2), "news")[0] == "Rex"
    assert committed(inside, photo(2), "shop") == ["Tom"]
    assert is_counted(inside)


def test_what_the_host_rolls_back_is_not_written(inside: Host) -> None:
    for number in (1, 2):
        store_labels(inside, photo(number), LABELS, concepts=ANIMALS)
    session = inside.db.session
    session.add(inside.Photo(path="other.jpg"))
    session.flush()
    inside.autotag.remove_tag([photo(1), photo(2)], "dog")
    assert names(inside, photo(1)) == ["grass", "animal"]
    session.rollback()
    assert names(inside, photo(1)) == ["dog", "grass"]
    assert count(inside, "bulk_action") == count(inside, "bulk_item") == 0
    assert is_counted(inside)
    session.add(inside.Photo(path="other.jpg"))
    session.flush()
    inside.autotag.remove_tag([photo(1), photo(2)], "dog")
    session.commit()
    assert names(inside, photo(2)) == ["grass", "animal"]
    assert count(inside, "bulk_item") == 2
    assert is_counted(inside)


def test_without_writes_of_the_host_it_is_committed_alone(inside: Host) -> None:
    inside.autotag.add_tag([photo(1), photo(2)], "Rex")
    inside.db.session.rollback()
    assert committed(inside, photo(2)) == ["Rex"]


def test_an_error_takes_all_back(inside: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """All portions are one transaction; the host's own writes stay."""
    monkeypatch.setattr(bulk_decisions, "BATCH_SIZE", 2)
    decide, calls = bulk_decisions.decide, itertools.count(1)

    def fail_late(*arguments: Any) -> Any:
        if next(calls) == 2:
            raise ZeroDivisionError
        return decide(*arguments)

    monkeypatch.setattr(bulk_decisions, "decide", fail_late)
    saved = inside.Photo(path="kept.jpg")
    inside.db.session.add(saved)
    inside.db.session.flush()
    with pytest.raises(ZeroDivisionError):
        inside.autotag.add_tag([photo(n) for n in range(100, 105)], "Rex")
    inside.db.session.commit()
    assert inside.db.session.get(inside.Photo, saved.id) is not None
    assert count(inside, "assignment") == count(inside, "bulk_action") == 0


def test_new_objects_of_a_watched_model_keep_their_tags(inside: Host) -> None:
    """A new row forgets a former image of its key, but no decision about it."""
    inside.autotag.watch(inside.Photo, lambda each: b"bytes")
    session = inside.db.session
    photos = [inside.Photo(path=f"{number}.jpg") for number in range(3)]
    session.add_all(photos)
    session.flush()
    inside.autotag.add_tag(photos, "Rex")
    session.commit()
    assert [committed(inside, each) for each in photos] == [["Rex"]] * 3


@contextmanager
def counting_statements(host: Host) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement.split("(")[0][:60])

    event.listen(host.db.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(host.db.engine, "before_cursor_execute", note)


@pytest.mark.parametrize("act", ["add_tag", "reject_tag"])
def test_statements_do_not_grow_within_a_portion(inside: Host, act: str) -> None:
    inside.autotag.add_tag([photo(1), photo(2)], "Rex")
    counts = []
    for first, number in ((1000, 200), (2000, 400)):
        assets = [photo(first + each) for each in range(number)]
        with counting_statements(inside) as statements:
            done = getattr(inside.autotag, act)(assets, "Rex")
        assert len(done.changed) == number
        counts.append(statements)
    few, many = counts
    assert len(many) == len(few) < 40, "\n".join(many)
    assert is_counted(inside)


def test_a_portion_adds_a_bounded_number_of_statements(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_decisions, "BATCH_SIZE", 10)
    counts = []
    with host.app.app_context():
        host.autotag.add_tag([photo(1), photo(2)], "Rex")
        for first, number in ((100, 10), (200, 20), (300, 30)):
            assets = [photo(first + each) for each in range(number)]
            with counting_statements(host) as statements:
                host.autotag.add_tag(assets, "Rex")
            counts.append(len(statements))
    one, two, three = counts
    assert three - two == two - one < 20


#: A tag, the decision, and the images that it is about.
DECISIONS = st.tuples(
    st.sampled_from(["dog", "animal", "grass", "wolf", "Rex", "hound"]),
    st.sampled_from(["add_tag", "reject_tag"]),
    st.permutations(range(4)).flatmap(
        lambda order: st.integers(1, 4).map(lambda most: order[:most])
    ),
)
_numbers = itertools.count(1)


@given(
    said=st.lists(
        st.dictionaries(
            st.sampled_from(["dog", "animal", "grass", "wolf"]),
            st.sampled_from([0.1, 0.4, 0.9]),
        ),
        min_size=4,
        max_size=4,
    ),
    decided=st.lists(DECISIONS, max_size=6),
    portion=st.sampled_from([1, 2, 500]),
    renamed=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_at_once_are_one_by_one_in_every_order(
    any_host: Host,
    said: list[dict[str, float]],
    decided: list[tuple[str, str, list[int]]],
    portion: int,
    renamed: bool,
) -> None:
    run = next(_numbers)
    instances = [f"{way} {run}" for way in ("many", "forwards", "backwards")]
    host = any_host
    desk = Desk(host)
    desk.save({("", "suggestion_threshold"): 0.2, ("", "max_tags"): 2})
    with host.app.app_context(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk_decisions, "BATCH_SIZE", portion)
        for instance in instances:
            for number, labels in enumerate(said):
                store_labels(
                    host, photo(number), [*labels.items()], instance, concepts=ANIMALS
                )
        for place, (tag, act, numbers) in enumerate(decided):
            if renamed and place == len(decided) // 2:
                for instance in instances:
                    rename(host, instance)
            decide = getattr(host.autotag, act)
            results = [
                in_order(decide, tag, numbers, instance) for instance in instances
            ]
            assert results[0] == results[1] == results[2]
        stored = [rows(host, instance) for instance in instances]
        assert stored[0] == stored[1] == stored[2]
        database = host.autotag.state_of(host.app).database
        with database.begin() as session:
            assert check_some(session, database.models).wrong == []


def in_order(
    decide: Callable[..., BulkResult], tag: str, numbers: list[int], instance: str
) -> dict[AssetRef, str]:
    """Decide as the instance's name says, and return the outcome of each asset."""
    assets = [photo(number) for number in numbers]
    if instance.startswith("many"):
        results = [decide(assets, tag, instance=instance, person="ada")]
    else:
        ordered = assets if instance.startswith("forwards") else assets[::-1]
        results = [
            decide(asset, tag, instance=instance, person="ada") for asset in ordered
        ]
    return {
        asset: outcome
        for result in results
        for outcome in ("changed", "unchanged")
        for asset in getattr(result, outcome)
    }


def rename(host: Host, instance: str) -> None:
    words: Any = {tag_name("dog"): {"becomes": "hound"}}
    host.autotag.state_of(host.app).database.transact(
        lambda session: change_words(session, host.models, instance, words, None)
    )


def rows(host: Host, instance: str) -> list[tuple[Any, ...]]:
    """Read the assignments of an instance without keys and times."""
    asset, tag, assigned = (
        getattr(host.models, name).__table__ for name in ("asset", "tag", "assignment")
    )
    columns = [
        each
        for each in assigned.c
        if each.name not in ("asset_id", "tag_id", "created_at")
    ]
    with host.db.engine.connect() as connection:
        found = connection.execute(
            select(asset.c.asset_id, tag.c.key, *columns)
            .join_from(assigned, asset, asset.c.id == assigned.c.asset_id)
            .join(tag, tag.c.id == assigned.c.tag_id)
            .where(asset.c.instance == instance)
            .order_by(asset.c.asset_id, tag.c.key)
        )
        return [tuple(row) for row in found]
