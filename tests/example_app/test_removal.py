"""The example works without the extension, when the lines that use it are removed.

The test deletes the package ``tagging``, and each line of Python or of a template that
names ``tagging`` or ``autotag``. Nothing else is changed. The docstring of the
application, which lists these lines, is not code and stays.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, inspect, select

import example_app
from example_app.models import Photo, db
from example_app.tagging import autotag

from .conftest import ESPRESSO, EXAMPLE_PHOTOS, MakeApp, end, photos_of

SOURCE = Path(example_app.__file__).parent
NAMES_IT = re.compile("tagging|autotag", re.IGNORECASE)

#: The number of removed lines of each file.
LINES = {
    "__init__.py": 2,
    "library.py": 3,
    "photos.py": 6,
    "templates/base.html": 3,
    "templates/gallery.html": 9,
    "templates/photo.html": 4,
    "templates/upload.html": 1,
}

#: Uses the remaining application without the extension, and prints the results.
PROGRAM = """
import json, re, sys

sys.modules["flask_autotag"] = None
sys.dont_write_bytecode = True

from example_app import create_app
from example_app.seed import DEMO_ACCOUNTS

config, espresso = json.loads(sys.argv[1]), sys.argv[2]
app = create_app(config)
client = app.test_client()
seen = {"folder": app.root_path, "pages": {}}

def page(path):
    response = client.get(path, follow_redirects=True)
    assert response.status_code == 200, (path, response.status)
    seen["pages"][path] = response.text
    return response.text

def titles():
    return re.findall(r"<h3>(.*?)</h3>", page("/news/"))

page("/sign-in")
account = DEMO_ACCOUNTS[0]
data = {"name": account.name, "password": account.password}
assert client.post("/sign-in", data=data).status_code == 302
seen["before"] = titles()
page("/news/?tag=castle")
page("/news/photos/1")
page("/news/photos/1/delete")
page("/news/upload")
with open(espresso, "rb") as file:
    response = client.post("/news/upload", data={"photos": (file, "cup.jpg")})
assert response.status_code == 302, response.text
with open(espresso, "rb") as file:
    answer = client.post(
        "/news/upload",
        data={"photos": (file, "mug.jpg")},
        headers={"Accept": "application/json"},
    ).json
seen["uploaded"] = answer["photos"]
seen["after"] = titles()
assert client.post("/news/photos/1/delete").status_code == 302
seen["left"] = titles()
print(json.dumps(seen))
"""


def is_of_us(path: Path) -> bool:
    return path.is_relative_to(SOURCE / "tagging")


def rest() -> Iterator[Path]:
    """Yield the source files of the application, without the package ``tagging``."""
    for path in sorted(SOURCE.rglob("*")):
        kind = path.suffix in (".py", ".html", ".txt", ".css", ".js", ".svg")
        if kind and not is_of_us(path) and "instance" not in path.parts:
            yield path


def split(path: Path) -> tuple[list[str], list[str]]:
    """Return the lines of a file that stay, and the removed ones."""
    stay, go = [], []
    code_begins = docstring_of(path) if path.name == "__init__.py" else 0
    for number, line in enumerate(path.read_text().splitlines(keepends=True)):
        if number >= code_begins and NAMES_IT.search(line):
            go.append(line.strip())
        else:
            stay.append(line)
    return stay, go


def docstring_of(path: Path) -> int:
    """Return the number of the last line of a module's docstring."""
    return ast.parse(path.read_text()).body[0].end_lineno or 0


def test_few_lines_name_it() -> None:
    removed = {path.relative_to(SOURCE).as_posix(): split(path)[1] for path in rest()}
    assert {name: len(lines) for name, lines in removed.items() if lines} == LINES
    assert sum(LINES.values()) == 28


def test_the_application_lists_the_lines_of_its_modules() -> None:
    assert example_app.__doc__ is not None
    for path in rest():
        if path.suffix == ".py":
            for line in split(path)[1]:
                assert line in example_app.__doc__, path.name


def test_no_table_of_the_application_refers_to_ours(app: Flask) -> None:
    with app.app_context():
        for name, table in db.metadata.tables.items():
            targets = {key.column.table.name for key in table.foreign_keys}
            ours = {one for one in targets if one.startswith("autotag_")}
            # Nor the other way round: the host can still change and drop its tables.
            assert ours == (targets if name.startswith("autotag_") else set()), name


@pytest.fixture
def before(make_app: MakeApp, tmp_path: Path) -> Flask:
    """The example with three photos of news; all are tagged."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("castle", "horse", "mountains", "pagoda", "penguin"):
        shutil.copy(EXAMPLE_PHOTOS / f"{name}.jpg", photos)
    return make_app(EXAMPLE_PHOTOS=str(photos))


@pytest.fixture
def without(tmp_path: Path) -> Path:
    """A folder with the example without the lines."""
    folder = tmp_path / "without"
    for path in rest():
        target = folder / "example_app" / path.relative_to(SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(split(path)[0]))
    return folder


def use(folder: Path, **config: Any) -> dict[str, Any]:
    """Run the program in a folder that has an ``example_app``."""
    arguments = [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(config)]
    ended = subprocess.run(
        [*arguments, str(ESPRESSO)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout)
    return seen


def test_the_rest_runs_on_without_it(
    before: Flask, make_app: MakeApp, without: Path
) -> None:
    first, *others = [photo for photo in photos_of(before) if photo.instance == "news"]
    with before.app_context():
        tags = [tag.name for tag in autotag.tags_for(first)]
        assert "castle" in tags
    end(before)
    keys = ("SQLALCHEMY_DATABASE_URI", "UPLOAD_FOLDER", "SECRET_KEY")
    config = {key: before.config[key] for key in keys}
    seen = use(without, **config, WTF_CSRF_ENABLED=False)

    assert seen["folder"] == str(without / "example_app")
    assert seen["before"] == ["Penguin", "Mountains", "Castle"]
    assert seen["after"] == ["mug.jpg", "cup.jpg", *seen["before"]]
    assert seen["left"] == seen["after"][:-1]
    (mug,) = seen["uploaded"]
    assert sorted(mug) == ["id", "title", "url"]
    for path, page in seen["pages"].items():
        assert not re.search(r"\btag|\bautotag|undefined", page, re.IGNORECASE), path

    # The extension can be installed again, and the tags are still there.
    again = make_app()
    with again.app_context():
        assert [tag.name for tag in autotag.tags_for(others[0])]
        # The host has to report images that were deleted meanwhile.
        assert [tag.name for tag in autotag.tags_for(first)] == tags
        assert db.session.scalar(select(func.count()).select_from(Photo)) == 6
        states = {one.state for one in autotag.progress(photos_of(again)).values()}
        assert states == {"tagged", "untagged"}


def test_dropping_its_tables_leaves_those_of_the_application(before: Flask) -> None:
    with before.app_context():
        tables = db.metadata.sorted_tables
        ours = [table for table in tables if table.name.startswith("autotag_")]
        db.metadata.drop_all(db.engine, tables=ours)
        left = inspect(db.engine).get_table_names()
        assert sorted(left) == ["milestone", "photo", "user"]
        assert db.session.scalar(select(func.count()).select_from(Photo)) == 5
