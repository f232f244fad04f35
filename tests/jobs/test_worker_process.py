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
from flask_autotag.jobs.worker_output import TerminalProgress, summary
from flask_autotag.runtime.tally import Tally

from ..hosts import ESPRESSO, Host
from ..waiting import wait_for
from .programs import start_worker, worker, write_program, write_slow_program
from .queues import count_states, states, stored, upload_photos

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses Unix signals")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_image_at_hand_is_finished_and_the_rest_handed_back(
    host: Host, tmp_path: Path, number: signal.Signals
) -> None:
    upload_photos(host, 8)
    program = write_slow_program(tmp_path, host, 3, 1.0)
    with start_worker(program, "--processes", "1", stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "loading\n"
        running.send_signal(number)
        told = running.communicate(timeout=30)[1]
    assert running.returncode == 0
    assert "Stopped: 3 tagged." in told
    assert count_states(host) == {"done": 3, "queued": 5}
    assert len(stored(host)) == 3
    assert all(job.crashes == job.failures == 0 for job in host.jobs())


def test_after_the_grace_its_jobs_are_handed_back_uncharged(
    host: Host, tmp_path: Path
) -> None:
    """A hanging child is killed; at most one image was tagged before."""
    upload_photos(host, 4)
    program = write_program(
        tmp_path,
        host,
        before="""
            import os, signal
            from flask_autotag.jobs import worker_process
            from flask_autotag.classification.sandbox import pool
            worker_process.GRACE = 1.0

            class Stopped(pool.ChildProcess):
                asked = 0
                def send(self, *question):
                    Stopped.asked += 1
                    if Stopped.asked == 2:
                        os.kill(self.pid, signal.SIGSTOP)
                        print("hangs", flush=True)
                    super().send(*question)

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
    assert count_states(host).keys() <= {"done", "queued"}
    assert count_states(host)["queued"] >= 3
    assert all(job.crashes == job.failures == 0 for job in host.jobs())


def test_a_second_signal_ends_it_at_once(host: Host, tmp_path: Path) -> None:
    upload_photos(host, 8)
    program = write_slow_program(tmp_path, host, 3, 3600)
    with start_worker(program, "--processes", "1", stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "loading\n"
        running.terminate()
        time.sleep(0.5)
        assert running.poll() is None
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=10)
    assert running.returncode == 128 + signal.SIGINT
    assert count_states(host) == {"running": 8}


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
        # The file exists for a moment before it is written.
        wait_for(lambda: health.exists() and health.read_text())
        assert health.read_text() == f"{running.pid}\n"
        running.terminate()
        running.communicate(timeout=30)


def test_the_health_file_gets_old_when_the_loader_hangs(
    host: Host, tmp_path: Path
) -> None:
    upload_photos(host, 8)
    program = write_slow_program(
        tmp_path,
        host,
        3,
        3600,
        before="""
            from flask_autotag.jobs import leases, worker_process
            leases.LOADING_TIME, worker_process._HEARTBEAT = -1000.0, 0.1
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
