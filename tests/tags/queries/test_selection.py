"""Selection by tags: confidence, source, aliases, broader tags and sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event, select, update
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session

from flask_autotag import AssetError, AssetRef
from flask_autotag.classification.request import Classified
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.tags.queries import selection
from flask_autotag.tags.store import Entry, store

from ...hosts import Host, store_labels
from ...hosts import make_host as host_on
from ...services import temporary_database
from .test_applied_tags import paths, tag

DOG, BEAGLE, CAT = "n02084071", "n02088364", "n02121620"


@pytest.fixture
def kennel(any_host: Host) -> Iterator[Host]:
    """A host in its context with a beagle, a dog, a cat and an untagged photo."""
    with any_host.app.app_context():
        for path, concept, name in (
            ("a", BEAGLE, "beagle"),
            ("b", DOG, "dog"),
            ("c", CAT, "cat"),
            ("d", "", ""),
        ):
            photo = any_host.add_photo(path)
            if name:
                label(any_host, photo, concept, name)
        yield any_host


def label(host: Host, photo: Any, concept: str, name: str) -> None:
    """Store a prediction with the id of the concept."""
    state = host.autotag.state_of(host.app)
    said = Prediction("tensorflow", "model 1", (Label(concept, name, 0.9),))
    settings_ = state.settings_for("default")
    ref = ref_of(photo)
    entry = Entry(ref, "default", Classified("0" * 64, [said]), settings_)
    with state.database.begin() as session:
        store(session, host.models, [entry])
    host.db.session.rollback()


def ref_of(photo: Any) -> AssetRef:
    return AssetRef("photo", str(photo.id))


def rename(host: Host, word: str, becomes: str) -> None:
    database = host.autotag.state_of(host.app).database
    with database.begin() as session:
        change = {tag_name(word): {"becomes": becomes}}
        change_words(session, host.models, "default", change, None)
    host.db.session.rollback()


def test_a_broader_tag_finds_those_below_it_when_asked(kennel: Host) -> None:
    photo, autotag = kennel.Photo, kennel.autotag
    assert paths(kennel, autotag.select(photo, all_of=["Dog"])) == ["b"]
    dogs = autotag.select(photo, all_of=["Dog"], narrower=True)
    assert paths(kennel, dogs) == ["a", "b"]
    animals = autotag.select(photo, any_of=["animal"], narrower=True)
    assert paths(kennel, animals) == ["a", "b", "c"]
    others = autotag.select(photo, none_of=["dog"], narrower=True)
    assert paths(kennel, others) == ["c", "d"]
    beagles = autotag.select(photo, all_of=["beagle"], narrower=True)
    assert paths(kennel, beagles) == ["a"]


@pytest.mark.parametrize("instance", ["default", None])
def test_aliases_find_what_they_are_called_now(
    kennel: Host, instance: str | None
) -> None:
    rename(kennel, "hound", "Dog")
    rename(kennel, "wauwau", "hound")
    found = kennel.autotag.select(kennel.Photo, all_of=["WAUWAU"], instance=instance)
    assert paths(kennel, found) == ["b"]
    # Right after a rename, images are found by both names.
    rename(kennel, "dog", "Canine")
    for name in ("dog", "canine"):
        found = kennel.autotag.select(kennel.Photo, all_of=[name], instance=instance)
        assert paths(kennel, found) == ["b"]


def test_confidence_and_source(any_host: Host) -> None:
    with any_host.app.app_context():
        photos = {path: any_host.add_photo(path) for path in "abc"}
        for path, sure in (("a", 0.9), ("b", 0.6)):
            ref = ref_of(photos[path])
            store_labels(any_host, ref, [("dog", sure)])
        any_host.db.session.rollback()
        any_host.autotag.add_tag(photos["c"], "dog")
        any_host.db.session.rollback()

        def found(**by: Any) -> list[str]:
            dogs = any_host.autotag.select(any_host.Photo, all_of=["dog"], **by)
            return paths(any_host, dogs)

        assert found() == ["a", "b", "c"]
        assert found(min_confidence=0.8) == ["a", "c"]
        assert found(source="provider") == ["a", "b"]
        assert found(source="person") == ["c"]
        assert found(source="provider", min_confidence=0.8) == ["a"]


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ({"min_confidence": 90}, "min_confidence is a number from 0 to 1, not 90"),
        ({"source": "robot"}, "source is 'provider' or 'person', not 'robot'"),
    ],
)
def test_refuses_other_criteria(host: Host, by: dict[str, Any], message: str) -> None:
    with host.app.app_context(), pytest.raises(ValueError, match=message):
        host.autotag.select(host.Photo, **by)


def test_a_bare_condition(kennel: Host) -> None:
    photo = kennel.Photo
    is_dog = kennel.autotag.tagged(photo, all_of=["dog"])
    assert paths(kennel, select(photo).where(~is_dog, photo.path < "d")) == ["a", "c"]
    changed = update(photo).where(is_dog).values(path="z")
    kennel.db.session.execute(changed.execution_options(synchronize_session=False))
    assert paths(kennel, select(photo).where(is_dog)) == ["z"]


def test_refuses_what_is_no_model(host: Host) -> None:
    with host.app.app_context(), pytest.raises(AssetError, match="no mapped class"):
        host.autotag.tagged(dict, all_of=["dog"])


@pytest.mark.parametrize("few", [0, 10**9], ids=["one by one", "by the tag"])
@pytest.mark.parametrize("kind", ["one instance", "two instances"])
@pytest.mark.parametrize("key", ["number", "text"])
# Each example makes a host.
@settings(max_examples=settings().max_examples // 2)
@given(
    tags=st.lists(st.sets(st.sampled_from("xyz")), min_size=1, max_size=4),
    by=st.fixed_dictionaries(
        dict.fromkeys(("all_of", "any_of", "none_of"), st.sets(st.sampled_from("xyzv")))
    ),
)
def test_both_ways_find_the_same(
    few: int,
    key: str,
    kind: str,
    tmp_path_factory: pytest.TempPathFactory,
    tags: list[set[str]],
    by: dict[str, set[str]],
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('host') / 'host.sqlite'}"
    with (
        pytest.MonkeyPatch.context() as patch,
        host_on(url) as host,
        host.app.app_context(),
    ):
        patch.setattr(selection, "_PAGE", few)
        if key == "text":
            patch.setattr(selection, "is_number", lambda _: False)
        for number, names in enumerate(tags):
            photo = host.add_photo(str(number))
            for name in sorted(names):
                second = kind == "two instances" and name == "x"
                tag_by_person(host, photo, name, "acme" if second else "default")
        expected = [
            str(number)
            for number, names in enumerate(tags)
            if by["all_of"] <= names
            and (not by["any_of"] or by["any_of"] & names)
            and not by["none_of"] & names
        ]
        assert paths(host, host.autotag.select(host.Photo, **by)) == expected


def tag_by_person(host: Host, photo: Any, name: str, instance: str) -> None:
    host.autotag.add_tag(photo, name, instance=instance)
    host.db.session.rollback()


def test_in_a_session_of_the_hosts_choice(host: Host, sqlite_url: str) -> None:
    with host.app.app_context():
        photo = host.add_photo("a")
        tag(host, photo, "dog")
        engine = create_engine(sqlite_url)
        statements: list[str] = []
        event.listen(
            engine,
            "before_cursor_execute",
            lambda _c, _cursor, statement, *_: statements.append(statement),
        )
        autotag = host.autotag
        with Session(engine) as session:
            found = autotag.select(host.Photo, all_of=["dog"], session=session)
            assert [each.path for each in session.scalars(found)] == ["a"]
            assert autotag.tags_for(photo, session=session)[0].name == "dog"
            assert autotag.preload([photo], session=session)[photo]
            assert autotag.tag_counts(session=session)[0].count == 1
            assert autotag.complete("d", session=session)[0].name == "dog"
            assert autotag.related_tags(["dog"], session=session) == []
            assert autotag.suggestions_for(photo, session=session) == []
        engine.dispose()
        assert len(statements) >= 7


def test_in_an_asynchronous_session(tmp_path: Path) -> None:
    async def find(host: Host, url: str) -> list[str]:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            dogs = await session.run_sync(
                lambda asked: host.autotag.select(
                    host.Photo, all_of=["dog"], session=asked
                )
            )
            found = [photo.path for photo in await session.scalars(dogs)]
        await engine.dispose()
        return found

    with (
        temporary_database("postgresql", tmp_path) as url,
        host_on(url) as host,
        host.app.app_context(),
    ):
        tag(host, host.add_photo("a"), "dog")
        assert asyncio.run(find(host, url)) == ["a"]


@pytest.mark.parametrize(
    "session",
    [AsyncSession(), async_scoped_session(async_sessionmaker(), lambda: 1)],
    ids=lambda session: type(session).__name__,
)
def test_an_asynchronous_session_itself_is_refused(host: Host, session: Any) -> None:
    autotag, photo = host.autotag, AssetRef("photo", "1")
    message = f"session is an {type(session).__name__}: ask through .*run_sync"
    with host.app.app_context():
        for ask in (
            lambda: autotag.tags_for(photo, session=session),
            lambda: autotag.preload([photo], session=session),
            lambda: autotag.progress([photo], session=session),
            lambda: autotag.select(host.Photo, all_of=["dog"], session=session),
            lambda: autotag.complete("d", session=session),
        ):
            with pytest.raises(TypeError, match=message):
                ask()
