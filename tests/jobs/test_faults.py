"""Whatever is killed when: each job has one end, and its tags are written once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.database import Database
from flask_autotag.jobs import claims
from flask_autotag.jobs.crew import Crew
from flask_autotag.jobs.worker import Worker
from flask_autotag.sandbox import process

from ..hosts import ESPRESSO, ESPRESSO_TAGS, Host, jpeg, make_host
from ..servers import PostgreSQL, own_postgresql
from .programs import start_worker, worker, write_program
from .test_worker import wait_for

#: A host whose leases run out soon.
IMPATIENT = """
from flask_autotag.jobs import claims, crew, leases
claims.LEASE, leases.ROUND, crew.POLL = 3.0, 0.5, 0.2
"""

#: Providers that end badly, when an image is all of one colour.
POISON = """
import ctypes, resource, signal, sys, time
from flask_autotag.providers import tensorflow
from flask_autotag.sandbox import __main__ as child

def classify(self, images, good=tensorflow.TensorFlowProvider.classify):
    colour = images[0].getpixel((0, 0))
    if colour[0] > 200 and colour[1] < 50 and colour[2] < 50:
        ctypes.string_at(0)
    if colour[1] > 100 and colour[0] < 50 and colour[2] < 50:
        time.sleep(3600)
    if colour[2] > 200 and colour[0] < 50 and colour[1] < 50:
        hog = [bytearray(2**26) for _ in range(10**6)]
    return good(self, images)

tensorflow.TensorFlowProvider.classify = classify
child.main()
"""


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with own_postgresql() as running:
        yield running


def fill(host: Host, number: int, image: Path) -> None:
    """Queue *number* jobs of one photo."""
    with host.app.app_context():
        for place in range(number):
            image_uploaded.send(
                host.app, asset=AssetRef("photo", str(place)), image=image
            )


def live(host: Host) -> int:
    with host.app.app_context(), host.db.engine.connect() as connection:
        table = host.models.job.__table__
        count = select(func.count()).where(table.c.state.in_(("queued", "running")))
        return int(connection.scalar(count) or 0)


#: One prediction, and its tags, each once.
ONCE = (1, len(ESPRESSO_TAGS))


def stored(host: Host) -> dict[str, tuple[int, int]]:
    """Count predictions and tags of each asset that has a row."""
    with host.app.app_context(), host.db.engine.connect() as connection:
        asset = host.models.asset.__table__

        def count(table: Any) -> Any:
            same = table.c.asset_id == asset.c.id
            return select(func.count()).where(same).scalar_subquery()

        predictions = count(host.models.prediction.__table__)
        tags = count(host.models.assignment.__table__)
        rows = connection.execute(select(asset.c.asset_id, predictions, tags))
        return {row[0]: (row[1], row[2]) for row in rows}


def make_due(host: Host) -> None:
    """Let the time pass that queued jobs wait for."""
    with host.app.app_context(), host.db.engine.begin() as connection:
        table = host.models.job.__table__
        connection.execute(
            table.update().where(table.c.state == "queued").values(run_at=1)
        )


def test_workers_that_are_killed_lose_and_double_nothing(
    any_host: Host, tmp_path: Path
) -> None:
    fill(any_host, 300, ESPRESSO)
    program = write_program(tmp_path, any_host, before=IMPATIENT)
    chance = random.Random(1)
    running = [start_worker(program, "--processes", "1") for _ in range(2)]
    kills = 0
    end = time.monotonic() + 120
    try:
        while live(any_host):
            assert time.monotonic() < end, Counter(job.state for job in any_host.jobs())
            time.sleep(1.2)
            if kills < 6:
                place = chance.randrange(2)
                running[place].kill()
                running[place].communicate()
                running[place] = start_worker(program, "--processes", "1")
                kills += 1
    finally:
        for each in running:
            each.kill()
            each.communicate()
    assert Counter(job.state for job in any_host.jobs()) == {"done": 300}
    assert stored(any_host) == {str(place): ONCE for place in range(300)}


def sweep_all(host: Host, database: Database) -> bool:
    """Sweep up, and tell whether no job is left with the stopped worker.

    Its threads claimed at different times.
    """
    claims.sweep(database)
    return all(job.state == "queued" for job in host.jobs())


@contextmanager
def ended_at_last(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process if the block raises: a stopped one would wait for ever."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


def test_what_a_stopped_worker_says_after_its_lease_is_dropped(
    any_host: Host, tmp_path: Path
) -> None:
    fill(any_host, 8, ESPRESSO)
    slow = """
        import time
        @autotag.image_loader
        def load(asset, seen=[]):
            seen.append(asset)
            if len(seen) == 4:
                print("loading", flush=True)
                time.sleep(1.0)
            return {path!r}
    """
    fill_program = write_program(
        tmp_path,
        any_host,
        before=IMPATIENT,
        after=slow.replace("{path!r}", repr(str(ESPRESSO))),
    )
    with any_host.app.app_context(), any_host.db.engine.begin() as connection:
        table = any_host.models.job.__table__
        # As of an upload to a storage that only the loader can read.
        connection.execute(table.update().values(path=None))
    stopped = start_worker(fill_program, "--processes", "1", stdout=subprocess.PIPE)
    with stopped, ended_at_last(stopped):
        assert stopped.stdout is not None
        assert stopped.stdout.readline() == "loading\n"
        stopped.send_signal(signal.SIGSTOP)
        any_host.autotag.image_loader(lambda _asset: ESPRESSO)
        with any_host.app.app_context():
            database = any_host.autotag.state_of(any_host.app).database
            wait_for(lambda: sweep_all(any_host, database))
        make_due(any_host)
        state = any_host.autotag.state_of(any_host.app)
        assert Worker(any_host.app, state).drain() == 8
        before = [(job.claims, job.finished_at) for job in any_host.jobs()]
        stopped.send_signal(signal.SIGCONT)
        time.sleep(2.0)
        stopped.terminate()
        told = stopped.communicate()[1]
    assert [(job.claims, job.finished_at) for job in any_host.jobs()] == before
    assert "taken over by another worker" in told or "tagged too late" in told
    assert stored(any_host) == {str(place): ONCE for place in range(8)}
    assert len(any_host.tagged) == 8


def test_a_worker_that_dies_between_tags_and_commit_leaves_no_row(
    any_host: Host, tmp_path: Path
) -> None:
    fill(any_host, 3, ESPRESSO)
    die = """
        import os, signal
        from flask_autotag.jobs import worker

        def store(*arguments, good=worker.store):
            good(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        worker.store = store
    """
    program = write_program(tmp_path, any_host, before=die)
    with worker(program, "--drain", "--processes", "1") as dying:
        dying.communicate()
    assert dying.returncode == -signal.SIGKILL
    assert stored(any_host) == {}
    assert [job.state for job in any_host.jobs()] == ["running"] * 3
    with any_host.app.app_context():
        table = any_host.models.job.__table__
        with any_host.db.engine.begin() as connection:
            connection.execute(table.update().values(run_at=1))
        state = any_host.autotag.state_of(any_host.app)
        claims.sweep(state.database)
        Worker(any_host.app, state).drain()
    assert stored(any_host) == {str(place): ONCE for place in range(3)}


def test_poison_among_good_photos_costs_only_itself(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each kind one: a segfault, a hang, and one that eats all memory."""
    child = tmp_path / "child.py"
    child.write_text(POISON)
    poison_children(monkeypatch, child)
    bad = {"segfault": "#ff0000", "hang": "#008000", "hog": "#0000ff"}
    with make_host(sqlite_url, AUTOTAG_TIMEOUT=4, AUTOTAG_MEMORY_LIMIT=512) as host:
        fill(host, 50, ESPRESSO)
        for name, colour in bad.items():
            image_uploaded.send(
                host.app, asset=AssetRef("bad", name), image=jpeg(colour)
            )
        with host.app.app_context():
            for place in range(50, 100):
                asset = AssetRef("photo", str(place))
                image_uploaded.send(host.app, asset=asset, image=ESPRESSO)
        state = host.autotag.state_of(host.app)
        for _ in range(3):
            crew = Crew(host.app, state, threads=2, drain=True)
            crew.start()
            assert crew.join(120)
            make_due(host)
        assert live(host) == 0
        ended = {
            name: {job.asset_id: job for job in host.jobs() if job.asset_type == name}
            for name in ("photo", "bad")
        }
    assert Counter(job.state for job in ended["photo"].values()) == {"done": 100}
    assert all(job.crashes == 0 for job in ended["photo"].values())
    assert {
        name: (job.state, job.crashes, job.error_code)
        for name, job in ended["bad"].items()
    } == {
        "segfault": ("quarantined", 3, "classifier_crashed"),
        "hang": ("quarantined", 3, "classifier_timeout"),
        "hog": ("quarantined", 3, "classifier_memory"),
    }
    assert {failure["code"] for failure in host.failures} == {
        "classifier_crashed",
        "classifier_timeout",
        "classifier_memory",
    }


def poison_children(monkeypatch: pytest.MonkeyPatch, program: Path) -> None:
    """Let children run *program*, which ends in the real one."""
    popen = subprocess.Popen

    def other(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
        limits = arguments[arguments.index("-m") + 2 :]
        return popen([sys.executable, str(program), *limits], **options)

    monkeypatch.setattr(process.subprocess, "Popen", other)


def test_the_host_writes_while_four_workers_run(host: Host, tmp_path: Path) -> None:
    """On one SQLite file, in the journal mode that it has by default."""
    fill(host, 40, ESPRESSO)
    program = write_program(tmp_path, host)
    running = [start_worker(program, "--processes", "1") for _ in range(4)]
    locked = 0
    try:
        with host.app.app_context():
            for number in range(800):
                try:
                    host.db.session.execute(select(func.count(host.Photo.id)))
                    host.add_photo(f"{number}.jpg")
                    image_uploaded.send(
                        host.app, asset=AssetRef("upload", str(number)), image=ESPRESSO
                    )
                except OperationalError:
                    locked += 1
                    host.db.session.rollback()
    finally:
        for each in running:
            each.terminate()
        told = [each.communicate()[1] for each in running]
    assert locked == 0
    assert host.failures == []
    assert all("locked" not in text for text in told)
    assert [each.returncode for each in running] == [0] * 4


def test_a_database_that_is_restarted_ten_times_costs_nothing(
    server: PostgreSQL, tmp_path: Path
) -> None:
    with make_host(server.url) as host:
        fill(host, 120, ESPRESSO)
        program = write_program(tmp_path, host, before=IMPATIENT)
        with worker(program, "--processes", "2") as running:
            wait_for(lambda: stored(host))
            for number in range(10):
                server.restart("immediate" if number % 2 else "fast")
                with host.app.app_context():
                    host.db.engine.dispose()
                time.sleep(0.3)
            wait_for(lambda: not live(host), 120)
            running.terminate()
            running.communicate()
        assert Counter(job.state for job in host.jobs()) == {"done": 120}
        assert stored(host) == {str(place): ONCE for place in range(120)}


def test_a_deadlock_is_tried_again(any_host: Host) -> None:
    """Two transactions that take two rows in opposite order."""
    with any_host.app.app_context():
        any_host.add_photo("1"), any_host.add_photo("2")
        database = any_host.autotag.state_of(any_host.app).database
        both = threading.Barrier(2)
        tries: list[int] = []

    def change(first: int, second: int) -> None:
        table = any_host.Photo.__table__

        def work(session: Any) -> None:
            tries.append(first)
            session.execute(table.update().where(table.c.id == first).values(path="x"))
            if len(tries) <= 2 and session.get_bind().dialect.name != "sqlite":
                both.wait(10)
            session.execute(table.update().where(table.c.id == second).values(path="y"))

        with any_host.app.app_context():
            database.transact(work)

    threads = [threading.Thread(target=change, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if database_is_sqlite(any_host):
        assert len(tries) == 2
    else:
        # The one that was chosen may be chosen again, before the other wakes up.
        assert len(tries) >= 3
    assert set(tries) == {1, 2}
    with any_host.app.app_context():
        paths = any_host.db.session.scalars(select(any_host.Photo.path)).all()
    # All that the later one wrote.
    assert sorted(paths) == ["x", "y"]


def database_is_sqlite(host: Host) -> bool:
    with host.app.app_context():
        return bool(host.db.engine.dialect.name == "sqlite")


def test_an_error_that_cannot_pass_is_raised_at_once(any_host: Host) -> None:
    tries = []

    def work(session: Any) -> None:
        tries.append(1)
        session.execute(text("SELECT * FROM no_such_table"))

    with any_host.app.app_context():
        database = any_host.autotag.state_of(any_host.app).database
        with pytest.raises(Exception, match="no_such_table"):
            database.transact(work)
    assert len(tries) == 1
