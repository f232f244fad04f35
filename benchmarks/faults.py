"""Kills workers while they run, and counts lost, doubled and half-written jobs.

::

    python benchmarks/faults.py [--database postgresql] [--jobs 10000] [--workers 4]

Then one of two workers, with leases of the default length, is killed once. The
benchmark measures how long its images wait.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from hosts import DATABASES, Host, host, machine
from PIL import Image
from sqlalchemy import func, select

#: Shorter leases: the default is a minute, for which the run would wait at the end.
IMPATIENT = """
from flask_autotag.jobs import claims, leases, worker_threads
claims.LEASE, leases.RENEW_INTERVAL, worker_threads.POLL = 6.0, 1.0, 0.5
"""


def small_photos(folder: Path) -> list[Path]:
    """Make small copies of the example's photos."""
    examples = Path(__file__).parent.parent / "example_app" / "photos"
    paths = []
    for photo in sorted(examples.glob("*.jpg")):
        with Image.open(photo) as image:
            image.thumbnail((96, 96))
            paths.append(folder / photo.name)
            image.convert("RGB").save(paths[-1])
    return paths


def run(made: Host, jobs: int, workers: int, every: float, seed: int) -> int:
    """Run the queue while workers are killed.

    :return: the number of killed workers.
    """
    chance, kills = random.Random(seed), 0
    running = [made.worker("--processes", "1") for _ in range(workers)]
    try:
        while sum(made.states().get(state, 0) for state in ("queued", "running")):
            time.sleep(every)
            place = chance.randrange(workers)
            running[place].kill()
            running[place].wait()
            running[place] = made.worker("--processes", "1")
            kills += 1
    finally:
        for each in running:
            each.kill()
            each.wait()
    return kills


#: Images that are running or waiting when one of two workers is killed.
FEW = 120


def take_over(made: Host) -> float:
    """Kill one of two workers while both are running.

    :return: the seconds until the last of its images was tagged.
    """
    with made.app.app_context():
        job = made.autotag.models.job.__table__

    def claimed(pid: int) -> set[int]:
        with made.app.app_context(), made.db.engine.connect() as connection:
            mine = select(job.c.id).where(
                job.c.state == "running", job.c.lease_owner.endswith(f":{pid}")
            )
            return set(connection.scalars(mine))

    def left(ids: set[int]) -> int:
        with made.app.app_context(), made.db.engine.connect() as connection:
            live = select(func.count()).where(job.c.id.in_(ids), job.c.state != "done")
            return connection.scalar(live) or 0

    killed, other = [made.worker("--processes", "1") for _ in range(2)]
    try:
        while not claimed(killed.pid) or not claimed(other.pid):
            time.sleep(0.02)
        killed.kill()
        killed.wait()
        start, lost = time.monotonic(), claimed(killed.pid)
        while left(lost):
            time.sleep(0.05)
        return time.monotonic() - start
    finally:
        for each in (killed, other):
            each.kill()
            each.wait()


def count(made: Host, jobs: int) -> tuple[int, int, int]:
    """Count lost, doubled and half-written jobs."""
    with made.app.app_context(), made.db.engine.connect() as connection:
        found = made.autotag.models
        asset, prediction = found.asset.__table__, found.prediction.__table__
        assignment = found.assignment.__table__
        assets = connection.scalar(select(func.count()).select_from(asset)) or 0
        names = connection.scalar(select(func.count(func.distinct(asset.c.asset_id))))
        with_prediction = connection.scalar(
            select(func.count(func.distinct(prediction.c.asset_id)))
        )
        predictions = connection.scalar(select(func.count()).select_from(prediction))
        # The same photo has the same tags in every job.
        tags = Counter(
            dict(
                connection.execute(
                    select(assignment.c.asset_id, func.count()).group_by(
                        assignment.c.asset_id
                    )
                ).all()
            )
        )
        photo = dict(connection.execute(select(asset.c.id, asset.c.sha256)).all())
    by_photo: dict[str, set[int]] = {}
    for row, sha256 in photo.items():
        by_photo.setdefault(sha256, set()).add(tags[row])
    half = (assets - (with_prediction or 0)) + sum(
        len(numbers) - 1 for numbers in by_photo.values()
    )
    doubled = (assets - (names or 0)) + ((predictions or 0) - assets)
    return jobs - assets, doubled, half


def main() -> None:
    """Run on the chosen databases; fail if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=DATABASES, action="append")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(machine())
    failed = False
    for kind in options.database or DATABASES:
        with (
            tempfile.TemporaryDirectory() as name,
            host(kind, Path(name), IMPATIENT) as made,
        ):
            made.fill(small_photos(Path(name)), options.jobs)
            start = time.monotonic()
            kills = run(
                made, options.jobs, options.workers, options.every, options.seed
            )
            seconds = time.monotonic() - start
            lost, doubled, half = count(made, options.jobs)
            states = made.states()
            failed |= any((lost, doubled, half)) or states != {"done": options.jobs}
            print(
                f"{kind}: {options.jobs:,} jobs, {kills} kills, {seconds:.0f} s:"
                f" {lost} lost, {doubled} doubled, {half} half-written; {states}",
                flush=True,
            )
        with (
            tempfile.TemporaryDirectory() as name,
            host(kind, Path(name)) as made,
        ):
            made.fill(small_photos(Path(name)), FEW)
            seconds = take_over(made)
            print(
                f"{kind}: one of two workers killed: the last of its images tagged"
                f" after {seconds:.1f} s",
                flush=True,
            )
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
