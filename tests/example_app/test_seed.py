"""The first start, and later ones."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from example_app import settings
from example_app.models import User, db
from example_app.seed import DEMO_ACCOUNTS
from example_app.tagging import autotag

from .conftest import EXAMPLE_PHOTOS, Browser, MakeApp, SignIn, photos_of


def examples() -> int:
    return len(list(EXAMPLE_PHOTOS.glob("*.jpg")))


def test_the_first_start_brings_photos(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app(EXAMPLE_PHOTOS=str(EXAMPLE_PHOTOS))
    photos = photos_of(app)
    assert len(photos) == examples() > 0
    with app.app_context():
        states = autotag.progress(photos).values()
        assert {progress.state for progress in states} == {"tagged"}
    share = Counter(photo.instance for photo in photos)
    assert set(share) == {"news", "shop"}
    assert max(share.values()) - min(share.values()) <= 1
    assert "Wall clock" in {photo.title for photo in photos}
    assert len(list((tmp_path / "uploads").iterdir())) == examples()


def test_the_next_start_brings_no_more(make_app: MakeApp, sign_in: SignIn) -> None:
    settings = {"EXAMPLE_PHOTOS": str(EXAMPLE_PHOTOS), "AUTOTAG_RUNNER": "none"}
    app = make_app(**settings)
    before = [photo.id for photo in photos_of(app)]
    ada: Browser = sign_in("ada", app)
    assert ada.post(f"/news/photos/{before[0]}/delete").status_code == 302
    again = make_app(**settings)
    assert [photo.id for photo in photos_of(again)] == before[1:]
    for photo in photos_of(again):
        ada.post(f"/{photo.instance}/photos/{photo.id}/delete")
    assert photos_of(make_app(**settings)) == []
    assert _users(again) == len(DEMO_ACCOUNTS)


def test_several_processes_start_at_once(tmp_path: Path, make_app: MakeApp) -> None:
    code = (
        "import sys; from example_app import create_app;"
        "create_app({'SQLALCHEMY_DATABASE_URI': sys.argv[1],"
        " 'UPLOAD_FOLDER': sys.argv[2], 'SECRET_KEY': 'x', 'AUTOTAG_RUNNER': 'none'})"
    )
    url, folder = f"sqlite:///{tmp_path / 'example.sqlite'}", str(tmp_path / "uploads")
    root = EXAMPLE_PHOTOS.parents[1]
    starts = [
        subprocess.Popen([sys.executable, "-c", code, url, folder], cwd=root)
        for _ in range(4)
    ]
    assert [start.wait(60) for start in starts] == [0] * 4
    app = make_app(AUTOTAG_RUNNER="none")
    assert len(photos_of(app)) == examples()
    assert len(list((tmp_path / "uploads").iterdir())) == examples()
    assert _users(app) == len(DEMO_ACCOUNTS)


def test_the_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    first = _configured(tmp_path)
    file = tmp_path / "secret-key"
    assert len(first.config["SECRET_KEY"]) == 64
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert _configured(tmp_path).config["SECRET_KEY"] == first.config["SECRET_KEY"]


def test_the_environment_configures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_AUTOTAG_RUNNER", "none")
    monkeypatch.setenv("FLASK_PHOTOS_PER_PAGE", "7")
    config = _configured(tmp_path).config
    assert config["AUTOTAG_RUNNER"] == "none"
    assert config["PHOTOS_PER_PAGE"] == 7


def _configured(folder: Path) -> Flask:
    app = Flask("example_app", instance_path=str(folder))
    settings.configure(app, {})
    return app


def _users(app: Flask) -> int | None:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(User))
