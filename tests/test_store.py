"""Writers of one asset at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy.orm import Session

from flask_autotag import AssetRef
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.store import Entry, forget, store
from flask_autotag.tagging import Classified

from .hosts import Host

PHOTO = AssetRef("photo", "1")
ROUNDS = 60


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
        lambda session: forget(session.connection(), models, PHOTO),
    ]
    threads = [threading.Thread(target=again_and_again, args=(work,)) for work in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
