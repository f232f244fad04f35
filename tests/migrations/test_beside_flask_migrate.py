"""Our tables and Flask-Migrate: apart, as the documentation says."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import Migrate, migrate, upgrade
from flask_migrate import init as init_migrations
from sqlalchemy import inspect

from flask_autotag import AutoTag
from flask_autotag.migrations import newest_revision

from ..hosts import close, make_db

EXCLUDING = """
def include_object(item, name, type_, reflected, compare_to):
    return type_ != "table" or not name.startswith("autotag_")

"""


# Flask-Migrate's env.py asks for the engine in a way that is going out of use.
@pytest.mark.filterwarnings("ignore:'get_engine' is deprecated:DeprecationWarning")
@pytest.mark.usefixtures("quiet_logging")
def test_apart(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "migrations"
    monkeypatch.chdir(tmp_path)
    db, _ = make_db()
    app = Flask("host")
    app.config.update(SQLALCHEMY_DATABASE_URI=database_url, AUTOTAG_RUNNER="none")
    db.init_app(app)
    AutoTag(app)
    Migrate(app, db, directory=str(folder))
    with app.app_context():
        init_migrations(str(folder))
        env = (folder / "env.py").read_text()
        at, call = "def run_migrations_online", "target_metadata=get_metadata(),"
        assert at in env
        assert call in env
        env = env.replace(at, EXCLUDING + at)
        env = env.replace(call, f"{call} include_object=include_object,")
        (folder / "env.py").write_text(env)

        run(app, "init-db")
        migrate(str(folder), message="ours is apart")
        upgrade(str(folder))
        [version] = (folder / "versions").glob("*.py")
        assert "create_table('photo'" in version.read_text()
        assert "autotag_" not in version.read_text()

        told = run(app, "upgrade-db")
        assert (
            told == f"The tables of Flask-AutoTag are at revision {newest_revision()}."
        )
        assert {"photo", "autotag_tag"} < {*inspect(db.engine).get_table_names()}
        migrate(str(folder), message="again")
        assert len(list((folder / "versions").glob("*.py"))) == 1
    close(app, db)


def run(app: Flask, *arguments: str) -> str:
    result = app.test_cli_runner().invoke(args=["autotag", *arguments])
    assert result.exit_code == 0, result.output
    return result.output.strip()
