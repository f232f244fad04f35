"""The revisions of the package: they create what the models define, and keep data."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text

from flask_autotag.db.migrations.running import BASE, read_revisions
from flask_autotag.db.migrations.upgrade import Upgrade
from flask_autotag.db.revisions import VERSIONS, newest_revision

from .tables import (
    ROWS,
    common,
    count_rows,
    differences,
    fill_tables,
    open_database,
    read_tables,
    run_revisions,
    table_names,
)

REVISIONS = [script.revision for script in read_revisions()]


def test_they_are_numbered() -> None:
    numbers = range(1, len(REVISIONS) + 1)
    assert [f"{number:04}" for number in numbers] == REVISIONS
    files = sorted(path.stem[:4] for path in VERSIONS.glob("[0-9]*.py"))
    assert files == REVISIONS
    assert newest_revision() == REVISIONS[-1]


def test_each_has_a_description() -> None:
    for script in read_revisions():
        assert script.doc.endswith(".")


def test_they_create_the_models(database_url: str) -> None:
    """A change to ``models.py`` without a revision fails here."""
    with open_database(database_url) as upgrade:
        run_revisions(upgrade)
        assert differences(upgrade) == []


def test_they_create_the_same_as_create_all(database_url: str) -> None:
    """This includes options of tables, which Alembic does not compare."""
    with open_database(database_url) as upgrade:
        run_revisions(upgrade)
        by_revisions = describe(upgrade)
        upgrade.downgrade(BASE)
        assert table_names(upgrade) == set()
        upgrade.upgrade()
        assert describe(upgrade) == by_revisions


def describe(upgrade: Upgrade) -> dict[str, str]:
    """Return the description of each table by the database itself."""
    engine = upgrade.database.engine
    found = {}
    with engine.connect() as connection:
        for name in sorted(table_names(upgrade) - {"autotag_revision"}):
            if engine.dialect.name == "sqlite":
                query = f"SELECT sql FROM sqlite_master WHERE name = '{name}'"
                found[name] = _parts(str(connection.scalar(text(query))))
            elif engine.dialect.name == "postgresql":
                columns = inspect(connection).get_columns(name)
                found[name] = _lines("\n".join(map(repr, columns)))
            else:
                shown = connection.execute(text(f"SHOW CREATE TABLE {name}")).one()
                found[name] = _lines(shown[1])
    return found


def _parts(create: str) -> str:
    """Sort columns and constraints: SQLite appends a column that is added."""
    parts, depth = [""], 0
    for letter in create:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 1:
            parts.append("")
        else:
            parts[-1] += " " if letter.isspace() else letter
    return "\n".join(sorted(" ".join(part.strip(" )").split()) for part in parts))


def _lines(description: str) -> str:
    # The order of constraints may differ.
    lines = (line.strip(" ,\t") for line in description.splitlines())
    return "\n".join(sorted(line for line in lines if line))


@pytest.mark.parametrize("revision", REVISIONS)
def test_data_goes_down_and_up_again(database_url: str, revision: str) -> None:
    with open_database(database_url) as upgrade:
        upgrade.upgrade()
        fill_tables(upgrade)
        before = read_tables(upgrade)
        upgrade.downgrade(revision)
        below = read_tables(upgrade)
        assert common(below, before) == common(before, below)
        upgrade.upgrade()
        after = read_tables(upgrade)
        assert common(after, below) == common(below, after)
        assert differences(upgrade) == []


def test_down_to_nothing(database_url: str) -> None:
    with open_database(database_url) as upgrade:
        upgrade.upgrade()
        fill_tables(upgrade)
        with upgrade.database.engine.begin() as connection:
            connection.execute(text("CREATE TABLE photo (id INTEGER PRIMARY KEY)"))
        upgrade.downgrade(BASE)
        assert table_names(upgrade) == {"photo"}
        upgrade.upgrade()
        assert count_rows(upgrade) == 0
        assert len(table_names(upgrade)) == len(ROWS) + 2


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_can_be_repeated(database_url: str, revision: str) -> None:
    with open_database(database_url) as upgrade:
        upgrade.upgrade()
        fill_tables(upgrade)
        before = read_tables(upgrade)
        upgrade.upgrade(BASE)
        assert read_tables(upgrade) == before
        upgrade.upgrade(revision)
        assert read_tables(upgrade) == before
