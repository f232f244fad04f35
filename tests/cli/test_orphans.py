"""``flask autotag forget-orphans``."""

from __future__ import annotations

import pytest
from sqlalchemy import delete

from flask_autotag import AssetRef

from ..hosts import Host, store_labels
from .terminals import refused, sit_at_a_terminal, told

FOUND = ["1 image and 2 jobs without a row.", "    photo: 1 image and 2 jobs"]


@pytest.fixture
def watched(host: Host) -> Host:
    """A host in whose table a bulk DELETE has removed all photos."""
    host.autotag.watch(host.Photo, lambda photo: photo.path)
    with host.app.app_context():
        host.add_photo()
        host.add_photo()
        store_labels(host, AssetRef("photo", "1"), [("dog", 0.9)])
        host.db.session.execute(delete(host.Photo))
        host.db.session.commit()
    return host


def test_a_dry_run_only_counts(watched: Host) -> None:
    assert told(watched, "forget-orphans", "--dry-run") == FOUND
    assert len(watched.jobs()) == 2


def test_it_asks_before_it_forgets(
    watched: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    sit_at_a_terminal(monkeypatch)
    assert "Nothing was done." in refused(watched, "forget-orphans", input="n\n")
    assert told(watched, "forget-orphans", "--yes") == [
        *FOUND,
        "1 image and 2 jobs forgotten.",
    ]
    assert watched.jobs() == []
    nothing = ["0 images and 0 jobs without a row."]
    assert told(watched, "forget-orphans") == nothing


def test_it_needs_watched_models(host: Host) -> None:
    assert refused(host, "forget-orphans").startswith(
        "Error: No model is watched (autotag.watch)"
    )
    host.autotag.watch(host.Photo, lambda photo: photo.path)
    assert refused(host, "forget-orphans", "--type", "logo") == (
        "Error: No watched model has the type 'logo'. Types: photo."
    )
