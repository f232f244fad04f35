"""``flask autotag tag-untagged``, ``untag`` and ``commit``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from flask_autotag import AssetRef, Upload, image_uploaded
from flask_autotag.db.job_states import BULK, FRESH
from flask_autotag.jobs.bulk import untagged
from flask_autotag.jobs.worker import Worker
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.tags import batches

from ..hosts import ESPRESSO, ESPRESSO_TAGS, Host, jpeg, make_host, store_labels
from ..settings.desk import Desk
from .terminals import refused, run, sit_at_a_terminal, told

GOOGLE = {("google", "api_key"): "AIza-secret-0123", ("google", "enabled"): True}


def asset(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


def list_photos(host: Host, number: int, instance: str = "default") -> None:
    """Let the host list *number* photos of the same file."""

    @host.autotag.asset_lister
    def images() -> Iterator[Upload]:
        for place in range(1, number + 1):
            yield Upload(asset(place), ESPRESSO, instance)


def queued(host: Host) -> list[str]:
    return [job.asset_id for job in host.jobs()]


def test_only_what_was_never_classified_is_queued(any_host: Host) -> None:
    list_photos(any_host, 5)
    with any_host.app.app_context():
        store_labels(any_host, asset(1), [("dog", 0.9)])
        # Only people have tagged this image.
        any_host.autotag.add_tag(asset(2), "rex")
        # Classified in another instance only.
        store_labels(any_host, asset(3), [("dog", 0.9)], "news")
        image_uploaded.send(any_host.app, asset=asset(4), image=jpeg())
    assert told(any_host, "tag-untagged") == [
        "3 images of 5 to tag.",
        "    default: 3",
        "3 images queued.",
        "Run 'flask autotag worker' to tag them.",
    ]
    jobs = {job.asset_id: job for job in any_host.jobs()}
    assert {number: job.priority for number, job in jobs.items()} == {
        "2": BULK,
        "3": BULK,
        "4": FRESH,
        "5": BULK,
    }
    assert jobs["5"].path == str(ESPRESSO)


def test_run_twice_it_queues_nothing_twice(any_host: Host) -> None:
    list_photos(any_host, 3)
    told(any_host, "tag-untagged")
    assert told(any_host, "tag-untagged") == [
        "0 images of 3 to tag.",
        "0 images queued.",
    ]
    assert queued(any_host) == ["1", "2", "3"]


def test_two_at_the_same_time_queue_nothing_twice(any_host: Host) -> None:
    """The other command queues the images between the count and the queueing."""
    with any_host.app.app_context():
        any_host.db.session.add_all(any_host.Photo(path=str(ESPRESSO)) for _ in "123")
        any_host.db.session.commit()
    any_host.autotag.watch(any_host.Photo, image=lambda photo: photo.path)
    state = any_host.autotag.state_of(any_host.app)
    with (
        any_host.app.app_context(),
        untagged.Backlog(state) as one,
        untagged.Backlog(state) as other,
    ):
        for backlog in (one, other):
            backlog.fill(any_host.app, batches.AssetFilter(), lambda number: None)
        [ids] = one.queue()
        assert list(other.queue()) == [ids]
    assert queued(any_host) == ["1", "2", "3"]


def test_what_was_classified_since_it_was_counted_is_left_out(host: Host) -> None:
    list_photos(host, 2)
    state = host.autotag.state_of(host.app)
    with host.app.app_context(), untagged.Backlog(state) as backlog:
        backlog.fill(host.app, batches.AssetFilter(), lambda number: None)
        store_labels(host, asset(1), [("dog", 0.9)])
        list(backlog.queue())
    assert queued(host) == ["2"]


def test_existing_objects_of_a_watched_model_are_tagged(host: Host) -> None:
    with host.app.app_context():
        host.db.session.add(host.Photo(path=str(ESPRESSO), tenant="shop"))
        host.db.session.commit()
    host.autotag.watch(host.Photo, image=lambda p: p.path, instance=lambda p: p.tenant)
    run(host, "tag-untagged", "--now")
    with host.app.app_context():
        tags = host.autotag.tags_for(asset(1), "shop")
    assert [tag.name for tag in tags] == ESPRESSO_TAGS
    assert told(host, "tag-untagged")[0] == "0 images of 1 to tag."


def test_rows_that_are_not_ready_are_not_queued(host: Host) -> None:
    with host.app.app_context():
        for tenant in ("ready", "draft"):
            host.db.session.add(host.Photo(path=str(ESPRESSO), tenant=tenant))
        host.db.session.commit()
    host.autotag.watch(
        host.Photo, lambda photo: photo.path, when=lambda photo: photo.tenant == "ready"
    )
    assert told(host, "tag-untagged")[0] == "1 image of 1 to tag."


def test_assets_without_an_image_are_skipped(any_host: Host, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("no image")
    any_host.autotag.watch(
        any_host.Photo, image=lambda photo: photo.path or None, columns=["path"]
    )
    with any_host.app.app_context():
        nothing, wrong = any_host.add_photo(""), any_host.add_photo(str(text))
        assert (nothing.id, wrong.id) == (1, 2)
    run(any_host, "worker", "--drain")
    run(any_host, "purge", "--days", "0")
    assert told(any_host, "tag-untagged") == [
        "0 images of 2 to tag.",
        "2 assets skipped: no image, or a file that is none (--all tries them again).",
        "0 images queued.",
    ]
    assert told(any_host, "tag-untagged", "--all")[:2] == [
        "2 images of 2 to tag.",
        "    default: 2",
    ]
    run(any_host, "worker", "--drain")
    assert [job.state for job in any_host.jobs()] == ["done", "failed"]
    with any_host.app.app_context():
        any_host.db.session.get(any_host.Photo, 2).path = str(ESPRESSO)  # type: ignore[union-attr]
        any_host.db.session.commit()
    run(any_host, "worker", "--drain")
    assert told(any_host, "tag-untagged")[1].startswith("1 asset skipped: no image")
    assert told(any_host, "retag", "--all")[0].startswith("1 image")


def test_a_new_file_is_not_skipped_for_the_sake_of_its_predecessor(host: Host) -> None:
    """The new file's job was cancelled, so nobody knows whether it is an image."""
    list_photos(host, 1)
    image_uploaded.send(host.app, asset=asset(1), image=b"no image")
    run(host, "worker", "--drain")
    image_uploaded.send(host.app, asset=asset(1), image=ESPRESSO)
    Desk(host).save({("", "enabled"): False})
    run(host, "worker", "--drain")
    assert [job.state for job in host.jobs()] == ["failed", "cancelled"]
    Desk(host).save({("", "enabled"): True})
    assert told(host, "tag-untagged")[0] == "1 image of 1 to tag."


def test_now_works_the_queue_off(host: Host) -> None:
    list_photos(host, 2)
    lines = told(host, "tag-untagged", "--now")
    assert lines == ["2 images of 2 to tag.", "    default: 2", "2 images queued."]
    assert [job.state for job in host.jobs()] == ["done", "done"]


@pytest.mark.parametrize(
    ("runner", "sentence"),
    [
        (
            "thread",
            "The application's thread or 'flask autotag worker' will tag them.",
        ),
        ("none", "Run 'flask autotag worker' to tag them."),
        ("inline", "They are tagged."),
    ],
)
def test_the_last_line_says_who_tags(
    sqlite_url: str, runner: str, sentence: str
) -> None:
    with make_host(sqlite_url, AUTOTAG_RUNNER=runner) as host:
        list_photos(host, 1)
        assert told(host, "tag-untagged")[-1] == sentence
        [job] = host.jobs()
        assert job.state == ("done" if runner == "inline" else "queued")


def test_bytes_travel_with_their_jobs(any_host: Host) -> None:
    images = {"1": jpeg("red"), "2": jpeg("blue")}
    any_host.autotag.asset_lister(
        lambda: [Upload(AssetRef("photo", key), data) for key, data in images.items()]
    )
    told(any_host, "tag-untagged")
    told(any_host, "tag-untagged")
    with any_host.app.app_context(), any_host.db.engine.connect() as connection:
        table = any_host.models.upload.__table__
        stored = connection.scalars(select(table.c.data).order_by(table.c.job_id)).all()
    assert stored == list(images.values())


def test_bytes_end_a_transaction_before_they_are_many(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untagged, "_BYTES", 10)
    host.autotag.asset_lister(
        lambda: [Upload(asset(number), bytes(8)) for number in range(5)]
    )
    state = host.autotag.state_of(host.app)
    with host.app.app_context(), untagged.Backlog(state) as backlog:
        backlog.fill(host.app, batches.AssetFilter(), lambda number: None)
        assert [len(ids) for ids in backlog.queue()] == [2, 2, 1]


def test_a_file_that_is_gone_is_named_and_costs_the_others_nothing(host: Host) -> None:
    host.autotag.asset_lister(
        lambda: [Upload(asset(1), "/nowhere/a.jpg"), Upload(asset(2), ESPRESSO)]
    )
    result = run(host, "tag-untagged")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "1 image could not be read:",
        "    photo 1 (default): There is no readable file 'a.jpg' where the upload was"
        " said to be. Its path is '/nowhere/a.jpg'.",
    ]
    assert result.stdout.splitlines()[:3] == [
        "1 image of 2 to tag.",
        "    default: 1",
        "1 image skipped: untagged, but could not be read.",
    ]
    assert queued(host) == ["2"]


def test_an_image_that_nothing_tells_of(host: Host) -> None:
    """One image was uploaded before, and its job still knows the file."""
    image_uploaded.send(host.app, asset=asset(2), image=ESPRESSO)
    with host.app.app_context():
        table = host.models.job.__table__
    ended = {"state": "failed", "dedupe_key": None, "run_at": None}
    Desk(host).execute(update(table).values(**ended))
    host.autotag.asset_lister(lambda: [asset(1), asset(2)])
    result = run(host, "tag-untagged")
    assert result.stderr.splitlines()[1:] == [
        "    photo 1 (default): The image of photo 1 cannot be found: register"
        " an image_loader."
    ]
    [_, again] = host.jobs()
    assert (again.asset_id, again.path) == ("2", str(ESPRESSO))


def test_where_tagging_is_off_images_are_left_alone(host: Host) -> None:
    Desk(host).save({("", "enabled"): False}, "shop")
    host.autotag.asset_lister(
        lambda: [Upload(asset(1), ESPRESSO, "shop"), Upload(asset(2), ESPRESSO, "news")]
    )
    assert told(host, "tag-untagged")[:3] == [
        "1 image of 2 to tag.",
        "    news: 1",
        "1 image skipped: tagging is off in their instance.",
    ]
    assert queued(host) == ["2"]


def test_what_killed_its_worker_waits_for_retry(any_host: Host) -> None:
    list_photos(any_host, 2)
    told(any_host, "tag-untagged")
    with any_host.app.app_context():
        table = any_host.models.job.__table__
    for number, state in (("1", "quarantined"), ("2", "failed")):
        Desk(any_host).execute(
            update(table)
            .where(table.c.asset_id == number)
            .values(state=state, dedupe_key=None, run_at=None)
        )
    told(any_host, "tag-untagged")
    assert queued(any_host) == ["1", "2", "2"]


def test_a_scope(any_host: Host) -> None:
    any_host.autotag.asset_lister(
        lambda: [
            Upload(asset(1), ESPRESSO, "shop"),
            Upload(asset(2), ESPRESSO, "news"),
            Upload(AssetRef("file", "3"), ESPRESSO, "shop"),
        ]
    )
    told(any_host, "tag-untagged", "--instance", "shop", "--type", "photo")
    assert queued(any_host) == ["1"]


def test_a_dry_run_only_counts(host: Host) -> None:
    list_photos(host, 3)
    assert told(host, "tag-untagged", "--dry-run") == [
        "3 images of 3 to tag.",
        "    default: 3",
    ]
    assert host.jobs() == []


def test_before_images_are_sent_elsewhere_it_asks(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    Desk(host).save({**GOOGLE, ("google", "price"): "$1.50"}, "shop")
    list_photos(host, 2, "shop")
    assert refused(host, "tag-untagged") == (
        "Error: There is no terminal to ask on. Add --yes to answer yes."
    )
    sit_at_a_terminal(monkeypatch)
    result = run(host, "tag-untagged", input="n\n")
    assert (result.exit_code, host.jobs()) == (1, [])
    assert result.stderr.splitlines()[0] == (
        "shop: Google Cloud Vision: 2 images, less than $0.01 at the list price"
        " entered."
    )
    assert result.stderr.endswith("Error: Nothing was done.\n")
    assert run(host, "tag-untagged", input="y\n").exit_code == 0
    assert queued(host) == ["1", "2"]


def test_yes_says_that_images_may_be_sent(host: Host) -> None:
    Desk(host).save(GOOGLE)
    list_photos(host, 1)
    result = run(host, "tag-untagged", "--dry-run")
    assert "Google Cloud Vision" in result.stderr
    assert host.jobs() == []
    told(host, "tag-untagged", "--yes")
    assert queued(host) == ["1"]


def test_a_lister_that_fails_late_loses_nothing_that_was_queued(host: Host) -> None:
    list_photos(host, 2)
    told(host, "tag-untagged")

    @host.autotag.asset_lister
    def images() -> Iterator[Upload]:
        yield Upload(asset(3), ESPRESSO)
        raise OSError

    assert refused(host, "tag-untagged") == (
        "Error: The asset_lister raised OSError after item 1. Fix it and run the"
        " command again."
    )
    assert queued(host) == ["1", "2"]


def test_what_it_refuses(host: Host) -> None:
    assert "register an asset_lister" in refused(host, "tag-untagged")
    host.autotag.instance_lister(lambda: ["shop"])
    for command in ("tag-untagged", "retag", "untag", "commit"):
        assert refused(host, command, "--instance", "nowhere") == (
            "Error: There is no instance 'nowhere'. Instances: shop."
        )
    with host.app.app_context():
        host.models.metadata.drop_all(host.db.engine)
    list_photos(host, 1)
    for command in ("tag-untagged", "retag", "untag", "commit"):
        assert "'flask autotag init-db' makes them" in refused(host, command)


def test_an_interruption_says_how_to_go_on(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_photos(host, 3)
    monkeypatch.setattr(untagged, "BATCH_SIZE", 1)
    queue = untagged.Backlog.queue

    def interrupted(self: untagged.Backlog) -> Iterator[list[int]]:
        yield next(queue(self))
        raise KeyboardInterrupt

    monkeypatch.setattr(untagged.Backlog, "queue", interrupted)
    result = run(host, "tag-untagged")
    assert result.exit_code == 130
    assert result.stderr.strip() == (
        "Stopped. Finished work is kept. Run the command again to continue."
    )
    monkeypatch.undo()
    told(host, "tag-untagged")
    assert queued(host) == ["1", "2", "3"]


def test_a_streaming_lister_on_sqlite_locks_nobody_out(host: Host) -> None:
    """A cursor that is open meanwhile would block SQLite's writers."""
    with host.app.app_context():
        host.db.session.add_all(host.Photo(path=str(ESPRESSO)) for _ in range(2500))
        host.db.session.commit()

    @host.autotag.asset_lister
    def images() -> Iterator[Upload]:
        found = host.db.session.scalars(
            select(host.Photo).execution_options(yield_per=10)
        )
        for photo in found:
            yield Upload(photo, photo.path)

    assert told(host, "tag-untagged")[-2] == "2,500 images queued."


#: Labels that become a tag, a suggestion, and neither.
LABELS = [("dog", 0.9), ("wolf", 0.4), ("fox", 0.1)]


def fill(host: Host, number: int, instance: str = "default") -> None:
    """Store predictions for photos, and decisions of ada."""
    Desk(host).save({("", "suggestion_threshold"): 0.3})
    with host.app.app_context():
        for place in range(1, number + 1):
            store_labels(host, asset(place), LABELS, instance)
            host.autotag.add_tag(asset(place), "rex", instance=instance, person="ada")
            host.autotag.reject_tag(
                asset(place), "cat", instance=instance, person="ada"
            )


def tags(host: Host, number: int, instance: str = "default") -> list[tuple[str, str]]:
    with host.app.app_context():
        return [
            (tag.name, tag.source)
            for tag in host.autotag.tags_for(asset(number), instance)
        ]


def suggestions(host: Host, number: int, instance: str = "default") -> list[str]:
    with host.app.app_context():
        found = host.autotag.suggestions_for(asset(number), instance)
        return [tag.name for tag in found]


def drain(host: Host) -> None:
    Worker(host.app, host.autotag.state_of(host.app)).drain()


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 2)


@pytest.mark.usefixtures("small_portions")
def test_untag_leaves_what_people_decided(any_host: Host) -> None:
    fill(any_host, 5)
    fill(any_host, 1, "news")
    assert refused(any_host, "untag") == (
        "Error: There is no terminal to ask on. Add --yes to answer yes."
    )
    counted = "5 images with 5 tags and 5 suggestions of providers."
    assert told(any_host, "untag", "--instance", "default", "--dry-run") == [counted]
    assert tags(any_host, 1) == [("rex", "person"), ("dog", "provider")]

    assert told(any_host, "untag", "--instance", "default", "--yes") == [
        counted,
        "Removed. People's tags and decisions stay.",
    ]

    for number in range(1, 6):
        assert tags(any_host, number) == [("rex", "person")]
        assert suggestions(any_host, number) == []
        with any_host.app.app_context():
            explained = any_host.autotag.explain(asset(number))
        assert (explained.tagged_at, explained.labels) == (None, ())
        decided = {(each.tag, each.state) for each in explained.decisions}
        assert decided == {("rex", "applied"), ("cat", "rejected")}
    assert tags(any_host, 1, "news") == [("rex", "person"), ("dog", "provider")]
    assert told(any_host, "untag", "--instance", "default", "--yes") == [
        "0 images with 0 tags and 0 suggestions of providers."
    ]
    list_photos(any_host, 5)
    assert told(any_host, "tag-untagged", "--dry-run")[0] == "5 images of 5 to tag."


@pytest.mark.usefixtures("small_portions")
def test_commit_makes_tags_permanent(any_host: Host) -> None:
    fill(any_host, 5)
    fill(any_host, 1, "news")
    assert told(any_host, "commit", "--instance", "default", "--dry-run") == [
        "5 tags of providers."
    ]
    assert told(any_host, "commit", "--instance", "default", "--yes") == [
        "5 tags of providers.",
        "The tags are permanent.",
    ]
    for number in range(1, 6):
        assert dict(tags(any_host, number)) == {"rex": "person", "dog": "person"}
        assert suggestions(any_host, number) == ["wolf"]
    with any_host.app.app_context():
        decisions = any_host.autotag.explain(asset(1)).decisions
    [dog] = [each for each in decisions if each.tag == "dog"]
    assert (dog.person, dog.provider, dog.model, dog.confidence) == (
        "command line",
        "tensorflow",
        "model 1",
        0.9,
    )
    assert dict(tags(any_host, 1, "news")) == {"rex": "person", "dog": "provider"}

    told(any_host, "untag", "--yes")
    Desk(any_host).save({("tensorflow", "confidence_threshold"): 1})
    assert dict(tags(any_host, 1)) == {"rex": "person", "dog": "person"}
    assert told(any_host, "commit", "--yes") == ["0 tags of providers."]


def test_a_word_that_was_dropped_before_is_no_reason_to_lose_a_committed_tag(
    any_host: Host,
) -> None:
    """The decision has the current time, not that of the prediction."""
    fill(any_host, 1)
    desk, now = Desk(any_host), datetime.now(UTC).replace(tzinfo=None)
    with any_host.app.app_context(), desk.state.database.begin() as session:
        words = {tag_name("dog"): {"dropped_at": now - timedelta(minutes=1)}}
        change_words(session, any_host.models, "default", words, "ada")
        table = any_host.models.assignment.__table__
    said_before = update(table).where(table.c.source == "provider")
    desk.execute(said_before.values(created_at=now - timedelta(minutes=2)))
    told(any_host, "commit", "--yes")
    told(any_host, "retag", "--stored")
    drain(any_host)
    assert ("dog", "person") in tags(any_host, 1)


def test_asking_before_tags_go(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(host, 1)
    sit_at_a_terminal(monkeypatch)
    for command in ("untag", "commit"):
        assert "Error: Nothing was done." in run(host, command, input="n\n").output
        assert tags(host, 1) == [("rex", "person"), ("dog", "provider")]
    assert run(host, "untag", input="y\n").exit_code == 0
    assert tags(host, 1) == [("rex", "person")]
