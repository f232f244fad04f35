"""Upgrades and downgrades, of empty databases and to the next release."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.script import Script
from sqlalchemy import MetaData, String, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_autotag import AssetMixin, TagMixin, create_models
from flask_autotag.db.migrations.inspection import part_names
from flask_autotag.db.migrations.running import BASE
from flask_autotag.db.migrations.upgrade import Upgrade
from flask_autotag.errors import UpgradeError

from ...services import temporary_database
from .next_release import (
    COLUMN,
    NEXT,
    PREVIOUS,
    REVISIONS,
    check_upgraded,
    install_next_release,
)
from .tables import (
    execute,
    fill_tables,
    open_database,
    read_tables,
    run_revisions,
    stored_revision,
    table_names,
)


def test_an_empty_database_gets_the_tables(database_url: str) -> None:
    with open_database(database_url) as upgrade:
        standing = upgrade.standing()
        assert (standing.revision, standing.stored) == (None, False)
        upgrade.upgrade()
        assert stored_revision(upgrade) == PREVIOUS
        assert upgrade.standing().missing == []


def test_create_all_stores_the_revision(database_url: str) -> None:
    """It cannot know the revision of tables that existed before."""
    with open_database(database_url) as upgrade:
        metadata, engine = upgrade.database.models.metadata, upgrade.database.engine
        metadata.create_all(engine)
        assert stored_revision(upgrade) == PREVIOUS
        execute(upgrade, "DROP TABLE autotag_usage", "DROP TABLE autotag_revision")
        metadata.create_all(engine)
        assert stored_revision(upgrade) is None
        assert upgrade.standing().revision == PREVIOUS


def test_tables_without_a_stored_revision(tables: Upgrade) -> None:
    """They are adopted if they match this release; additions of the host stay."""
    execute(
        tables,
        "DROP TABLE autotag_revision",
        "ALTER TABLE autotag_asset ADD COLUMN colour VARCHAR(20)",
        "CREATE INDEX ix_colour ON autotag_asset (colour)",
        "UPDATE autotag_asset SET colour = 'red'",
    )
    before = read_tables(tables)
    standing = tables.standing()
    assert (standing.revision, standing.stored) == (PREVIOUS, False)
    assert "autotag_revision" not in table_names(tables)
    tables.upgrade()
    assert stored_revision(tables) == PREVIOUS
    assert read_tables(tables) == before


def test_tables_without_a_stored_revision_that_lack_columns(sqlite_url: str) -> None:
    with open_database(sqlite_url) as upgrade:
        upgrade.upgrade()
        execute(
            upgrade,
            "DROP TABLE autotag_revision",
            "DROP TABLE autotag_inquiry",
            "ALTER TABLE autotag_word DROP COLUMN threshold",
            "ALTER TABLE autotag_word DROP COLUMN listed",
        )
        names = table_names(upgrade)
        for attempt in (upgrade.standing, upgrade.sql, upgrade.upgrade):
            with pytest.raises(UpgradeError) as caught:
                attempt()
            assert str(caught.value) == (
                "The tables lack autotag_word.listed, autotag_word.threshold, which no"
                " pending revision adds. If an older release made the tables, name its"
                " revision with '--from'; otherwise add by hand what is missing, or"
                " restore a backup."
            )
        assert table_names(upgrade) - {"autotag_revision"} == names


def test_killed_while_the_tables_were_created(database_url: str) -> None:
    """The process ended between a table and its index."""
    with open_database(database_url) as upgrade:
        models, engine = upgrade.database.models, upgrade.database.engine
        for model in ("tag", "word", "asset", "counter"):
            getattr(models, model).__table__.create(engine)
        [index] = models.counter.__table__.indexes
        index.drop(engine)
        missing = part_names(upgrade.standing().missing)
        assert "autotag_counter.ix_autotag_counter" in missing
        assert "autotag_job" in missing
        upgrade.upgrade()
        assert upgrade.standing().missing == []
        fill_tables(upgrade)


def test_a_lost_index_is_created_again(tables: Upgrade) -> None:
    mariadb = tables.database.engine.dialect.name in ("mysql", "mariadb")
    execute(
        tables,
        f"DROP INDEX ix_autotag_job_due{' ON autotag_job' if mariadb else ''}",
        "DROP TABLE autotag_usage",
    )
    missing = part_names(tables.standing().missing)
    assert missing == "autotag_job.ix_autotag_job_due, autotag_usage"
    tables.upgrade()
    assert tables.standing().missing == []


def test_an_upgrade(tables: Upgrade, next_release: Path) -> None:
    before = read_tables(tables)
    standing = tables.standing()
    assert [script.revision for script in standing.pending] == [*REVISIONS]
    applied: list[Script] = []
    tables.upgrade(on_revision=applied.append)
    check_upgraded(tables, before)
    assert {script.revision: script.doc for script in applied} == REVISIONS
    tables.upgrade(on_revision=applied.append)
    assert len(applied) == len(REVISIONS)


def test_down_and_up_again(tables: Upgrade, next_release: Path) -> None:
    before = read_tables(tables)
    tables.upgrade()
    tables.downgrade(PREVIOUS)
    assert read_tables(tables) == before
    assert stored_revision(tables) == PREVIOUS
    tables.upgrade()
    check_upgraded(tables, before)


def test_tables_of_other_names(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Base(DeclarativeBase):
        pass

    class Word(TagMixin, Base):
        __tablename__ = "word"
        colour: Mapped[str | None] = mapped_column(String(20))

    class Picture(AssetMixin, Base):
        __tablename__ = "picture"

    models = create_models(Base.metadata, tag=Word, asset=Picture)
    with open_database(database_url, models) as upgrade:
        upgrade.upgrade()
        assert {"word", "picture"} < table_names(upgrade)
        assert "autotag_tag" not in table_names(upgrade)
        fill_tables(upgrade)
        before = read_tables(upgrade)
        install_next_release(tmp_path / "next", monkeypatch)
        upgrade.upgrade()
        check_upgraded(upgrade, before)
        upgrade.downgrade(BASE)
        assert table_names(upgrade) == set()


def test_tables_in_a_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = create_models(MetaData(), schema="media")
    with (
        temporary_database("postgresql", tmp_path) as url,
        open_database(url, models) as upgrade,
    ):
        execute(upgrade, "CREATE SCHEMA media")
        run_revisions(upgrade)
        fill_tables(upgrade)
        before = read_tables(upgrade)
        execute(upgrade, "DROP TABLE media.autotag_revision")
        upgrade.upgrade()
        assert upgrade.standing().missing == []
        install_next_release(tmp_path / "next", monkeypatch)
        upgrade.upgrade()
        check_upgraded(upgrade, before)
        upgrade.downgrade(BASE)
        with upgrade.database.engine.connect() as connection:
            assert inspect(connection).get_table_names("media") == []


def test_a_newer_release_was_installed(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_database(sqlite_url) as upgrade:
        upgrade.upgrade()
        with monkeypatch.context() as newer:
            install_next_release(tmp_path / "next", newer)
            upgrade.upgrade()
        for attempt in (
            upgrade.standing,
            upgrade.upgrade,
            lambda: upgrade.downgrade(BASE),
        ):
            with pytest.raises(UpgradeError) as caught:
                attempt()
            assert str(caught.value) == (
                f"The tables are at revision {NEXT}, but the newest revision of this"
                f" release is {PREVIOUS}: a newer release has upgraded them. Install"
                " that release again; only it can downgrade the tables."
            )


def test_downgrades_that_are_refused(sqlite_url: str, next_release: Path) -> None:
    with open_database(sqlite_url) as upgrade:
        with pytest.raises(UpgradeError, match="There are no tables of Flask-AutoTag"):
            upgrade.downgrade(BASE)
        upgrade.database.create_tables()
        for attempt in (upgrade.upgrade, upgrade.downgrade):
            with pytest.raises(UpgradeError) as caught:
                attempt("7")
            assert str(caught.value) == (
                f"There is no revision '7'; there are base, {PREVIOUS}, {COLUMN},"
                f" {NEXT}."
            )
        with pytest.raises(UpgradeError) as caught:
            upgrade.downgrade(NEXT)
        assert str(caught.value) == (
            "There is nothing to take back: the tables are at revision"
            f" {PREVIOUS}, which is older than {NEXT}."
        )
        execute(upgrade, "DELETE FROM autotag_revision")
        with pytest.raises(UpgradeError) as caught:
            upgrade.downgrade(PREVIOUS)
        assert str(caught.value) == (
            "The database stores no revision of the tables. Run 'flask autotag"
            " upgrade-db' first."
        )


def test_tables_without_a_stored_revision_can_be_dropped(database_url: str) -> None:
    with open_database(database_url) as upgrade:
        upgrade.upgrade()
        execute(
            upgrade,
            "DROP TABLE autotag_revision",
            "DROP TABLE autotag_usage",
            "ALTER TABLE autotag_word DROP COLUMN threshold",
        )
        upgrade.downgrade(BASE)
        assert table_names(upgrade) == set()
