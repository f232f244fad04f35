"""Queries of host code about rows with several images, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column, selectinload

from flask_autotag import AssetError, AssetRef, Progress, TaggedMixin, image_uploaded

from ...hosts import Host, make_host, store_labels


def find(photo: Any) -> str:
    return str(photo.path)


def fill(host: Host) -> None:
    """Store three photos, of which each has a cover and a logo."""
    for name in ("cover", "logo"):
        host.autotag.watch(host.Photo, find, name=name, when=lambda _: False)
    with host.app.app_context():
        for place, (cover, logo) in enumerate(
            (
                ({"dog": 0.9, "grass": 0.6}, {"dog": 0.7, "letter": 0.8}),
                ({"dog": 0.8}, {"letter": 0.9}),
                ({"cat": 0.9}, {"cat": 0.95}),
            ),
            1,
        ):
            host.add_photo(str(place))
            for name, labels in (("cover", cover), ("logo", logo)):
                ref = AssetRef(f"photo#{name}", str(place))
                store_labels(host, ref, list(labels.items()))
        # On MariaDB a transaction keeps its first snapshot.
        host.db.session.rollback()


@pytest.fixture
def tagged(any_host: Host) -> Iterator[Host]:
    """A host with these photos."""
    fill(any_host)
    with any_host.app.app_context():
        yield any_host


@pytest.fixture(scope="module")
def filled_host(module_database_url: str) -> Iterator[Host]:
    with make_host(module_database_url) as host:
        fill(host)
        yield host


@pytest.fixture
def read_host(filled_host: Host) -> Iterator[Host]:
    """A host with these photos, for tests that only read."""
    with filled_host.app.app_context():
        yield filled_host


def photos(host: Host) -> list[Any]:
    return list(host.db.session.scalars(select(host.Photo).order_by(host.Photo.id)))


def selected(host: Host, *criteria: Any, **others: Any) -> list[str]:
    found = host.autotag.select(host.Photo, *criteria, **others)
    return [photo.path for photo in host.db.session.scalars(found.order_by("id"))]


def shown(tags: Any) -> list[tuple[str, float | None]]:
    return [(tag.name, tag.confidence) for tag in tags]


def test_a_tag_of_several_images_is_there_once(tagged: Host) -> None:
    first, *_ = photos(tagged)
    tagged.autotag.add_tag(first, "Rex", name="logo")
    tagged.autotag.add_tag(first, "grass", name="logo")
    tagged.db.session.rollback()
    expected = [
        ("grass", None),
        ("Rex", None),
        ("dog", 0.9),
        ("letter", 0.8),
    ]
    assert shown(tagged.autotag.tags_for(first)) == expected
    assert shown(tagged.autotag.preload(photos(tagged))[first]) == expected
    assert shown(tagged.autotag.tags_for(first, name="cover")) == [
        ("dog", 0.9),
        ("grass", 0.6),
    ]


def test_the_tags_of_a_page(tagged: Host) -> None:
    page, cover = photos(tagged), AssetRef("photo#cover", "1")
    tags = tagged.autotag.preload([*page, cover])
    assert [[tag.name for tag in tags[photo]] for photo in page] == [
        ["dog", "letter", "grass"],
        ["letter", "dog"],
        ["cat"],
    ]
    assert [tag.name for tag in tags[cover]] == ["dog", "grass"]
    assert list(tags) == [*(AssetRef("photo", str(each.id)) for each in page), cover]
    logos = tagged.autotag.preload(page, name="logo")
    assert [tag.name for tag in logos[page[0]]] == ["letter", "dog"]
    with pytest.raises(AssetError, match="no image named 'loge'"):
        tagged.autotag.preload(page, name="loge")


def test_tags_that_are_read_by_several_queries(
    tagged: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_autotag.db.sql._IN_SIZE", 2)
    tags = tagged.autotag.preload(photos(tagged))
    assert [shown(of_photo) for of_photo in tags.values()] == [
        [("dog", 0.9), ("letter", 0.8), ("grass", 0.6)],
        [("letter", 0.9), ("dog", 0.8)],
        [("cat", 0.95)],
    ]


def test_progress_is_that_of_the_slowest_image(tagged: Host) -> None:
    first, second, third = photos(tagged)
    tagged.autotag.untag(third, name="cover")
    image_uploaded.send(tagged.app, asset=second, image=b"", name="logo")
    tagged.db.session.rollback()
    progress = tagged.autotag.progress
    found = progress([first, second, third])
    assert [found[each].state for each in (first, second, third)] == [
        "tagged",
        "pending",
        "tagged",
    ]
    assert progress(second, name="cover")[second] == Progress("tagged")
    assert progress(third, name="cover")[third] == Progress("untagged")


@pytest.mark.parametrize(
    ("criteria", "of_any", "of_cover", "of_logo"),
    [
        ({"all_of": ["dog"]}, "12", "12", "1"),
        ({"all_of": ["dog", "letter"]}, "12", "", "1"),
        ({"any_of": ["cat", "grass"]}, "13", "13", "3"),
        ({"none_of": ["dog"]}, "3", "3", "23"),
        ({"all_of": ["letter"], "none_of": ["grass"]}, "2", "", "12"),
        ({"all_of": ["cat"], "min_confidence": 0.92}, "3", "", "3"),
    ],
)
@pytest.mark.parametrize("few", [True, False])
def test_rows_are_found_by_any_image_or_by_one(
    read_host: Host,
    monkeypatch: pytest.MonkeyPatch,
    criteria: dict[str, Any],
    of_any: str,
    of_cover: str,
    of_logo: str,
    few: bool,
) -> None:
    if not few:
        # As if each tag had many images: rows are checked one after the other.
        monkeypatch.setattr("flask_autotag.tags.queries.selection._PAGE", 0)
    assert selected(read_host, **criteria) == list(of_any)
    assert selected(read_host, **criteria, name="cover") == list(of_cover)
    assert selected(read_host, **criteria, name="logo") == list(of_logo)


def test_a_condition_about_an_image_that_no_watch_has_named(tagged: Host) -> None:
    for work in (
        lambda: tagged.autotag.tagged(tagged.Photo, ["dog"], name="icon"),
        lambda: tagged.autotag.tag_counts(within=select(tagged.Photo), name="icon"),
    ):
        with pytest.raises(AssetError, match="Photo has no image named 'icon'"):
            work()


def test_a_row_counts_once_for_each_tag(tagged: Host) -> None:
    every = select(tagged.Photo)

    def counts(**others: Any) -> dict[str, int]:
        found = tagged.autotag.tag_counts(**others)
        return {each.name: each.count for each in found}

    assert counts(within=every) == {"dog": 2, "letter": 2, "cat": 1, "grass": 1}
    assert counts(within=every, name="logo") == {"letter": 2, "cat": 1, "dog": 1}
    first = every.where(tagged.Photo.id == 1)
    assert counts(within=first, instance="default") == {
        "dog": 1,
        "grass": 1,
        "letter": 1,
    }
    # Without rows, images are counted.
    assert counts()["dog"] == 3


def test_the_attribute_has_the_tags_of_images_that_are_named_later(
    any_host: Host,
) -> None:
    host = any_host

    class Picture(TaggedMixin, host.db.Model):  # type: ignore[name-defined]
        id: Mapped[int] = mapped_column(String(9), primary_key=True)

    with host.app.app_context():
        host.db.create_all()
        host.db.session.add(Picture(id="a"))
        host.db.session.commit()
        store_labels(host, AssetRef("picture", "a"), [("dog", 0.9)])
        store_labels(host, AssetRef("picture#cover", "a"), [("cat", 0.95)])
        host.db.session.rollback()

        def names() -> list[list[str]]:
            found = []
            for options in ([], [selectinload(Picture.tags)]):
                host.db.session.expunge_all()
                picture = host.db.session.get(Picture, "a", options=options)
                assert picture is not None
                found.append([tag.name for tag in picture.tags])
            return found

        assert names() == [["dog"]] * 2
        host.autotag.watch(Picture, lambda _: b"", name="cover")
        assert names() == [["cat", "dog"]] * 2
        cats = select(Picture).where(Picture.tags.any(name="cat"))
        assert len(host.db.session.scalars(cats).all()) == 1
