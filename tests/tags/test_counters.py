"""Counters follow every change of tags, also with several writers at once."""

from __future__ import annotations

import threading
from typing import Any

from sqlalchemy import event

from flask_autotag import AssetRef
from flask_autotag.tags import bulk, counters
from flask_autotag.tags.batches import AssetFilter

from ..hosts import Host, store_labels

#: Threads that store tags at the same time, and how often each does.
WRITERS, ROUNDS = 3, 8


def check(host: Host) -> counters.Drift:
    database = host.autotag.state_of(host.app).database
    return counters.check_all(database)


def counts(host: Host) -> dict[str, int]:
    host.db.session.rollback()
    return {tag.name: tag.count for tag in host.autotag.tag_counts("default")}


def photo(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


def test_every_writer_counts(any_host: Host) -> None:
    autotag = any_host.autotag
    with any_host.app.app_context():
        state = autotag.state_of(any_host.app)
        for number in (1, 2):
            store_labels(any_host, photo(number), [("dog", 0.9), ("grass", 0.8)])
        assert counts(any_host) == {"dog": 2, "grass": 2}
        store_labels(any_host, photo(1), [("cat", 0.9), ("grass", 0.8)])
        assert counts(any_host) == {"grass": 2, "cat": 1, "dog": 1}
        autotag.reject_tag(photo(2), "grass")
        autotag.add_tag(photo(2), "Rex")
        autotag.add_tag(photo(3), "Rex")
        assert counts(any_host) == {"Rex": 2, "cat": 1, "dog": 1, "grass": 1}
        autotag.untag(photo(1))
        assert counts(any_host) == {"Rex": 2, "dog": 1}
        autotag.forget(photo(3))
        assert counts(any_host) == {"Rex": 1, "dog": 1}
        bulk.untag(state, AssetFilter(), lambda _: None)
        assert counts(any_host) == {"Rex": 1}
        assert check(any_host).wrong == []


def test_a_rollback_takes_the_count_back(any_host: Host) -> None:
    with any_host.app.app_context():
        any_host.db.session.add(any_host.Photo(path="a"))
        any_host.db.session.flush()
        any_host.autotag.add_tag(photo(1), "dog")
        assert any_host.autotag.tag_counts() != []
        any_host.db.session.rollback()
        assert counts(any_host) == {}


def test_only_counters_that_change_are_written(host: Host) -> None:
    labels = [("dog", 0.9), ("grass", 0.8)]
    with host.app.app_context():
        store_labels(host, photo(1), labels)
        written: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("INSERT INTO autotag_counter"):
                written.append(statement)

        event.listen(host.db.engine, "before_cursor_execute", note)
        store_labels(host, photo(1), labels)
        assert written == []
        store_labels(host, photo(2), labels)
        assert len(written) == 1


def test_writers_of_the_same_tags_do_not_wait_in_a_ring(any_host: Host) -> None:
    names = ["dog", "grass", "ball", "snow"]
    errors: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            with any_host.app.app_context():
                for turn in range(ROUNDS):
                    number = writer * ROUNDS + turn
                    said = names[turn % 4 :] + names[: turn % 4]
                    labels = [
                        (name, 0.9 - place / 10) for place, name in enumerate(said)
                    ]
                    store_labels(any_host, photo(number), labels)
        except BaseException as error:
            errors.append(error)

    with any_host.app.app_context():
        # Create the tags first: the test is about their counters.
        store_labels(any_host, photo(1000), [(name, 0.9) for name in names])
    threads = [threading.Thread(target=write, args=(each,)) for each in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with any_host.app.app_context():
        assert counts(any_host) == dict.fromkeys(names, WRITERS * ROUNDS + 1)


def test_a_check_looks_at_some_tags_and_a_repair_at_all(host: Host) -> None:
    with host.app.app_context():
        database = host.autotag.state_of(host.app).database
        host.autotag.add_tag(photo(1), "dog")
        counter = host.models.counter.__table__
        with database.begin() as session:
            session.execute(counter.update().values(assets=5))
            found = counters.check_some(session, host.models)
        assert len(found.wrong) == found.looked_at == 1
        counters.repair(database, found.wrong)
        assert check(host) == counters.Drift(1, [])
