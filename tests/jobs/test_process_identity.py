"""Dead processes, on this machine and in its containers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from flask_autotag.jobs import claims, process_identity
from flask_autotag.jobs.process_identity import Process, is_dead, this_process

from ..hosts import Host
from .queues import database, enqueue, finish, make_due, states, take

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/ns/pid"), reason="no /proc: leases run out instead"
)

TELL = (
    "from flask_autotag.jobs.process_identity import this_process;"
    " print(this_process())"
)


def here() -> Process:
    found = this_process()
    assert found is not None
    return found


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], Process]]:
    """Another process and its identity."""
    waits = f"{TELL}; import sys; sys.stdout.flush(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", waits],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        yield running, Process.parse(running.stdout.readline().strip())
        running.kill()


def test_a_process_knows_itself() -> None:
    assert here().pid == os.getpid()
    assert Process.parse(str(here())) == here()
    assert len(str(here())) <= 100
    assert not is_dead(here(), here())


def test_who_was_killed_is_dead_before_anybody_has_waited(
    other: tuple[subprocess.Popen[str], Process],
) -> None:
    running, process = other
    assert not is_dead(process, here())
    running.kill()
    # Not reaped: the first process of a container may never do that.
    os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(process, here())
    running.wait()
    assert is_dead(process, here())


def test_a_number_that_another_process_has_got_is_no_life() -> None:
    assert is_dead(replace(here(), start=here().start - 1), here())


def test_nothing_is_known_of_other_namespaces() -> None:
    gone = replace(here(), pid=2**22 + 1)
    assert is_dead(gone, here())
    boot, namespace = gone.namespace.split(":")
    for elsewhere in (f"{boot}:{int(namespace) + 1}", f"another-boot:{namespace}"):
        assert not is_dead(replace(gone, namespace=elsewhere), here())


def test_a_hidden_process_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    process = here()
    monkeypatch.setattr(
        process_identity, "_PROC", process_identity._PROC / "no" / "such"
    )
    assert this_process() is None
    assert not is_dead(replace(process, start=1), process)


def leave(host: Host, *owners: Process | None) -> None:
    """Let each process claim one job."""
    for number, owner in enumerate(owners):
        enqueue(host, number)
        claims.claim(database(host), 1, "same:1", process=owner)


def test_jobs_of_the_dead_are_taken_over_at_once(any_host: Host) -> None:
    dead = replace(here(), start=here().start - 1)
    boot, namespace = dead.namespace.split(":")
    # A container with the same host name and the same PIDs.
    container = replace(dead, namespace=f"{boot}:{int(namespace) + 1}")
    with any_host.app.app_context():
        leave(any_host, dead, here(), container, None)
        assert claims.requeue_dead(database(any_host)) == 1
        assert states(any_host) == ["queued", "running", "running", "running"]
        [again] = take(any_host)
        assert (again.asset.id, again.crashes) == ("0", 1)
        assert claims.requeue_dead(database(any_host)) == 0
        assert finish(any_host, again)


def test_an_image_that_kills_three_processes_is_quarantined(host: Host) -> None:
    dead = replace(here(), start=here().start - 1)
    with host.app.app_context():
        enqueue(host, 1)
        for _ in range(3):
            assert claims.claim(database(host), 1, "", process=dead)
            assert claims.requeue_dead(database(host)) == 1
            make_due(host)
    assert states(host) == ["quarantined"]


def test_a_thread_of_a_live_process_keeps_its_jobs(host: Host) -> None:
    def claim() -> None:
        with host.app.app_context():
            leave(host, this_process())

    thread = threading.Thread(target=claim)
    thread.start()
    thread.join()
    with host.app.app_context():
        assert claims.requeue_dead(database(host)) == 0
