"""Queries of host code, on each database."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Select, String, func, select
from sqlalchemy.orm import Mapped, mapped_column

from flask_autotag import AssetError, AssetRef, TagCount

from ...hosts import Host, make_host, store_labels


def tag(host: Host, asset: object, *names: str, instance: str = "default") -> None:
    """Store a prediction with a high confidence of each name."""
    ref = asset if isinstance(asset, AssetRef) else AssetRef("photo", str(asset.id))
    labels = [(name, 0.9 - number / 100) for number, name in enumerate(names)]
    store_labels(host, ref, labels, instance)
    # On MariaDB a transaction keeps its first snapshot.
    host.db.session.rollback()


def paths(host: Host, statement: Select[Any]) -> list[str]:
    found = host.db.session.scalars(statement.order_by(host.Photo.id)).all()
    return [photo.path for photo in found]


@pytest.fixture(scope="module")
def filled_host(module_database_url: str) -> Iterator[Host]:
    with make_host(module_database_url) as host:
        with host.app.app_context():
            for path, names in (
                ("a", ["dog", "grass"]),
                ("b", ["Dog", "snow"]),
                ("c", ["cat", "grass"]),
                ("d", ["cat"]),
                ("e", []),
            ):
                tag(host, host.add_photo(path), *names)
        yield host


@pytest.fixture
def tagged_host(filled_host: Host) -> Iterator[Host]:
    """A host with four tagged photos and one without tags; tests only read it."""
    with filled_host.app.app_context():
        yield filled_host


@pytest.mark.parametrize(
    ("by", "found"),
    [
        ({}, "abcde"),
        ({"all_of": ["dog"]}, "ab"),
        ({"all_of": ["  DOG ", "grass"]}, "a"),
        ({"any_of": ["snow", "cat"]}, "bcd"),
        ({"none_of": ["dog"]}, "cde"),
        ({"none_of": ["dog", "grass"]}, "de"),
        ({"all_of": ["cat"], "none_of": ["grass"]}, "d"),
        ({"all_of": ["grass"], "any_of": ["dog", "snow"]}, "a"),
        ({"all_of": ["whale"]}, ""),
        ({"all_of": ["dog"], "instance": "default"}, "ab"),
        ({"all_of": ["dog"], "instance": "acme"}, ""),
    ],
)
def test_selects_by_tags(tagged_host: Host, by: dict[str, Any], found: str) -> None:
    statement = tagged_host.autotag.select(tagged_host.Photo, **by)
    assert paths(tagged_host, statement) == list(found)


def test_the_selection_composes_with_the_hosts_own(tagged_host: Host) -> None:
    photo = tagged_host.Photo
    dogs = tagged_host.autotag.select(photo, all_of=["dog"])
    assert paths(tagged_host, dogs.where(photo.path > "a")) == ["b"]
    assert paths(tagged_host, dogs.limit(1).offset(1)) == ["b"]
    count = select(func.count()).select_from(dogs.subquery())
    assert tagged_host.db.session.scalar(count) == 2


def test_refuses_one_text_for_several_tags(tagged_host: Host) -> None:
    with pytest.raises(TypeError, match=r"all_of=\['dog'\]"):
        tagged_host.autotag.select(tagged_host.Photo, all_of="dog")


def test_refuses_a_blank_tag(tagged_host: Host) -> None:
    with pytest.raises(ValueError, match="a tag needs a name"):
        tagged_host.autotag.select(tagged_host.Photo, all_of=[" "])


def test_refuses_what_is_no_model(tagged_host: Host) -> None:
    with pytest.raises(AssetError, match="is no mapped class"):
        tagged_host.autotag.select(dict, all_of=["dog"])


def test_counts_tags(tagged_host: Host) -> None:
    assert tagged_host.autotag.tag_counts() == [
        TagCount("cat", 2),
        TagCount("dog", 2),
        TagCount("grass", 2),
        TagCount("snow", 1),
    ]
    assert tagged_host.autotag.tag_counts(limit=1) == [TagCount("cat", 2)]
    assert tagged_host.autotag.tag_counts(instance="acme") == []


def test_instances_have_vocabularies_of_their_own(any_host: Host) -> None:
    with any_host.app.app_context():
        photo = any_host.add_photo()
        tag(any_host, photo, "dog", instance="acme")
        tag(any_host, photo, "Dog", instance="Zoo")
        names = {
            instance: [tag.name for tag in any_host.autotag.tags_for(photo, instance)]
            for instance in ("acme", "Zoo", "zoo")
        }
        assert names == {"acme": ["dog"], "Zoo": ["Dog"], "zoo": []}
        assert any_host.autotag.tag_counts("acme") == [TagCount("dog", 1)]
        assert any_host.autotag.tag_counts()[0].count == 2


def test_ids_differ_by_case_and_accent(any_host: Host) -> None:
    with any_host.app.app_context():
        for asset_id in ("a", "A", "á"):
            tag(any_host, AssetRef("file", asset_id), f"tag {asset_id}")
        found = [
            any_host.autotag.tags_for(AssetRef("file", asset_id))[0].name
            for asset_id in ("a", "A", "á")
        ]
    # The tags "tag a" and "tag A" are one; the files are not.
    assert found == ["tag a", "tag a", "tag á"]


def test_a_new_run_replaces_the_tags_of_the_last(any_host: Host) -> None:
    with any_host.app.app_context():
        photo = any_host.add_photo()
        tag(any_host, photo, "dog", "grass")
        tag(any_host, photo, "cat", "grass")
        assert [tag.name for tag in any_host.autotag.tags_for(photo)] == [
            "cat",
            "grass",
        ]
        predictions = any_host.db.session.scalars(
            select(any_host.models.prediction.labels)
        ).all()
    assert predictions == [[["n00000000", "cat", 0.9], ["n00000001", "grass", 0.89]]]


@pytest.mark.parametrize("state", ["applied", "rejected"])
def test_a_persons_decision_outlives_a_run(any_host: Host, state: str) -> None:
    with any_host.app.app_context():
        photo = any_host.add_photo()
        tag(any_host, photo, "dog")
        assignment = any_host.models.assignment.__table__
        database = any_host.autotag.state_of(any_host.app).database
        with database.begin() as session:
            session.execute(
                assignment.update().values(
                    state=state, source="person", confidence=None
                )
            )

        tag(any_host, photo, "dog", "grass")
        tag(any_host, photo, "grass")

        tags = any_host.autotag.tags_for(photo)
    expected: Sequence[tuple[str, str]] = [("grass", "provider")]
    if state == "applied":
        expected = [("dog", "person"), *expected]
    assert [(tag.name, tag.source) for tag in tags] == expected


@pytest.mark.parametrize("kind", ["uuid", "text"])
def test_other_primary_keys(database_url: str, kind: str) -> None:
    with make_host(database_url) as host:
        if kind == "uuid":

            class Document(host.db.Model):  # type: ignore[name-defined]
                id: Mapped[uuid.UUID] = mapped_column(primary_key=True)

            keys: list[Any] = [uuid.uuid4(), uuid.uuid4()]
        else:

            class Document(host.db.Model):  # type: ignore[name-defined,no-redef]
                id: Mapped[str] = mapped_column(String(40), primary_key=True)

            keys = ["one", "two"]
        with host.app.app_context():
            host.db.create_all()
            documents = [Document(id=key) for key in keys]
            host.db.session.add_all(documents)
            host.db.session.commit()
            for document, name in zip(documents, ("dog", "cat"), strict=True):
                tag(host, AssetRef("document", str(document.id)), name)

            found = host.db.session.scalars(
                host.autotag.select(Document, all_of=["cat"])
            ).all()
            assert [document.id for document in found] == [keys[1]]
            [cat] = host.autotag.tags_for(documents[1])
            assert cat.name == "cat"


@pytest.mark.parametrize("site", ["news", 'a "quoted" \\ sité\n'])
def test_composite_primary_keys(database_url: str, site: str) -> None:
    with make_host(database_url) as host:

        class Page(host.db.Model):  # type: ignore[name-defined]
            site: Mapped[str] = mapped_column(String(40), primary_key=True)
            number: Mapped[int] = mapped_column(primary_key=True)

        with host.app.app_context():
            host.db.create_all()
            pages = [Page(site=site, number=number) for number in (1, 2, 12)]
            host.db.session.add_all(pages)
            host.db.session.commit()
            for page, names in zip(pages, ("dog", "cat", "dog cat"), strict=True):
                for name in names.split():
                    host.autotag.add_tag(page, name)
            cats = host.autotag.select(Page, all_of=["cat"])
            found = host.db.session.scalars(cats.order_by(Page.number)).all()
            assert [page.number for page in found] == [2, 12]
            only = host.autotag.select(Page, all_of=["cat"], none_of=["dog"])
            assert [page.number for page in host.db.session.scalars(only)] == [2]
            assert host.autotag.tag_counts(within=only) == [TagCount("cat", 1)]
