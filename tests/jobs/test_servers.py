"""The embedded thread under the servers that hosts use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from ..hosts import ESPRESSO, Host
from ..servers import free_port
from ..waiting import wait_for
from .programs import write_program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses gunicorn")

UPLOAD = f"""
import os
from flask import request

@app.post("/")
def upload():
    asset = AssetRef("photo", request.args["id"])
    image_uploaded.send(app, asset=asset, image={str(ESPRESSO)!r})
    return str(os.getpid())

@app.get("/")
def hello():
    return str(os.getpid())
"""


def post(port: int, photo: int) -> str:
    url = f"http://127.0.0.1:{port}/?id={photo}"
    with urllib.request.urlopen(url, data=b"", timeout=30) as answer:
        return str(answer.read().decode())


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except OSError:
        return False
    return True


def is_done(host: Host, number: int) -> bool:
    return Counter(job.state for job in host.jobs()) == {"done": number}


@pytest.mark.parametrize(
    "options",
    [["--preload", "-w", "2"], ["-w", "1", "--threads", "4"], ["-k", "gevent"]],
    ids=["preload", "threads", "gevent"],
)
def test_gunicorn(host: Host, tmp_path: Path, options: list[str]) -> None:
    pytest.importorskip("gunicorn")
    pytest.importorskip("gevent")
    write_program(tmp_path, host, after=UPLOAD, AUTOTAG_RUNNER="thread")
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", *options]
    server = subprocess.Popen(
        [*command, "--log-level", "warning", "program:app"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            wait_for(lambda: answers(port))
            for photo in range(12):
                post(port, photo)
            wait_for(lambda: is_done(host, 12), 60)
        finally:
            server.send_signal(signal.SIGTERM)
            told = server.communicate(timeout=30)[1]
    assert all(job.claims == 1 for job in host.jobs())
    assert told == ""


def test_the_reloader_works_in_the_process_that_serves(
    host: Host, tmp_path: Path
) -> None:
    program = write_program(tmp_path, host, after=UPLOAD, AUTOTAG_RUNNER="thread")
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", program.stem, "run", "--debug"]
    with subprocess.Popen(
        [*command, "-p", str(port)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as server:
        try:
            wait_for(lambda: answers(port))
            serving = post(port, 1)
            wait_for(lambda: is_done(host, 1))
        finally:
            os.killpg(server.pid, signal.SIGTERM)
    [job] = host.jobs()
    assert job.lease_owner.endswith(f":{serving}")


def test_a_host_of_gevent_goes_on_while_a_child_works(
    host: Host, tmp_path: Path
) -> None:
    """A hanging child blocks only the thread that waits for it."""
    pytest.importorskip("gevent")
    write_program(
        tmp_path,
        host,
        before="""
            from gevent import monkey
            monkey.patch_all()
        """,
        after=f"""
            import os, signal, time
            from flask_autotag.classification.sandbox import pool

            class Stopped(pool.ChildProcess):
                def send(self, *question):
                    os.kill(self.pid, signal.SIGSTOP)
                    super().send(*question)

            pool.ChildProcess = Stopped
            photo = AssetRef("photo", "1")
            image_uploaded.send(app, asset=photo, image={str(ESPRESSO)!r})
            ticks = 0
            with app.app_context():
                job = db.metadata.tables["autotag_job"]
                state = db.select(job.c.state, job.c.crashes)
                while tuple(db.session.execute(state).one()) != ("queued", 1):
                    db.session.rollback()
                    time.sleep(0.01)
                    ticks += 1
            print(ticks)
        """,
        AUTOTAG_RUNNER="thread",
        AUTOTAG_TIMEOUT=2,
    )
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    # Two seconds of sleeps of 10 ms; a blocked loop would count only a few.
    assert int(done.stdout) > 20
