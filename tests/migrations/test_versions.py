"""The revisions of the package: they make what the models say, and keep data."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text

from flask_autotag.migrations import VERSIONS, newest_revision
from flask_autotag.migrations.running import BASE, HEAD, History
from flask_autotag.migrations.upgrade import Upgrade

from .tables import (
    ROWS,
    common,
    count_rows,
    differences,
    fill_tables,
    go_to,
    open_database,
    read_tables,
    table_names,
)

REVISIONS = [each.id for each in History().revisions()]


def test_they_are_one_line_of_numbers() -> None:
    numbers = range(1, len(REVISIONS) + 1)
    assert [f"{number:04}" for number in numbers] == REVISIONS
    files = sorted(path.stem[:4] for path in VERSIONS.glob("[0-9]*.py"))
    assert files == REVISIONS
    assert newest_revision() == REVISIONS[-1]


def test_each_says_in_a_line_what_it_does() -> None:
    for each in History().revisions():
        assert each.message.endswith(".")


def test_they_make_what_the_models_say(database_url: str) -> None:
    """A change to ``models.py`` without a revision fails here."""
    with open_database(database_url) as upgrade:
        go_to(upgrade, HEAD)
        assert differences(upgrade) == []


def test_they_make_what_create_all_makes(database_url: str) -> None:
    """Down to the options of tables, which Alembic does not compare."""
    with open_database(database_url) as upgrade:
        go_to(upgrade, HEAD)
        by_revisions = describe(upgrade)
        upgrade.downgrade(BASE)
        assert table_names(upgrade) == set()
        upgrade.upgrade()
        assert describe(upgrade) == by_revisions


def describe(upgrade: Upgrade) -> dict[str, str]:
    """Read how the database itself describes each table."""
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
    """List columns and constraints: SQLite writes an added column on the last line."""
    parts, depth = [""], 0
    for letter in create:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 1:
            parts.append("")
        else:
            parts[-1] += " " if letter.isspace() else letter
    return "\n".join(sorted(" ".join(part.strip(" )").split()) for part in parts))


def _lines(description: str) -> str:
    # Constraints may come in another order.
    lines = (line.strip(" ,\t") for line in description.splitlines())
    return "\n".join(sorted(line for line in lines if line))


@pytest.mark.parametrize("revision", REVISIONS)
def test_data_of_a_revision_goes_up_unharmed(database_url: str, revision: str) -> None:
    with open_database(database_url) as upgrade:
        go_to(upgrade, revision)
        fill_tables(upgrade)
        before = read_tables(upgrade)
        assert all(before.values())
        upgrade.upgrade()
        after = read_tables(upgrade)
        assert common(after, before) == common(before, after)
        assert differences(upgrade) == []


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
