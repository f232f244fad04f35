"""Killed processes: each job still ends once, and its tags are written once."""

from __future__ import annotations

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
from flask_autotag.classification.sandbox import child_process
from flask_autotag.jobs import claims
from flask_autotag.jobs.worker import Worker
from flask_autotag.jobs.worker_threads import WorkerThreads

from ..hosts import ESPRESSO, Host, jpeg, make_host
from ..servers import PostgreSQL, own_postgresql
from ..waiting import wait_for
from .programs import (
    HURRIED,
    IMPATIENT,
    start_worker,
    worker,
    write_program,
    write_slow_program,
)
from .queues import (
    ONCE,
    count_live,
    count_states,
    database,
    leave_to_loader,
    make_due,
    states,
    stored,
    upload_photos,
)

#: Providers that crash, hang or use up memory for images of a single colour.
POISON = """
import ctypes, resource, signal, sys, time
from flask_autotag.providers.tensorflow import provider
from flask_autotag.classification.sandbox import __main__ as child

def classify(self, images, good=provider.TensorFlowProvider.classify):
    colour = images[0].getpixel((0, 0))
    if colour[0] > 200 and colour[1] < 50 and colour[2] < 50:
        ctypes.string_at(0)
    if colour[1] > 100 and colour[0] < 50 and colour[2] < 50:
        time.sleep(3600)
    if colour[2] > 200 and colour[0] < 50 and colour[1] < 50:
        hog = [bytearray(2**26) for _ in range(10**6)]
    return good(self, images)

provider.TensorFlowProvider.classify = classify
child.main()
"""

#: Images that three kills can all meet: a thread claims a suspect alone, and a worker
#: with one child process has two threads.
MOST_BLAMED = 2


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with own_postgresql() as running:
        yield running


def test_workers_that_are_killed_lose_and_double_nothing(
    any_host: Host, tmp_path: Path
) -> None:
    upload_photos(any_host, 100)
    program = write_program(tmp_path, any_host, before=HURRIED)
    running = [start_worker(program, "--processes", "1") for _ in range(2)]
    try:
        for live in (85, 55, 25):
            wait_for(lambda live=live: count_live(any_host) <= live, 60)
            killed = running.pop(0)
            killed.kill()
            killed.communicate()
            running.append(start_worker(program, "--processes", "1"))
        wait_for(lambda: not count_live(any_host), 60)
    finally:
        for each in running:
            each.kill()
            each.communicate()
    # A slow machine may be at the same image at each of the three kills.
    blamed = {job.asset_id for job in any_host.jobs() if job.crashes == claims.CRASHES}
    assert len(blamed) <= MOST_BLAMED
    assert count_states(any_host) == Counter(
        done=100 - len(blamed), quarantined=len(blamed)
    )
    assert stored(any_host) == {
        str(place): ONCE for place in range(100) if str(place) not in blamed
    }


def test_another_worker_on_the_machine_takes_over_at_once(
    host: Host, tmp_path: Path
) -> None:
    """Its leases last a minute, the default."""
    upload_photos(host, 40)
    loader = f"""
        import time
        @autotag.image_loader
        def load(asset):
            time.sleep(0.05)
            return {str(ESPRESSO)!r}
    """
    program = write_program(tmp_path, host, after=loader)
    leave_to_loader(host)
    with (
        worker(program, "--processes", "1") as killed,
        worker(program, "--processes", "1") as other,
    ):
        owner = f":{killed.pid}"

        def is_at_work() -> bool:
            return any(
                job.state == "running" and job.lease_owner.endswith(owner)
                for job in host.jobs()
            )

        wait_for(is_at_work)
        killed.kill()
        killed.communicate()
        wait_for(lambda: not count_live(host), 120)
        other.terminate()
        told = other.communicate()[1]
    assert "jobs of dead workers were queued again" in told
    assert count_states(host) == {"done": 40}
    assert stored(host) == {str(place): ONCE for place in range(40)}


def requeue_all(host: Host) -> bool:
    """Requeue expired jobs; return whether the stopped worker has none left.

    Its threads claimed their jobs at different times.
    """
    claims.requeue_expired(database(host))
    return set(states(host)) == {"queued"}


@contextmanager
def ended_at_last(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process if the block raises: a stopped process would never end."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


def test_what_a_stopped_worker_says_after_its_lease_is_dropped(
    any_host: Host, tmp_path: Path
) -> None:
    upload_photos(any_host, 8)
    program = write_slow_program(tmp_path, any_host, 4, 1.0, IMPATIENT)
    stopped = start_worker(program, "--processes", "1", stdout=subprocess.PIPE)
    with stopped, ended_at_last(stopped):
        assert stopped.stdout is not None
        assert stopped.stdout.readline() == "loading\n"
        stopped.send_signal(signal.SIGSTOP)
        any_host.autotag.image_loader(lambda _asset: ESPRESSO)
        with any_host.app.app_context():
            wait_for(lambda: requeue_all(any_host))
        make_due(any_host)
        state = any_host.autotag.state_of(any_host.app)
        assert Worker(any_host.app, state).drain() == 8
        before = [(job.claims, job.finished_at) for job in any_host.jobs()]
        stopped.send_signal(signal.SIGCONT)
        # It finishes its images before it ends.
        stopped.terminate()
        told = stopped.communicate()[1]
    assert [(job.claims, job.finished_at) for job in any_host.jobs()] == before
    assert "taken over by another worker" in told or "tagged too late" in told
    assert stored(any_host) == {str(place): ONCE for place in range(8)}
    assert len(any_host.tagged) == 8


def test_a_worker_that_dies_between_tags_and_commit_leaves_no_row(
    any_host: Host, tmp_path: Path
) -> None:
    upload_photos(any_host, 3)
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
    # On a busy machine, an image that took too long is queued again.
    assert set(states(any_host)) <= {"queued", "running"}
    make_due(any_host)
    with any_host.app.app_context():
        claims.requeue_expired(database(any_host))
    Worker(any_host.app, any_host.autotag.state_of(any_host.app)).drain()
    assert stored(any_host) == {str(place): ONCE for place in range(3)}


@pytest.mark.usefixtures("own_pools")
def test_poison_among_good_photos_costs_only_itself(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segmentation fault, a hang, and an image that uses up memory."""
    child = tmp_path / "child.py"
    child.write_text(POISON)
    poison_children(monkeypatch, child)
    bad = {"segfault": "#ff0000", "hang": "#008000", "hog": "#0000ff"}
    with make_host(sqlite_url, AUTOTAG_TIMEOUT=8, AUTOTAG_MEMORY_LIMIT=512) as host:
        upload_photos(host, 20)
        for name, colour in bad.items():
            image_uploaded.send(
                host.app, asset=AssetRef("bad", name), image=jpeg(colour)
            )
        with host.app.app_context():
            for place in range(20, 40):
                asset = AssetRef("photo", str(place))
                image_uploaded.send(host.app, asset=asset, image=ESPRESSO)
        state = host.autotag.state_of(host.app)
        for _ in range(3):
            threads = WorkerThreads(host.app, state, threads=2, drain=True)
            threads.start()
            assert threads.join(240)
            make_due(host)
        assert count_live(host) == 0
        ended = {
            name: {job.asset_id: job for job in host.jobs() if job.asset_type == name}
            for name in ("photo", "bad")
        }
    assert Counter(job.state for job in ended["photo"].values()) == {"done": 40}
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
    """Start *program* in child processes, before the real child."""
    popen = subprocess.Popen

    def other(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
        limits = arguments[arguments.index("-m") + 2 :]
        return popen([sys.executable, str(program), *limits], **options)

    monkeypatch.setattr(child_process.subprocess, "Popen", other)


def test_the_host_writes_while_four_workers_run(host: Host, tmp_path: Path) -> None:
    """SQLite is in its default journal mode."""
    upload_photos(host, 40)
    program = write_program(tmp_path, host)
    running = [start_worker(program, "--processes", "1") for _ in range(4)]
    locked = 0
    try:
        wait_for(lambda: stored(host), 90)
        with host.app.app_context():
            for number in range(200):
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


def test_a_database_that_is_restarted_four_times_costs_nothing(
    server: PostgreSQL, tmp_path: Path
) -> None:
    with make_host(server.url) as host:
        upload_photos(host, 120)
        program = write_program(tmp_path, host, before=HURRIED)
        with worker(program, "--processes", "2") as running:
            wait_for(lambda: stored(host))
            for number in range(4):
                server.restart("immediate" if number % 2 else "fast")
                with host.app.app_context():
                    host.db.engine.dispose()
                time.sleep(0.3)
            wait_for(lambda: not count_live(host), 120)
            running.terminate()
            running.communicate()
        assert count_states(host) == {"done": 120}
        assert stored(host) == {str(place): ONCE for place in range(120)}


def test_a_deadlock_is_tried_again(any_host: Host) -> None:
    """Two transactions that lock two rows in opposite order."""
    with any_host.app.app_context():
        any_host.add_photo("1"), any_host.add_photo("2")
        is_sqlite = database(any_host).engine.dialect.name == "sqlite"
    both = threading.Barrier(2)
    tries: list[int] = []

    def change(first: int, second: int) -> None:
        table = any_host.Photo.__table__

        def work(session: Any) -> None:
            tries.append(first)
            session.execute(table.update().where(table.c.id == first).values(path="x"))
            if len(tries) <= 2 and not is_sqlite:
                both.wait(10)
            session.execute(table.update().where(table.c.id == second).values(path="y"))

        with any_host.app.app_context():
            database(any_host).transact(work)

    threads = [threading.Thread(target=change, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if is_sqlite:
        assert len(tries) == 2
    else:
        # The same transaction may be the victim again, before the other wakes up.
        assert len(tries) >= 3
    assert set(tries) == {1, 2}
    with any_host.app.app_context():
        paths = any_host.db.session.scalars(select(any_host.Photo.path)).all()
    # All writes of the later transaction.
    assert sorted(paths) == ["x", "y"]


def test_an_error_that_cannot_pass_is_raised_at_once(any_host: Host) -> None:
    tries = []

    def work(session: Any) -> None:
        tries.append(1)
        session.execute(text("SELECT * FROM no_such_table"))

    with (
        any_host.app.app_context(),
        pytest.raises(Exception, match="no_such_table"),
    ):
        database(any_host).transact(work)
    assert len(tries) == 1
