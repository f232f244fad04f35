"""The write of an upload: its number of statements, and writes at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from flask_autotag import AssetRef
from flask_autotag.classification.request import Classified
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.tags.store import Entry, forget, store

from ..hosts import Host

PHOTO = AssetRef("photo", "1")
ROUNDS = 60

SAID = [
    Prediction("tensorflow", "1", (Label("n1", "dog", 0.9), Label("n2", "grass", 0.8)))
]


def write(host: Host, *assets: AssetRef) -> list[str]:
    """Store a prediction of each asset, and return the executed statements."""
    state = host.autotag.state_of(host.app)
    settings = state.settings_for("default")
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(host.db.engine, "before_cursor_execute", note)
    for asset in assets:
        entry = Entry(asset, "default", Classified("0" * 64, SAID), settings)
        state.database.transact(
            lambda session, entry=entry: store(session, host.models, [entry])  # type: ignore[misc]
        )
    event.remove(host.db.engine, "before_cursor_execute", note)
    return statements


def test_the_write_of_an_upload_takes_seven_statements(any_host: Host) -> None:
    with any_host.app.app_context():
        write(any_host, AssetRef("photo", "2"))
        first = write(any_host, PHOTO)
        again = write(any_host, PHOTO)
        counts = {tag.name: tag.count for tag in any_host.autotag.tag_counts()}
        # SQLite needs another statement for its lock.
        most = 7 + (any_host.db.engine.dialect.name == "sqlite")
    assert len(first) == most, "\n".join(first)
    # The former tags are deleted, and no counter changes.
    assert len(again) == most, "\n".join(again)
    assert counts == {"dog": 2, "grass": 2}


def test_an_asset_may_be_deleted_while_its_tags_are_written(any_host: Host) -> None:
    state = any_host.autotag.state_of(any_host.app)
    with any_host.app.app_context():
        models = any_host.models
        settings = state.settings_for("default")
    said = [Prediction("tensorflow", "1", (Label("n1", "dog", 0.9),))]
    entry = Entry(PHOTO, "default", Classified("0" * 64, said), settings)
    barrier = threading.Barrier(2)
    errors: list[Exception] = []

    def again_and_again(work: Callable[[Session], None]) -> None:
        for _ in range(ROUNDS):
            barrier.wait()
            try:
                with any_host.app.app_context():
                    state.database.transact(work)
            except Exception as error:
                errors.append(error)

    both: list[Callable[[Session], None]] = [
        lambda session: store(session, models, [entry]),
        lambda session: forget(session.connection(), models, PHOTO, "default"),
    ]
    threads = [threading.Thread(target=again_and_again, args=(work,)) for work in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
