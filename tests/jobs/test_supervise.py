"""The worker command: signals, logs, its health file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.jobs.progress import TerminalProgress, summary
from flask_autotag.tally import Tally

from ..hosts import ESPRESSO, Host
from .programs import start_worker, worker, write_program
from .test_faults import fill, stored
from .test_worker import wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses Unix signals")

#: A loader that says when it is asked, and takes its time for the third image.
SLOW = """
import time
@autotag.image_loader
def load(asset, seen=[]):
    seen.append(asset)
    if len(seen) == 3:
        print("loading", flush=True)
        time.sleep({seconds})
    return {image!r}
"""


def slow_program(host: Host, folder: Path, seconds: float, before: str = "") -> Path:
    """A worker that hangs in the host's loader at the third of eight images."""
    fill(host, 8, ESPRESSO)
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.execute(host.models.job.__table__.update().values(path=None))
    after = SLOW.format(seconds=seconds, image=str(ESPRESSO))
    return write_program(folder, host, before=before, after=after)


def states(host: Host) -> dict[str, int]:
    found: dict[str, int] = {}
    for job in host.jobs():
        found[job.state] = found.get(job.state, 0) + 1
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_image_at_hand_is_finished_and_the_rest_handed_back(
    any_host: Host, tmp_path: Path, number: signal.Signals
) -> None:
    program = slow_program(any_host, tmp_path, 1.0)
    with start_worker(program, "--processes", "1", stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "loading\n"
        running.send_signal(number)
        told = running.communicate(timeout=30)[1]
    assert running.returncode == 0
    assert "Stopped: 3 tagged." in told
    assert states(any_host) == {"done": 3, "queued": 5}
    assert len(stored(any_host)) == 3
    assert all(job.crashes == job.failures == 0 for job in any_host.jobs())


def test_after_the_grace_its_jobs_are_handed_back_uncharged(
    host: Host, tmp_path: Path
) -> None:
    """A child that hangs is killed; one image was tagged before it."""
    fill(host, 4, ESPRESSO)
    program = write_program(
        tmp_path,
        host,
        before="""
            import os, signal
            from flask_autotag.jobs import supervise
            from flask_autotag.sandbox import pool
            supervise.GRACE = 1.0

            class Stopped(pool.ChildProcess):
                asked = 0
                def send(self, request, data):
                    super().send(request, data)
                    Stopped.asked += 1
                    if Stopped.asked == 2:
                        os.kill(self._process.pid, signal.SIGSTOP)
                        print("hangs", flush=True)

            pool.ChildProcess = Stopped
        """,
    )
    with start_worker(program, "--processes", "1", stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "hangs\n"
        running.terminate()
        told = running.communicate(timeout=30)[1]
    assert running.returncode == 0
    assert "take too long; their jobs are handed back" in told
    assert "running" not in states(host)
    assert states(host)["queued"] >= 3
    assert all(job.crashes == job.failures == 0 for job in host.jobs())


def test_a_second_signal_ends_it_at_once(host: Host, tmp_path: Path) -> None:
    program = slow_program(host, tmp_path, 3600)
    with start_worker(program, "--processes", "1", stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "loading\n"
        running.terminate()
        time.sleep(0.5)
        assert running.poll() is None
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=10)
    assert running.returncode == 128 + signal.SIGINT
    assert states(host) == {"running": 8}


def test_a_log_in_json(host: Host, tmp_path: Path) -> None:
    image_uploaded.send(host.app, asset=AssetRef("photo", "1"), image=ESPRESSO)
    image_uploaded.send(host.app, asset=AssetRef("photo", "2"), image=b"no image")
    with worker(write_program(tmp_path, host), "--drain", "--log", "json") as running:
        told = running.communicate(timeout=60)[1]
    entries = [json.loads(line) for line in told.splitlines()]
    assert {"time", "level", "logger", "message"} <= entries[0].keys()
    assert (entries[0]["level"], entries[-1]["message"]) == (
        "info",
        "Stopped: 1 tagged, 1 failed.",
    )
    [warning] = [entry for entry in entries if entry["level"] == "warning"]
    assert warning["message"].startswith("photo 2 was not tagged: The file is not")


def test_the_health_file_is_written_while_all_is_well(
    host: Host, tmp_path: Path
) -> None:
    health = tmp_path / "health"
    program = write_program(tmp_path, host)
    with worker(program, "--health-file", str(health)) as running:
        # There for a moment before it is written to.
        wait_for(lambda: health.exists() and health.read_text())
        assert health.read_text() == f"{running.pid}\n"
        running.terminate()
        running.communicate(timeout=30)


def test_the_health_file_gets_old_when_the_loader_hangs(
    host: Host, tmp_path: Path
) -> None:
    program = slow_program(
        host,
        tmp_path,
        3600,
        before="""
            from flask_autotag.jobs import leases, supervise
            leases.LOADING, supervise._HEARTBEAT = -1000.0, 0.1
        """,
    )
    health = tmp_path / "health"
    with worker(program, "--processes", "1", "--health-file", str(health)):
        wait_for(lambda: "running" in states(host))
        time.sleep(1.0)
        before = health.stat().st_mtime if health.exists() else 0.0
        time.sleep(1.0)
        after = health.stat().st_mtime if health.exists() else 0.0
        assert before == after


def test_draining_without_tables_is_an_error(host: Host, tmp_path: Path) -> None:
    with host.app.app_context():
        host.models.metadata.drop_all(host.db.engine)
    with worker(write_program(tmp_path, host), "--drain") as running:
        told = running.communicate(timeout=60)[1]
    assert running.returncode == 1
    assert "no such table: autotag_job" in told


def test_the_line_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tally, progress = Tally(), TerminalProgress()
    tally.add("done", number=1234)
    tally.add("failed")
    tally.add("queued", number=2)
    progress.end(tally)
    assert summary(tally) == "1,234 tagged, 2 to be tried again, 1 failed"
    line = capsys.readouterr().out
    assert line.startswith("\r1,234 tagged, 2 to be tried again, 1 failed · ")
    assert line.endswith(" images/s\nStopped.\n")


def test_a_terminal_gets_the_line_and_no_log(host: Host, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    image_uploaded.send(host.app, asset=AssetRef("photo", "1"), image=ESPRESSO)
    ours, theirs = pty.openpty()
    with start_worker(
        write_program(tmp_path, host), "--drain", stdout=theirs
    ) as running:
        told = running.communicate(timeout=60)[1]
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert told == ""
    assert "\r1 tagged · " in shown
    assert shown.endswith("Stopped.\r\n")
