"""Measures settings: reading, previewing and applying them to existing images.

Previewing and applying use stored predictions. They are compared with classifying the
same images again, in the same run.

::

    python benchmarks/settings.py FOLDER-OF-PHOTOS [--database sqlite]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from hosts import DATABASES, Host, host, machine
from sqlalchemy import insert, text

from flask_autotag.classification.request import question
from flask_autotag.jobs.reapply_job import enqueue_for
from flask_autotag.jobs.worker import Worker
from flask_autotag.settings.edit import save
from flask_autotag.settings.machine import Machine
from flask_autotag.tags.reapply import preview

IMAGES, LABELS, CLASSIFIED, READS, PAGES = 20_000, 20, 200, 500, 50
THRESHOLD = ("tensorflow", "confidence_threshold")


def fill(running: Host) -> None:
    """Store predictions for as many images as a preview examines."""
    models, random_ = running.autotag.models, random.Random(1)
    names = [f"label {number}" for number in range(1000)]
    for start in range(1, IMAGES + 1, 1000):
        ids = range(start, start + 1000)
        now = datetime(2026, 1, 1)
        running.db.session.execute(
            insert(models.asset.__table__),
            [
                {
                    "id": each,
                    "instance": "default",
                    "asset_type": "photo",
                    "asset_id": str(each),
                    "tagged_at": now,
                }
                for each in ids
            ],
        )
        running.db.session.execute(
            insert(models.prediction.__table__),
            [
                {
                    "asset_id": each,
                    "provider": "tensorflow",
                    "model": "model 1",
                    "labels": [
                        [name, name, round(random_.random() ** 3, 4)]
                        for name in random_.sample(names, LABELS)
                    ],
                    "created_at": now,
                }
                for each in ids
            ],
        )
    running.db.session.commit()


def apply(running: Host, threshold: float) -> None:
    """Save a threshold with the job that applies it, and run the job."""
    state = running.autotag.state_of(running.app)
    with running.app.app_context():
        save(
            state.database,
            state.stored_settings(),
            "default",
            {THRESHOLD: threshold},
            model_dir=None,
            who=None,
            also=lambda session: enqueue_for(session, state, "default") and None,
        )
    Worker(running.app, state).drain()


def analyze(running: Host) -> None:
    """Update PostgreSQL's statistics, which autovacuum would do within a minute."""
    if running.db.engine.dialect.name == "postgresql":
        running.db.session.execute(text("ANALYZE"))
        running.db.session.commit()


def rate(work: Callable[[], object], number: int) -> float:
    """Run *work*, which processes *number* images.

    :return: images per second.
    """
    start = time.perf_counter()
    work()
    return number / (time.perf_counter() - start)


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median time of *work*."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def measure(kind: str, running: Host, photos: list[Path]) -> None:
    """Print the figures of one database."""
    app, autotag = running.app, running.autotag
    state = autotag.state_of(app)
    autotag.authorizer(lambda _action, _instance: True)
    app.config.update(SECRET_KEY="x" * 40)
    with app.app_context():
        models = autotag.models
        fill(running)
        settings = state.settings_for("default")
        data = [path.read_bytes() for path in photos]
        questions = [
            question(data[each % len(data)], settings, Machine())
            for each in range(CLASSIFIED)
        ]

        def classify_again() -> None:
            with state.pool.slot() as slot:
                list(slot.classify(questions))

        classify_again()
        again = rate(classify_again, CLASSIFIED)
        read = milliseconds(lambda: state.settings_for("default"), READS)

        def look() -> None:
            with state.database.begin() as session:
                preview(session, models, {"default": settings}, IMAGES)

        looked = rate(look, IMAGES)
    apply(running, 0.45)
    with app.app_context():
        analyze(running)
    applied = rate(lambda: apply(running, 0.4), IMAGES)
    client = app.test_client()
    page = milliseconds(lambda: client.get("/autotag/instances/default").close(), PAGES)
    print(
        f"{kind:<12}{again:>8.0f}/s{looked:>10.0f}/s{looked / again:>7.0f}x"
        f"{applied:>10.0f}/s{applied / again:>7.0f}x{read:>9.2f} ms{page:>9.1f} ms",
        flush=True,
    )


def main() -> None:
    """Measure each database in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--database", choices=DATABASES, action="append")
    arguments = parser.parse_args()
    photos = sorted(arguments.photos.glob("*.JPEG"))
    print(machine(), f"{IMAGES:,} images of {LABELS} labels", sep=", ")
    print("database    classify   preview          applying         read      page")
    for kind in arguments.database or DATABASES:
        with (
            tempfile.TemporaryDirectory() as folder,
            host(kind, Path(folder)) as running,
        ):
            measure(kind, running, photos)


if __name__ == "__main__":
    main()
