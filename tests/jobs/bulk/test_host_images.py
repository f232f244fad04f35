"""The host's images, from its lister or watched models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import String, Uuid, event, inspect
from sqlalchemy.orm import Mapped, mapped_column

from flask_autotag import AssetRef, ConfigurationError, Upload
from flask_autotag.errors import ListerError
from flask_autotag.jobs.bulk import host_images
from flask_autotag.jobs.bulk.host_images import Listed, list_assets
from flask_autotag.tags.batches import AssetFilter

from ...hosts import ESPRESSO, Host

ALL = AssetFilter()


def listed(host: Host, scope: AssetFilter = ALL) -> list[Listed]:
    state = host.autotag.state_of(host.app)
    with host.app.app_context():
        return list(list_assets(host.app, state, scope))


def refused(host: Host, scope: AssetFilter = ALL) -> str:
    with pytest.raises((ConfigurationError, ListerError)) as caught:
        listed(host, scope)
    return str(caught.value)


def photo(number: int, instance: str = "default") -> Listed:
    return Listed(AssetRef("photo", str(number)), instance)


def add_photos(host: Host, *tenants: str) -> None:
    with host.app.app_context():
        host.db.session.add_all(
            host.Photo(path=str(ESPRESSO), tenant=tenant) for tenant in tenants
        )
        host.db.session.commit()


def test_each_form_that_a_lister_may_give(host: Host) -> None:
    add_photos(host, "shop")

    @host.autotag.asset_lister
    def images() -> Iterator[Any]:
        yield AssetRef("photo", "7")
        yield AssetRef("photo", "8"), "news"
        yield Upload(AssetRef("file", "a.jpg"), "a.jpg", "shop")
        yield host.db.session.get(host.Photo, 1)

    assert listed(host) == [
        photo(7),
        photo(8, "news"),
        Listed(AssetRef("file", "a.jpg"), "shop", "a.jpg"),
        photo(1),
    ]


def test_an_object_of_a_watched_model_knows_its_instance(host: Host) -> None:
    add_photos(host, "shop")
    host.autotag.watch(host.Photo, image=lambda p: p.path, instance=lambda p: p.tenant)
    host.autotag.asset_lister(lambda: [host.db.session.get(host.Photo, 1)])
    assert listed(host) == [photo(1, "shop")]


def test_watched_models_are_listed_page_by_page(
    any_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_images, "PAGE", 2)
    add_photos(any_host, "shop", "news", "shop", "shop", "news")
    photo_of = any_host.Photo
    any_host.autotag.watch(
        photo_of, image=lambda p: p.path, instance=lambda p: p.tenant
    )
    loaded = []
    event.listen(photo_of, "load", lambda target, _: loaded.append(inspect(target).key))
    tenants = ("shop", "news", "shop", "shop", "news")
    state = any_host.autotag.state_of(any_host.app)
    with any_host.app.app_context():
        found = list_assets(any_host.app, state, ALL)
        assert next(found) == photo(1, "shop")
        assert len(loaded) == 2
        assert [next(found), *found] == [
            photo(number, tenant) for number, tenant in enumerate(tenants, 1)
        ][1:]


def test_a_key_of_several_columns(
    any_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_images, "PAGE", 2)

    class Page(any_host.db.Model):  # type: ignore[name-defined]
        book: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
        side: Mapped[str] = mapped_column(String(10), primary_key=True)

    pages = [(1, "b"), (1, "c"), (2, "a"), (2, "d"), (10, "a")]
    with any_host.app.app_context():
        any_host.db.create_all()
        any_host.db.session.add_all(Page(book=book, side=side) for book, side in pages)
        any_host.db.session.commit()
    any_host.autotag.watch(Page, image=lambda page: b"")
    found = [each.asset.id for each in listed(any_host)]
    assert found == [f'["{book}", "{side}"]' for book, side in pages]


def test_keys_that_are_read_in_another_form(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite sorts capitals before the letters by which the host reads them."""
    monkeypatch.setattr(host_images, "PAGE", 2)

    class Scan(host.db.Model):  # type: ignore[name-defined]
        id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)

    keys = [f"{digit}BCDEF00-0000-4000-8000-000000000000" for digit in "1A2BC"]
    with host.app.app_context():
        host.db.create_all()
        host.db.session.add_all(Scan(id=key) for key in keys)
        host.db.session.commit()
    host.autotag.watch(Scan, image=lambda scan: b"")
    found = [each.asset.id for each in listed(host)]
    assert found == sorted(key.lower() for key in keys)


def test_a_scope_narrows_it_down(host: Host) -> None:
    given = [photo(1, "shop"), photo(2, "news"), Listed(AssetRef("file", "a"), "shop")]
    host.autotag.asset_lister(lambda: [(each.asset, each.instance) for each in given])
    assert listed(host, AssetFilter("shop")) == [given[0], given[2]]
    assert listed(host, AssetFilter(asset_type="photo")) == given[:2]
    assert listed(host, AssetFilter("shop", "file")) == [given[2]]


def test_without_a_lister_and_a_watched_model_the_fix_is_named(host: Host) -> None:
    assert refused(host) == (
        "The application's images are not known: register an asset_lister"
        " (@autotag.asset_lister), or watch a model (autotag.watch)."
    )
    host.autotag.watch(host.Photo, image=lambda p: p.path)
    assert refused(host, AssetFilter(asset_type="phot")) == (
        "No watched model has the type 'phot'. Types: photo."
    )


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (7, "An asset is an instance of a mapped class or an AssetRef, not 7."),
        (("photo", "1"), "An asset is an instance of a mapped class"),
        (
            (AssetRef("photo", "1"), None),
            "The instance is a text of 1 to 64 characters, not None.",
        ),
        (
            Upload(AssetRef("photo", "1"), instance="x" * 65),
            "The instance is a text of 1 to 64 characters, not 'xxx",
        ),
    ],
)
def test_what_is_no_image_is_named(host: Host, item: object, message: str) -> None:
    host.autotag.asset_lister(lambda: [AssetRef("photo", "1"), item])
    assert refused(host).startswith(
        f"Item 2 of the asset_lister is not an image of the application: {message}"
    )


def test_an_object_that_was_not_saved_is_no_image(host: Host) -> None:
    host.autotag.asset_lister(lambda: [host.Photo(path="a.jpg")])
    assert refused(host).endswith(": The Photo was not saved yet: flush it first.")


def test_a_lister_that_raises(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    @host.autotag.asset_lister
    def images() -> Iterator[AssetRef]:
        yield AssetRef("photo", "1")
        raise OSError("secret words")

    assert refused(host) == (
        "The asset_lister raised OSError after item 1. Fix it and run the command"
        " again."
    )
    assert caplog.records[0].exc_info is not None


def test_a_lister_that_gives_nothing_to_iterate_over(host: Host) -> None:
    host.autotag.asset_lister(lambda: None)
    assert refused(host).startswith("The asset_lister raised TypeError after item 0.")
