"""The progress of tagging a page of images, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from flask_autotag import AssetError, AssetRef, Progress, image_uploaded
from flask_autotag.errors import (
    ClassifierCrashed,
    TaggingError,
    TaggingOff,
    UnreadableImage,
)
from flask_autotag.jobs import claims, outcomes

from ...hosts import Host, store_labels

PHOTO, OTHER = AssetRef("photo", "1"), AssetRef("page", "a/b.jpg")
PENDING, TAGGED, UNTAGGED = (
    Progress("pending"),
    Progress("tagged"),
    Progress("untagged"),
)
NO_IMAGE = "The file is not an image."


def progress(host: Host, asset: AssetRef = PHOTO, instance: str | None = None) -> Any:
    found = host.autotag.progress([asset], instance)[asset]
    # On MariaDB a transaction keeps its first snapshot.
    host.db.session.rollback()
    return found


def upload(host: Host, asset: AssetRef = PHOTO, instance: str = "default") -> None:
    image_uploaded.send(host.app, asset=asset, image=b"bytes", instance=instance)


def end(host: Host, error: TaggingError | None) -> None:
    """Let a worker finish the job that is due."""
    database = host.autotag.state_of(host.app).database
    (job,) = claims.claim(database, 1, "tester")
    if error is None:
        with database.begin() as session:
            assert outcomes.finish(session, host.models, [job])
    elif isinstance(error, TaggingOff):
        outcomes.cancel(database, job, error)
    else:
        outcomes.fail(database, job, error)


@pytest.fixture
def asking(any_host: Host) -> Iterator[Host]:
    with any_host.app.app_context():
        yield any_host


def test_from_an_upload_to_its_tags(asking: Host) -> None:
    assert progress(asking) == UNTAGGED
    upload(asking)
    assert progress(asking) == PENDING
    claims.claim(asking.autotag.state_of(asking.app).database, 1, "tester")
    assert progress(asking) == PENDING
    store_labels(asking, PHOTO, [("cat", 0.9)])
    # A job is still pending, and may change the tags.
    assert progress(asking) == PENDING


def test_what_has_no_tag_was_tagged_too(asking: Host) -> None:
    upload(asking)
    store_labels(asking, PHOTO, [])
    end(asking, None)
    assert progress(asking) == TAGGED
    asking.autotag.untag(PHOTO)
    assert progress(asking) == UNTAGGED


def test_a_failure_is_told_until_it_works(asking: Host) -> None:
    upload(asking)
    end(asking, UnreadableImage(NO_IMAGE))
    assert progress(asking) == Progress("failed", NO_IMAGE)
    upload(asking)
    assert progress(asking) == PENDING
    store_labels(asking, PHOTO, [("cat", 0.9)])
    end(asking, None)
    assert progress(asking) == TAGGED
    upload(asking)
    end(asking, UnreadableImage("Torn."))
    assert progress(asking) == Progress("failed", "Torn.")


def test_a_failure_that_comes_after_a_later_upload_is_tagged(asking: Host) -> None:
    """The first upload is tried a last time."""
    database = asking.autotag.state_of(asking.app).database
    upload(asking)
    (first,) = claims.claim(database, 1, "tester")
    image_uploaded.send(asking.app, asset=PHOTO, image=b"other")
    store_labels(asking, PHOTO, [("cat", 0.9)])
    end(asking, None)
    outcomes.fail(database, first, UnreadableImage(NO_IMAGE))
    assert progress(asking) == TAGGED


def test_what_is_tried_again_is_pending_and_says_why(asking: Host) -> None:
    upload(asking)
    end(asking, ClassifierCrashed("Went down."))
    assert progress(asking) == Progress("pending", "Went down.")


def test_what_is_turned_off_leaves_it_as_it_was(asking: Host) -> None:
    upload(asking)
    end(asking, TaggingOff("It is off."))
    assert progress(asking) == Progress("untagged", "It is off.")
    store_labels(asking, PHOTO, [("cat", 0.9)])
    upload(asking)
    end(asking, TaggingOff("It is off."))
    assert progress(asking) == TAGGED


def test_what_a_person_tags_is_not_classified_by_it(asking: Host) -> None:
    asking.autotag.add_tag(PHOTO, "Rex")
    assert progress(asking) == UNTAGGED


def test_an_instance_alone(asking: Host) -> None:
    upload(asking, instance="one")
    store_labels(asking, PHOTO, [("cat", 0.9)], "two")
    assert progress(asking, instance="one") == PENDING
    assert progress(asking, instance="two") == TAGGED
    assert progress(asking, instance="three") == UNTAGGED
    assert progress(asking) == PENDING


def test_a_page_of_several_kinds_is_one_query(asking: Host) -> None:
    photos = [asking.add_photo(str(number)) for number in range(24)]
    upload(asking, AssetRef("photo", str(photos[3].id)))
    store_labels(asking, OTHER, [("cat", 0.9)])
    asking.db.session.rollback()
    ids = [photo.id for photo in photos]
    with statements(asking) as asked:
        found = asking.autotag.progress([*photos, OTHER, OTHER])
    assert len(asked) == 1
    assert len(found) == 25
    assert found[photos[3]] == PENDING
    assert found[AssetRef("photo", str(ids[4]))] == UNTAGGED
    assert found[OTHER] == TAGGED
    with pytest.raises(KeyError):
        found[AssetRef("photo", "0")]


def test_nothing_asks_nothing(asking: Host) -> None:
    with statements(asking) as asked:
        assert dict(asking.autotag.progress([])) == {}
    assert asked == []


def test_what_was_not_saved_has_no_progress(asking: Host) -> None:
    with pytest.raises(AssetError, match="flush it first"):
        asking.autotag.progress([asking.Photo(path="new")])


@contextmanager
def statements(host: Host) -> Iterator[list[str]]:
    """Record the statements of the block."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    event.listen(host.db.engine, "before_cursor_execute", note)
    yield asked
    event.remove(host.db.engine, "before_cursor_execute", note)
