"""An Otter Wiki with the plug-in of the documentation, as a separate server."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from bs4 import BeautifulSoup

from ..hosts import ESPRESSO
from ..servers import free_port
from ..services import missing
from ..web.admin.conftest import filled_in

ROOT = Path(__file__).parent.parent.parent
PLUGIN = ROOT / "docs" / "examples" / "otterwiki_autotag"
#: Its newest release when this was written.
OTTER_WIKI = "otterwiki==2.26.1"
PASSWORD = "otters hold hands"
#: An image in the repository from before the plug-in was installed.
OLD = "archive/cup.jpg"

_JOBS = "SELECT asset_id FROM autotag_job"

SETTINGS = """
REPOSITORY = {repository!r}
SECRET_KEY = "of the wiki, and long enough for it"
SQLALCHEMY_DATABASE_URI = "sqlite:///{database}"
EMAIL_NEEDS_CONFIRMATION = False
GIT_WEB_SERVER = True
"""


def environment(shared: Path) -> Path:
    """Create a virtual environment with the wiki and the plug-in, once per run.

    The wiki pins versions of Flask-WTF, SQLAlchemy and others, which must not replace
    those of the tests. What fits is taken from there.

    :param shared: a folder that all workers of this run share.
    :return: its interpreter.
    """
    if shutil.which("git") is None:
        missing("git, in which Otter Wiki keeps its pages, is not installed")
    folder = shared / "otterwiki"
    python = folder / "bin" / "python"
    with (shared / "otterwiki.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            _install(folder, python)
            (folder / "done").touch()
    return python


def _install(folder: Path, python: Path) -> None:
    venv.create(folder, clear=True)
    ours = sysconfig.get_path("purelib")
    theirs = sysconfig.get_path("purelib", vars={"base": str(folder)})
    Path(theirs, "tests.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    # The build writes files beside the source.
    source = shutil.copytree(PLUGIN, folder / "plugin")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", python, "install"),
            # Python compiles only the modules that the wiki imports.
            *("--no-compile", OTTER_WIKI, str(source)),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode and "No matching distribution" in done.stderr:
        missing("Otter Wiki is installed from a package index, and there is none")
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class Page:
    """A response, with its parsed page."""

    status: int
    html: str
    location: str | None

    @cached_property
    def soup(self) -> BeautifulSoup:
        return BeautifulSoup(self.html, "html.parser")

    def text(self, selector: str) -> str:
        found = self.soup.select_one(selector)
        assert found is not None, f"no {selector} in {self.html}"
        return " ".join(found.get_text().split())


@dataclass
class Visitor:
    """A user with a browser."""

    url: str
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str) -> Page:
        return self._page(self.session.get(self.url + path, allow_redirects=False))

    def send(
        self, path: str, *, of: str = "", file: bytes | None = None, **typed: str
    ) -> Page:
        """Submit the form of a page: that of the same path, or of *of*."""
        form = self.get(of or path).soup
        fields = {
            str(control["name"]): str(control.get("value", ""))
            for control in form.select("form[method] input[name][type=hidden]")
        }
        fields.update(filled_in(form), **typed)
        files = None if file is None else {"file": (typed["filename"], file)}
        return self._page(
            self.session.post(
                self.url + path, fields, files=files, allow_redirects=False
            )
        )

    def upload(self, page: str, name: str, data: bytes) -> None:
        """Attach a file to a page."""
        done = self.send(f"/{page}/attachments", file=data, filename=name)
        assert done.location == f"/{page}/attachments"

    def write(self, page: str, content: str) -> None:
        """Save a page."""
        done = self.send(
            f"/{page}/save", of=f"/{page}/edit", content=content, commit="written"
        )
        assert done.location == f"/{page}"

    def reject(self, path: str, tag: str) -> None:
        """Remove a wrong tag from an image with the JSON API."""
        form = self.get("/-/autotag/system").soup
        token = form.select_one("input[name=csrf_token]")
        assert token is not None
        done = self.session.post(
            f"{self.url}/-/autotag/api/instances/default/decisions",
            json={
                **{"type": "attachment", "id": path},
                **{"tag": tag, "decision": "reject"},
            },
            headers={"X-Requested-With": "tests", "X-CSRFToken": str(token["value"])},
        )
        assert done.status_code == 200, done.text

    def _page(self, response: requests.Response) -> Page:
        location = response.headers.get("Location")
        return Page(response.status_code, response.text, location)


@dataclass
class Wiki:
    """The running wiki, and its users."""

    url: str
    folder: Path
    python: Path
    ada: Visitor
    bob: Visitor
    nobody: Visitor

    def tags(self, path: str) -> list[str]:
        """Return the tags of an image from the JSON API."""
        api = f"{self.url}/-/autotag/api/instances/default/tags"
        asked = {"type": "attachment", "id": path}
        answer: dict[str, Any] = self.nobody.session.get(api, params=asked).json()
        return sorted(tag["name"] for tag in answer["tags"])

    def wait_for(self, path: str, tags: list[str]) -> None:
        """Wait until an image has these tags."""
        end = time.monotonic() + 60
        while self.tags(path) != tags:
            assert time.monotonic() < end, (path, self.tags(path), self.log())
            time.sleep(0.1)

    def command(self, *words: str) -> str:
        """Run a ``flask autotag`` command of the wiki."""
        return subprocess.run(
            [
                self.python,
                "-m",
                "flask",
                "--app",
                "otterwiki.server",
                "autotag",
                *words,
            ],
            env=_variables(self.folder),
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def push(self, name: str, data: bytes, clone: Path) -> None:
        """Commit a file in a clone, and push it as Ada."""
        account = f"ada%40example.org:{quote(PASSWORD)}"
        origin = self.url.replace("://", f"://{account}@") + "/.git"
        ask_nobody = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
        subprocess.run(
            ["git", "clone", "--quiet", origin, clone], check=True, env=ask_nobody
        )
        (clone / name).parent.mkdir()
        (clone / name).write_bytes(data)
        commit(clone, name)
        subprocess.run(
            ["git", "-C", clone, "push", "--quiet"], check=True, env=ask_nobody
        )

    def jobs(self) -> set[str]:
        """Return the files that have jobs."""
        with closing(sqlite3.connect(self.folder / "wiki.sqlite")) as connection:
            return {row[0] for row in connection.execute(_JOBS)}

    def log(self) -> str:
        return (self.folder / "log").read_text()


@contextmanager
def running_wiki(python: Path, folder: Path) -> Iterator[Wiki]:
    """Run a wiki for the block. Ada, its first user, is its administrator."""
    _make_repository(folder / "repository")
    (folder / "settings.py").write_text(
        SETTINGS.format(
            repository=str(folder / "repository"), database=folder / "wiki.sqlite"
        )
    )
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [python, "-m", "flask", "--app", "otterwiki.server", "run"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            env=_variables(folder),
            stdout=log,
            stderr=log,
        )
    visitors = [Visitor(url) for _ in range(3)]
    wiki = Wiki(url, folder, python, *visitors)
    try:
        _wait_until_up(wiki, server)
        for visitor, name in ((wiki.ada, "Ada"), (wiki.bob, "Bob")):
            _register(visitor, name)
        yield wiki
    finally:
        for visitor in visitors:
            visitor.session.close()
        server.terminate()
        server.wait()
    assert "Traceback" not in wiki.log(), wiki.log()


def _make_repository(folder: Path) -> None:
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    (folder / OLD).parent.mkdir()
    shutil.copy(ESPRESSO, folder / OLD)
    commit(folder, OLD)


def commit(folder: Path, name: str) -> None:
    """Commit a file of a repository."""
    git = ["git", "-C", folder, "-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
    subprocess.run([*git, "add", name], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", f"Add {name}"], check=True)


def _variables(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "OTTERWIKI_SETTINGS": str(folder / "settings.py"),
        "PYTHONPATH": str(ROOT),
    }


def _wait_until_up(wiki: Wiki, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            wiki.nobody.get("/-/healthz")
        except requests.ConnectionError:
            assert server.poll() is None, wiki.log()
            assert time.monotonic() < end, wiki.log()
            time.sleep(0.1)
        else:
            return


def _register(visitor: Visitor, name: str) -> None:
    email = f"{name.lower()}@example.org"
    done = visitor.send(
        "/-/register", email=email, name=name, password1=PASSWORD, password2=PASSWORD
    )
    assert done.location == "/-/login"
    done = visitor.send("/-/login", email=email, password=PASSWORD)
    assert done.location == "/"
