"""Measures the activity page, and compares it with a plain count of the same jobs.

The jobs belong to three instances. They are in all states, or all failed, with equally
many for each reason. All ended within the last day. Each time is that of a whole
request for the page, or of collecting the metrics, in milliseconds: the median and the
99th percentile.

::

    python benchmarks/activity.py [--jobs 100000] [--database sqlite]
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hosts import DATABASES, Host, host, machine, measure
from sqlalchemy import func, insert, select

from flask_autotag.monitoring.metrics import AutoTagCollector

INSTANCES = ("one", "two", "three")
#: An instance without jobs.
EMPTY = "empty"
RUNS, DAY = 100, 86_400.0
PORTION = 5_000
REASONS = (
    "image_missing",
    "image_unreadable",
    "loader_failed",
    "classifier_timeout",
    "provider_failed",
)
#: States, and the percentage of jobs in each.
MIXED = {"queued": 40, "running": 1, "done": 40, "failed": 18, "quarantined": 1}
FAILED = {"failed": 100}


def rows(states: dict[str, int], number: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of jobs."""
    random_, now = random.Random(1), time.time()
    for place in range(number):
        [state] = random_.choices(list(states), list(states.values()))
        live = state in ("queued", "running")
        failed = state in ("failed", "quarantined")
        yield {
            "instance": random_.choice(INSTANCES),
            "asset_type": "photo",
            "asset_id": str(place),
            "path": f"{place}.jpg",
            "dedupe_key": str(place) if live else None,
            "state": state,
            "priority": place % 2,
            "run_at": now - random_.random() * 600 if live else None,
            "lease_owner": f"worker {place % 4}" if state == "running" else None,
            "error_code": random_.choice(REASONS) if failed else None,
            "error_text": "A sentence that says what went wrong." if failed else None,
            "created_at": now - 2 * DAY,
            "finished_at": None if live else now - random_.random() * DAY,
        }


def fill(running: Host, states: dict[str, int], number: int) -> None:
    """Insert jobs, and update the database's statistics."""
    table = running.autotag.models.job.__table__
    made = list(rows(states, number))
    with running.db.engine.begin() as connection:
        for start in range(0, number, PORTION):
            connection.execute(insert(table), made[start : start + PORTION])
    if running.db.engine.dialect.name == "postgresql":
        engine = running.db.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def run(kind: str, title: str, states: dict[str, int], jobs: int, runs: int) -> None:
    """Measure on one kind of database."""
    with (
        tempfile.TemporaryDirectory() as folder,
        host(kind, Path(folder)) as running,
    ):
        running.app.config["SECRET_KEY"] = "of the benchmark, and long enough for it"
        running.autotag.authorizer(lambda _action, _instance: True)
        running.autotag.instance_lister(lambda: (*INSTANCES, EMPTY))
        client = running.app.test_client()

        def get(path: str) -> None:
            response = client.get(path)
            assert response.status_code == 200, response.status

        def count() -> None:
            table = running.autotag.models.job.__table__
            with running.db.engine.connect() as connection:
                connection.execute(select(func.count()).select_from(table)).scalar()

        with running.app.app_context():
            fill(running, states, jobs)
            print(f"\n{kind}, {jobs:,} jobs, {title}")
            print(f"{'ms':<32}{'median':>10}{'p99':>10}")
            print(
                f"{'a bare count of all jobs':<32} {measure(count, runs)}", flush=True
            )
        for name, path in {
            "the page of the system": "/autotag/system/activity",
            "… of an instance": f"/autotag/activity/{INSTANCES[0]}",
            "… of one without jobs": f"/autotag/activity/{EMPTY}",
            "the overview": "/autotag/",
        }.items():
            print(f"{name:<32} {measure(partial(get, path), runs)}", flush=True)
        collector = AutoTagCollector(running.autotag, running.app)

        def scrape() -> None:
            [up, *_] = collector.collect()
            assert up.samples[0].value == 1

        print(f"{'metrics':<32} {measure(scrape, runs)}", flush=True)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--database", choices=DATABASES, action="append")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}")
    for kind in options.database or DATABASES:
        for title, states in {"mixed": MIXED, "all failed": FAILED}.items():
            run(kind, title, states, options.jobs, options.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
