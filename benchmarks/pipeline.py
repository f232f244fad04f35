"""Measures the way from the signal to stored tags: rate, upload time, long queues.

The rate of ``flask autotag worker --processes 2`` is compared with that of two bare
processes, which decode and classify the same photos, and with that of a worker whose
children are not confined, in turn in one run. The time that the signal adds to an
upload is measured on requests with and without it, in turn.

::

    python benchmarks/pipeline.py FOLDER-OF-PHOTOS [--database sqlite]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from hosts import DATABASES, Host, database, host, machine
from sqlalchemy import func, select

from flask_autotag import AutoTag, image_uploaded
from flask_autotag.jobs import claims, outcomes

ROUNDS, JOBS, UPLOADS = 3, 1000, 1000
QUEUES = (1_000, 10_000, 100_000)

UNCONFINED = Path(__file__).parent / "unconfined"

BARE = """
import sys, time
from pathlib import Path
from flask_autotag.classification.decode import decode
from flask_autotag.providers.tensorflow.provider import TensorFlowProvider

paths = sys.argv[2:]
provider = TensorFlowProvider()
provider.classify([decode(Path(paths[0]).read_bytes(), provider.side)])
start = time.time()
for place in range(int(sys.argv[1])):
    data = Path(paths[place % len(paths)]).read_bytes()
    provider.classify([decode(data, provider.side)])
print(start, time.time())
"""


def bare_rate(photos: list[Path]) -> float:
    """Decode and classify in two processes at once, without a queue.

    :return: images per second of both together.
    """
    command = [sys.executable, "-c", BARE, str(JOBS // 2), *map(str, photos)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    times = [[float(word) for word in each.communicate()[0].split()] for each in both]
    return sum(JOBS // 2 / (end - start) for start, end in times)


def worker_rate(made: Host, photos: list[Path], *paths: Path) -> float:
    """Let one worker with two children drain the queue.

    :param paths: additional folders for Python's modules.
    :return: images per second between the first and the last stored tags.
    """
    made.clear()
    made.fill(photos, JOBS)
    if made.worker("--processes", "2", "--drain", paths=paths).wait():
        raise SystemExit((made.folder / "log").read_text())
    if made.states() != {"done": JOBS}:
        raise SystemExit(f"not all jobs are done: {made.states()}")
    return stored_rate(made)


def stored_rate(made: Host) -> float:
    """Return the images per second between the first and the last stored tags."""
    with made.app.app_context():
        job = made.autotag.models.job.__table__
        finished = job.c.finished_at
        counted = select(func.min(finished), func.max(finished), func.count(finished))
        first, last, done = made.db.session.execute(
            counted.where(job.c.lease_owner != "benchmark")
        ).one()
    return float(done / (last - first))


def show_rate(kind: str, photos: list[Path], folder: Path) -> None:
    """Print the rates, and the ratio of each round."""
    with host(kind, folder) as made:
        rounds = [
            (
                bare_rate(photos),
                worker_rate(made, photos),
                worker_rate(made, photos, UNCONFINED),
            )
            for _ in range(ROUNDS)
        ]
    bare = statistics.median(each[0] for each in rounds)
    ours = statistics.median(each[1] for each in rounds)
    ratio = statistics.median(each[1] / each[0] for each in rounds)
    price = statistics.median(each[1] / each[2] for each in rounds)
    print(
        f"{kind}: bare {bare:.0f}/s, signal to tags {ours:.0f}/s, ratio {ratio:.2f};"
        f" confined to not confined {price:.3f}"
    )


def show_signal(kind: str, photo: Path, folder: Path) -> None:
    """Print the time that the signal adds to requests that commit an upload."""
    with database(kind, folder) as url:
        app = Flask("host")
        app.config.update(SQLALCHEMY_DATABASE_URI=url, AUTOTAG_RUNNER="none")
        db = SQLAlchemy(app)
        AutoTag(app)

        class Photo(db.Model):  # type: ignore[name-defined]
            id = db.Column(db.Integer, primary_key=True)
            path = db.Column(db.String(500))

        def upload(send: bool) -> str:
            saved = Photo(path=str(photo))
            db.session.add(saved)
            if send:
                image_uploaded.send(app, asset=saved, image=photo)
            db.session.commit()
            return ""

        app.add_url_rule("/plain", "plain", lambda: upload(False))
        app.add_url_rule("/tagged", "tagged", lambda: upload(True))
        with app.app_context():
            db.create_all()
        client = app.test_client()
        times = interleave(lambda: client.get("/plain"), lambda: client.get("/tagged"))
        with app.app_context():
            db.engine.dispose()
    plain, tagged = (statistics.quantiles(each, n=100) for each in times)
    print(
        f"{kind}: upload {plain[49] * 1e3:.2f} ms; the signal adds p50"
        f" {(tagged[49] - plain[49]) * 1e3:.2f} ms, p99"
        f" {(tagged[98] - plain[98]) * 1e3:.2f} ms"
    )


def interleave(*acts: Callable[[], object]) -> list[list[float]]:
    """Time each of *acts* in turn, in seconds."""
    times: list[list[float]] = [[] for _ in acts]
    for number, (act, found) in itertools.product(
        range(UPLOADS + 50), zip(acts, times, strict=True)
    ):
        start = time.perf_counter()
        act()
        if number >= 50:
            found.append(time.perf_counter() - start)
    return times


def show_queues(kind: str, photos: list[Path], folder: Path) -> None:
    """Print the rate and the memory for queues of different lengths."""
    with host(kind, folder) as made:
        for length in QUEUES:
            made.clear()
            made.fill(photos, length)
            empty = no_op(made)
            with made.worker("--processes", "2") as running:
                start = time.monotonic()
                while time.monotonic() - start < 12 and made.states().get("queued"):
                    time.sleep(0.2)
                memory = peak(running.pid)
                running.terminate()
            rate = stored_rate(made)
            print(
                f"{kind}: {length:>7,} queued: claim and end {empty * 1e3:.2f} ms a"
                f" job; worker {rate:.0f}/s, {memory:.0f} MB"
            )


def no_op(made: Host) -> float:
    """Claim and end jobs, without their images.

    :return: seconds per job.
    """
    with made.app.app_context():
        found = made.autotag.state_of(made.app).database
        start, ended = time.perf_counter(), 0
        for _ in range(25):
            jobs = claims.claim(found, 16, "benchmark")
            with found.begin() as session:
                outcomes.finish(session, found.models, jobs)
            ended += len(jobs)
        return (time.perf_counter() - start) / ended


def peak(pid: int) -> float:
    """Return the peak memory of a worker without its children, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1000


def main() -> None:
    """Run all parts on the chosen databases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--database", choices=DATABASES, action="append")
    options = parser.parse_args()
    photos = sorted(
        path.resolve()
        for path in options.photos.iterdir()
        if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")
    )
    print(machine())
    for part in (show_rate, show_signal, show_queues):
        for kind in options.database or DATABASES:
            with tempfile.TemporaryDirectory() as folder:
                given = photos[0] if part is show_signal else photos
                part(kind, given, Path(folder))  # type: ignore[operator]


if __name__ == "__main__":
    main()
