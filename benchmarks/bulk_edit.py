"""Measures how long it takes to add a tag to many images at once, and one by one.

Each image has four tags of a provider. The tag is added to all images by one call in
one transaction, and to some others by a call each, every one in its own transaction and
all in one. The time of these is extrapolated to the number of images. The undo and the
largest list of the JSON API are measured too.

::

    python benchmarks/bulk_edit.py [--database sqlite] [--images 10000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from hosts import DATABASES, Host, host, machine
from sqlalchemy.orm import Session

from flask_autotag import AssetRef
from flask_autotag.classification.request import Classified
from flask_autotag.jobs import bulk_action_job
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.runtime.state import State
from flask_autotag.tags import bulk_actions
from flask_autotag.tags.store import Entry, store

LABELS = tuple(
    Label(f"n{number}", name, 0.9 - number / 10)
    for number, name in enumerate(("dog", "grass", "beach", "ball"))
)
#: Images of the single decisions.
SINGLE = 500


def show(kind: str, folder: Path, images: int) -> None:
    """Print the seconds of each way."""
    with host(kind, folder) as found, found.app.app_context():
        assets = fill(found, images)
        words = (f"word {number}" for number in count(1))
        found.autotag.add_tag(assets[:1], next(words))

        at_once = seconds(lambda: found.autotag.add_tag(assets, "at once"))
        undone = seconds(lambda: undo(found))
        some = assets[:SINGLE]
        times = images / len(some)

        def one_by_one(word: str) -> None:
            for asset in some:
                found.autotag.add_tag(asset, word)

        alone = seconds(lambda: one_by_one(next(words))) * times
        with uncommitted(found):
            together = seconds(lambda: one_by_one(next(words))) * times
        largest = assets[:1000]
        request = seconds(lambda: found.autotag.add_tag(largest, next(words)))
        print(
            f"{kind}: {images:,} images at once {at_once:.1f} s; one by one"
            f" {alone:.0f} s ({alone / at_once:.0f} times), in one transaction"
            f" {together:.0f} s ({together / at_once:.0f} times); undo {undone:.1f} s;"
            f" {len(largest):,} at once {request:.2f} s"
        )


def fill(found: Host, images: int) -> Sequence[AssetRef]:
    """Store predictions and tags of images."""
    state = found.autotag.state_of(found.app)
    settings = state.settings_for("default")
    said = Classified("0" * 64, [Prediction("tensorflow", "1", LABELS)])
    assets = [AssetRef("photo", str(number)) for number in range(images)]
    for start in range(0, images, 500):
        entries = [
            Entry(asset, "default", said, settings)
            for asset in assets[start : start + 500]
        ]
        with state.database.begin() as session:
            store(session, found.autotag.models, entries)
    return assets


def undo(found: Host) -> None:
    """Undo the latest action, portion by portion, as a job does."""
    state, models = found.autotag.state_of(found.app), found.autotag.models
    [action] = state.database.transact(
        lambda s: bulk_actions.latest(s.connection(), models, "default", 1)
    )
    state.database.transact(
        lambda s: bulk_actions.begin_undo(s.connection(), models, action, None)
    )
    last: int | None = 0
    while last is not None:
        last = state.database.transact(partial(_undo_next, state, action.id, last))


def _undo_next(
    state: State, action_id: int, after: int, session: Session
) -> int | None:
    return bulk_action_job.next_portion(session, state, "default", action_id, after)


@contextmanager
def uncommitted(found: Host) -> Iterator[Session]:
    """Let the host's session have a write, which the decisions join."""
    session: Any = found.db.session
    tag = found.autotag.models.tag.__table__
    session.execute(tag.insert().values(instance="other", key="x", name="x"))
    yield session
    session.rollback()


def seconds(work: Callable[[], object]) -> float:
    """Return how long *work* takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    """Measure on the chosen databases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=DATABASES, action="append")
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    print(machine())
    for kind in options.database or DATABASES:
        with tempfile.TemporaryDirectory() as folder:
            show(kind, Path(folder), options.images)


if __name__ == "__main__":
    main()
