"""Images without a row, of models with several images and of subclasses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete

from flask_autotag import AssetRef, ConfigurationError
from flask_autotag.jobs.bulk.orphans import Orphans, count_orphans, forget_orphans
from flask_autotag.tags.batches import AssetFilter

from ...articles import COVER, LOGO, PLAIN, cover, define_articles, logo, watch_both
from ...hosts import Host, store_labels

ALL = AssetFilter()


def ignore(_number: int) -> None:
    pass


@pytest.fixture
def cms(any_host: Host) -> Iterator[Host]:
    define_articles(any_host)
    with any_host.app.app_context():
        any_host.db.create_all()
        yield any_host


def save(host: Host, *rows: Any) -> None:
    host.db.session.add_all(rows)
    host.db.session.commit()


def erase(host: Host, key: int, *models: Any) -> None:
    """Delete rows without a trace."""
    for model in models or (host.Photo,):
        table = model.__table__
        host.db.session.execute(delete(table).where(table.c.id == key))
    host.db.session.commit()


def left(host: Host) -> list[tuple[str, str]]:
    host.db.session.rollback()
    return sorted({(job.asset_type, job.asset_id) for job in host.jobs()})


def forget(host: Host, scope: AssetFilter = ALL) -> list[Orphans]:
    state = host.autotag.state_of(host.app)
    counted = count_orphans(state, scope, ignore)
    assert forget_orphans(state, scope, ignore) == counted
    return counted


@pytest.fixture
def named(cms: Host) -> Host:
    """Articles 1 and 2 were stored before their images had names; 1 is deleted."""
    watch_both(cms)
    save(cms, cms.Photo(id=1), cms.Photo(id=2))
    for ref in (PLAIN, AssetRef("article", "2")):
        store_labels(cms, ref, [("dog", 0.9)])
    erase(cms, 1)
    return cms


def test_all_images_of_a_row(named: Host) -> None:
    assert forget(named) == [
        Orphans("article", 1, 0),
        Orphans(COVER.type, 0, 1),
        Orphans(LOGO.type, 0, 1),
    ]
    assert left(named) == [(COVER.type, "2"), (LOGO.type, "2")]
    assert [tag.count for tag in named.autotag.tag_counts()] == [1]


@pytest.mark.parametrize("ref", [PLAIN, COVER])
def test_one_image_of_each_row(named: Host, ref: AssetRef) -> None:
    run = named.app.test_cli_runner().invoke
    done = run(args=["autotag", "forget-orphans", "--yes", "--type", ref.type])
    assert done.exit_code == 0, done.output
    number = "1 image and 0 jobs" if ref is PLAIN else "0 images and 1 job"
    assert done.output.splitlines() == [
        f"{number} without a row.",
        f"    {ref.type}: {number}",
        f"{number} forgotten.",
    ]
    assert ((COVER.type, "1") in left(named)) == (ref is PLAIN)
    assert (LOGO.type, "1") in left(named)


def test_a_name_that_no_watch_has_given(named: Host) -> None:
    with pytest.raises(ConfigurationError, match=r"'article#x'\. Types: article, art"):
        forget(named, AssetFilter(asset_type="article#x"))


@pytest.mark.parametrize("order", [1, -1])
def test_watched_subclasses_of_one_table(cms: Host, order: int) -> None:
    """A row of any class is a row, also of one that is not watched."""
    watched = [(cms.Review, cover, "cover"), (cms.Report, logo, None)]
    for model, image, name in watched[::order]:
        cms.autotag.watch(model, image, name=name)
    save(cms, *(cms.Review(id=key) for key in (1, 2)))
    save(cms, *(cms.Report(id=key) for key in (3, 4)))
    for key, model in ((5, cms.Essay), (6, cms.Photo)):
        save(cms, model(id=key))
        store_labels(cms, AssetRef("article", str(key)), [("dog", 0.9)])
    erase(cms, 1)
    erase(cms, 3, cms.Report, cms.Photo)
    # Only the half of a row.
    erase(cms, 4, cms.Report)
    assert forget(cms) == [Orphans("article", 0, 1), Orphans(COVER.type, 0, 1)]
    assert left(cms) == [("article", "4"), (COVER.type, "2")]
    assert [tag.count for tag in cms.autotag.tag_counts()] == [2]


def test_a_class_with_a_table_of_its_own(cms: Host) -> None:
    """Its keys are its own."""
    cms.autotag.watch(cms.Photo, cover)
    cms.autotag.watch(cms.Copy, cover, name="cover")
    save(cms, cms.Photo(id=1), cms.Copy(id=1), cms.Photo(id=2), cms.Copy(id=2))
    erase(cms, 1)
    erase(cms, 2, cms.Copy)
    assert forget(cms) == [
        Orphans("article", 0, 1),
        Orphans("copy"),
        Orphans("copy#cover", 0, 1),
    ]
    assert left(cms) == [("article", "2"), ("copy#cover", "1")]
