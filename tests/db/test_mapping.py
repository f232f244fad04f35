"""Tables that are made without mapped classes, and classes that are mapped late."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Dialect, MetaData, Table
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, class_mapper
from sqlalchemy.orm.exc import UnmappedClassError
from sqlalchemy.schema import CreateIndex, CreateTable

from flask_autotag import TagMixin, create_models
from flask_autotag.db.columns import DATETIME, TableMixin

MIXINS = TableMixin.__subclasses__()
DIALECTS = [mysql.dialect(), postgresql.dialect(), sqlite.dialect()]


def ddl(table: Table, dialect: Dialect) -> list[str]:
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    statements = [CreateTable(table), *(CreateIndex(index) for index in indexes)]
    return [str(each.compile(dialect=dialect)) for each in statements]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("mixin", MIXINS, ids=lambda mixin: mixin.__name__)
def test_a_table_is_the_one_that_mapping_its_mixin_makes(
    mixin: Any, dialect: Dialect
) -> None:
    class Base(DeclarativeBase):
        pass

    mapped = type("Mapped", (mixin, Base), {})
    assert ddl(mixin.make_table(MetaData(), None), dialect) == ddl(
        mapped.__table__,  # type: ignore[attr-defined]
        dialect,
    )


def test_a_class_is_mapped_when_it_is_first_used() -> None:
    models = create_models(MetaData())
    assert "tag" not in vars(models)
    assert class_mapper(models.tag).local_table is models.table("tag")
    assert issubclass(models.tag, TagMixin)
    assert models.tag(name="dog").name == "dog"
    assert "job" not in vars(models)


def test_threads_get_the_same_class() -> None:
    models = create_models(MetaData())
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: models.tag, range(64)))
    assert len(found) == 1


def test_there_is_no_other_class() -> None:
    models = create_models(MetaData())
    with pytest.raises(AttributeError, match=r"^Models has no table 'tags'\.$"):
        models.tags  # type: ignore[attr-defined]  # noqa: B018


def test_a_mixin_itself_stays_unmapped() -> None:
    models = create_models(MetaData())
    assert models.tag is not TagMixin
    with pytest.raises(UnmappedClassError):
        class_mapper(TagMixin)


def test_the_type_of_times_is_written_as_that_of_mysql() -> None:
    ours, theirs = DATETIME(fsp=6), mysql.DATETIME(fsp=6)
    assert repr(ours) == repr(theirs)
    assert type(ours).__module__ == type(theirs).__module__
    dialect = mysql.dialect()
    assert ours.compile(dialect) == theirs.compile(dialect) == "DATETIME(6)"
