"""Our tables in a host that uses Flask-Migrate, set up as documented."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import Migrate, migrate, upgrade
from flask_migrate import init as init_migrations
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import inspect

from flask_autotag import AutoTag
from flask_autotag.db.revisions import newest_revision

from ...hosts import close, make_db

#: The tables that refer to others.
REFERRING = [
    f"'autotag_{name}'"
    for name in ("assignment", "bulk_item", "counter", "prediction", "upload")
]
EXCLUDING = """
def include_object(item, name, type_, reflected, compare_to):
    return type_ != "table" or not name.startswith("autotag_")

"""


pytestmark = [
    # Flask-Migrate's env.py calls a deprecated function.
    pytest.mark.filterwarnings("ignore:'get_engine' is deprecated:DeprecationWarning"),
    pytest.mark.usefixtures("quiet_logging"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the host's migrations, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "migrations"


def test_apart(database_url: str, folder: Path) -> None:
    app, db = make_app(database_url, folder)
    AutoTag(app)
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


def test_taken_out_of_the_migrations_of_the_host(
    database_url: str, folder: Path
) -> None:
    """Remove the extension from the code; then a migration drops the tables."""
    app, db = make_app(database_url, folder)
    AutoTag(app)
    with app.app_context():
        init_migrations(str(folder))
        migrate(str(folder), message="all")
        upgrade(str(folder))
        arguments = ["autotag", "downgrade-db", "base", "--yes"]
        assert app.test_cli_runner().invoke(args=arguments).exit_code == 1
        assert inspect(db.engine).has_table("autotag_tag")
    close(app, db)

    app, db = make_app(database_url, folder)
    with app.app_context():
        migrate(str(folder), message="without")
        [path] = (folder / "versions").glob("*_without.py")
        path.write_text(in_order(path.read_text()))
        upgrade(str(folder))
        tables = {*inspect(db.engine).get_table_names()}
        db.session.remove()
        db.engine.dispose()
    assert tables == {"photo", "alembic_version"}


def in_order(migration: str) -> str:
    """Reorder the ``drop_table`` lines as the recipe describes."""
    head, rest = migration.split("def upgrade():\n")
    body, tail = rest.split("def downgrade():\n")
    drops = [line for line in body.splitlines() if "op.drop_table" in line]
    drops.sort(key=lambda line: not any(name in line for name in REFERRING))
    return "\n".join([f"{head}def upgrade():", *drops, "", f"def downgrade():\n{tail}"])


def make_app(database_url: str, folder: Path) -> tuple[Flask, SQLAlchemy]:
    db, _ = make_db()
    app = Flask("host")
    app.config.update(SQLALCHEMY_DATABASE_URI=database_url, AUTOTAG_RUNNER="none")
    db.init_app(app)
    Migrate(app, db, directory=str(folder))
    return app, db


def run(app: Flask, *arguments: str) -> str:
    result = app.test_cli_runner().invoke(args=["autotag", *arguments])
    assert result.exit_code == 0, result.output
    return result.output.strip()
