"""The recipes for migrations, gunicorn and systemd, as separate programs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..hosts import ESPRESSO, ESPRESSO_TAGS
from ..servers import free_port
from .documents import EXAMPLES, console_lines

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses gunicorn")
DEPLOYMENT = EXAMPLES / "deployment"
PATIENCE = 60.0


@pytest.fixture
def cms(tmp_path: Path) -> Path:
    """The folder of the example, with tables that migrations have created."""
    folder = tmp_path / "cms"
    shutil.copytree(DEPLOYMENT, folder)
    run("flask db init", folder)
    for line in console_lines("recipes/flask_migrate"):
        run(line, folder)
    return folder


def environment(**more: str) -> dict[str, str]:
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    paths = os.pathsep.join(sys.path)
    return {
        **os.environ,
        "FLASK_APP": "cms",
        "PATH": programs,
        "PYTHONPATH": paths,
        **more,
    }


def run(line: str, folder: Path) -> str:
    done = subprocess.run(
        shlex.split(line),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@contextmanager
def running(line: str, folder: Path, **more: str) -> Iterator[None]:
    """Run a shell command for the block, and stop it with one signal."""
    process = subprocess.Popen(
        ["sh", "-c", f"exec env {line}"],
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            told = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0, told
        assert "Traceback" not in told


class Client:
    """A client of the CMS at a free port."""

    def __init__(self) -> None:
        self.port = free_port()

    def upload(self) -> int:
        """Upload the photo when the server listens, and return its id."""
        body = (
            b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"'
            b"\r\n\r\n%b\r\n--b--\r\n" % ESPRESSO.read_bytes()
        )
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return int(self._ask("", body, headers)["id"])
            except OSError:
                assert time.monotonic() < end, "the server does not answer"
                time.sleep(0.1)

    def tags(self, photo: int) -> list[str]:
        return list(self._ask(f"/{photo}")["tags"])

    def await_tags(self, photo: int) -> list[str]:
        end = time.monotonic() + PATIENCE
        while not (found := self.tags(photo)) and time.monotonic() < end:
            time.sleep(0.1)
        return found

    def _ask(
        self,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        url = f"http://127.0.0.1:{self.port}/photos{path}"
        asked = urllib.request.Request(url, body, headers or {})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.load(answer)


def test_gunicorn(cms: Path) -> None:
    alone, served, worker = console_lines("recipes/gunicorn")
    client = Client()
    bind = {"GUNICORN_CMD_ARGS": f"-b 127.0.0.1:{client.port}"}
    with running(alone, cms, **bind):
        assert client.await_tags(client.upload()) == ESPRESSO_TAGS
    with running(served, cms, **bind):
        photo = client.upload()
        time.sleep(2)
        assert client.tags(photo) == []
        with running(worker, cms):
            assert client.await_tags(photo) == ESPRESSO_TAGS


def test_a_second_migration_finds_nothing(cms: Path) -> None:
    versions = cms / "migrations" / "versions"
    [first] = versions.glob("*.py")
    assert "flask_autotag" not in first.read_text()
    assert "No changes in schema detected" in run("flask db migrate", cms)
    program = cms / "cms.py"
    program.write_text(program.read_text().replace("autotag.init_app(app)", "pass"))
    for line in console_lines("recipes/flask_migrate"):
        run(line, cms)
    [last] = set(versions.glob("*.py")) - {first}
    assert "op.drop_table('autotag_job')" in last.read_text()


UNITS = sorted([*DEPLOYMENT.glob("*.service"), *DEPLOYMENT.glob("*.timer")])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit(unit: Path, tmp_path: Path) -> None:
    """systemd accepts it, if the programs that it names exist."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    for each in UNITS:
        text = each.read_text().replace("/srv/cms/venv/bin/flask", sys.executable)
        (tmp_path / each.name).write_text(text)
    template = tmp_path / "autotag@.service"
    shutil.copy(template, tmp_path / "autotag@purge.service")
    name = unit.name.replace("@.", "@purge.")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / name)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_units_name_commands_that_exist(cms: Path) -> None:
    [line] = re.findall(r"^ExecStart=(.+)$", (cms / UNITS[0].name).read_text(), re.M)
    command = line.replace("/srv/cms/venv/bin/flask", "flask")
    run(f"{command.partition(' --health-file')[0]} --drain", cms)
    for timer in DEPLOYMENT.glob("*.timer"):
        run(f"flask autotag {timer.stem.partition('@')[2]}", cms)
