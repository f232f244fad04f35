"""A new row with several images, or of a subclass, whose key had images before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import delete

from flask_autotag import AssetRef, image_uploaded

from ..articles import (
    COVER,
    LOGO,
    PLAIN,
    cover,
    define_articles,
    logo,
    watch_both,
)
from ..hosts import Host, jpeg, store_labels


@pytest.fixture
def cms(any_host: Host) -> Iterator[Host]:
    define_articles(any_host)
    with any_host.app.app_context():
        any_host.db.create_all()
        yield any_host


def store_former(host: Host) -> None:
    """Store tags, decisions and a job for each image of a row that is gone."""
    for ref in (PLAIN, COVER, LOGO):
        image_uploaded.send(host.app, asset=ref, image=jpeg())
        store_labels(host, ref, [("dog", 0.9)])
        host.autotag.add_tag(ref, "Rex")
        host.autotag.reject_tag(ref, "cat")
    host.db.session.remove()


def add(host: Host, row: Any) -> Any:
    host.db.session.add(row)
    host.db.session.commit()
    return row


def tags(host: Host, asset: Any) -> list[str]:
    return [tag.name for tag in host.autotag.tags_for(asset)]


def queued(host: Host) -> list[str]:
    return [job.asset_type for job in host.jobs()]


def test_no_image_of_the_former_row_is_left(cms: Host) -> None:
    """Not even the one that was stored before images had names."""
    watch_both(cms)
    store_former(cms)
    article = add(cms, cms.Photo(id=1))
    assert tags(cms, article) == []
    assert queued(cms) == [COVER.type, LOGO.type]
    store_labels(cms, COVER, [("cat", 0.9)])
    # On MariaDB a transaction keeps its first snapshot.
    cms.db.session.rollback()
    assert tags(cms, article) == ["cat"]
    assert cms.failures == []


def test_an_image_that_is_not_ready(cms: Host) -> None:
    watch_both(cms, when=lambda article: article.tenant == "acme")
    store_former(cms)
    assert tags(cms, add(cms, cms.Photo(id=1))) == []
    assert queued(cms) == []


def test_a_row_of_another_class(cms: Host) -> None:
    """Its class is watched for one image, and that of the former row for the other."""
    cms.autotag.watch(cms.Review, cover, name="cover")
    cms.autotag.watch(cms.Report, logo, name="logo")
    store_former(cms)
    assert tags(cms, add(cms, cms.Report(id=1))) == []
    assert queued(cms) == [LOGO.type]


def test_a_copy_has_keys_of_its_own(cms: Host) -> None:
    cms.autotag.watch(cms.Photo, cover)
    cms.autotag.watch(cms.Copy, cover, name="cover")
    store_former(cms)
    old = AssetRef("copy", "1")
    cms.autotag.add_tag(old, "Rex")
    cms.db.session.remove()
    add(cms, cms.Copy(id=1))
    assert tags(cms, old) == []
    assert tags(cms, PLAIN) == ["Rex", "dog"]


def test_only_the_tenant_of_the_row(cms: Host) -> None:
    watch_both(cms, instance=lambda article: article.tenant)
    store_former(cms)
    cms.autotag.add_tag(PLAIN, "Bella", instance="acme")
    cms.db.session.remove()
    article = add(cms, cms.Photo(id=1, tenant="acme"))
    assert cms.autotag.tags_for(article, "acme") == []
    assert tags(cms, article) == ["Rex", "dog"]


def decide_before(host: Host) -> None:
    host.autotag.add_tag(LOGO, "Bella", instance="default")
    host.db.session.add(host.Photo(id=1))


def decide_on_the_pending_row(host: Host) -> None:
    article = host.Photo(id=1)
    host.autotag.add_tag(article, "Bella", name="logo")
    host.db.session.add(article)


def decide_after_the_flush(host: Host) -> None:
    article = host.Photo(id=1)
    host.db.session.add(article)
    host.db.session.flush()
    host.autotag.add_tag(article, "Bella", name="logo")


def move_one(host: Host) -> None:
    other = AssetRef("file", "a")
    host.autotag.add_tag(other, "Bella")
    host.autotag.move(other, host.Photo(id=1), name="logo")
    host.db.session.add(host.Photo(id=1))


def move_all_images_of_a_row(host: Host) -> None:
    """The other row has only a logo."""
    other, article = host.Photo(id=7), host.Photo(id=1)
    host.autotag.add_tag(AssetRef(LOGO.type, "7"), "Bella")
    host.autotag.move(other, article)
    host.db.session.add(article)


@pytest.mark.parametrize(
    "act",
    [
        decide_before,
        decide_on_the_pending_row,
        decide_after_the_flush,
        move_one,
        move_all_images_of_a_row,
    ],
)
def test_decisions_on_one_image_stay(cms: Host, act: Callable[[Host], None]) -> None:
    watch_both(cms)
    store_former(cms)
    act(cms)
    cms.db.session.commit()
    assert "Bella" in tags(cms, LOGO)
    assert tags(cms, COVER) == []
    assert tags(cms, PLAIN) == []
    assert cms.failures == []


def test_a_rollback_keeps_all(cms: Host) -> None:
    watch_both(cms)
    store_former(cms)
    cms.db.session.add(cms.Photo(id=1))
    cms.db.session.flush()
    cms.db.session.rollback()
    assert [tags(cms, ref) for ref in (PLAIN, COVER, LOGO)] == [["Rex", "dog"]] * 3
    assert len(cms.jobs()) == 3


def test_what_could_not_be_forgotten_is_reported(
    cms: Host, caplog: pytest.LogCaptureFixture
) -> None:
    def tenant(article: Any) -> str:
        raise KeyError(article.tenant)

    cms.autotag.watch(cms.Photo, cover, tenant, name="cover")
    cms.db.session.execute(delete(cms.Photo))
    add(cms, cms.Photo(id=1))
    assert [(each["asset"], each["code"]) for each in cms.failures] == [
        (COVER, "not_queued"),
        (PLAIN, "not_forgotten"),
    ]
    assert (
        "article 1 is of a new row, but the tags of a former image with its key stay"
        in caplog.text
    )
