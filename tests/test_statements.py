"""The analysis of statements finds conditions without an instance."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import MetaData, delete, exists, or_, select, union_all, update

from flask_autotag import Models, create_models

from .statements import ASSET, ASSIGNMENT, JOB, read_scopes


@pytest.fixture
def models() -> Models:
    return create_models(MetaData())


def searched(statement: Any) -> set[str]:
    return {
        table
        for scope in read_scopes(statement)
        for table in scope.searched_everywhere()
    }


def test_the_instance(models: Models) -> None:
    asset = models.asset.__table__.c
    named = (asset.asset_type == "photo", asset.asset_id == "1")
    for make in (
        lambda: select(asset.id),
        lambda: delete(models.asset.__table__),
        lambda: update(models.asset.__table__).values(sha256=None),
    ):
        assert searched(make().where(*named)) == {ASSET}
        assert searched(make().where(*named, asset.instance == "a")) == set()
        # The condition must hold for every row.
        or_else = or_(asset.instance == "a", asset.sha256 == "b")
        assert searched(make().where(*named, or_else)) == {ASSET}
        other = asset.instance != "a"
        assert searched(make().where(*named, other)) == {ASSET}


def test_unions_and_subqueries(models: Models) -> None:
    asset, job = models.asset.__table__.c, models.job.__table__.c
    good = select(asset.id).where(asset.asset_id == "1", asset.instance == "a")
    bad = select(job.id).where(job.asset_id == "1", job.asset_type == "photo")
    assert searched(union_all(good, bad)) == {JOB}
    assert searched(select(asset.id).where(exists(bad))) == {JOB}
    assert searched(select(bad.subquery())) == {JOB}
    assert searched(select(bad.scalar_subquery())) == {JOB}
    uploads = models.upload.__table__
    assert searched(delete(uploads).where(uploads.c.job_id.in_(bad))) == {JOB}


def test_other_names_of_a_table(models: Models) -> None:
    one, other = models.asset.__table__, models.asset.__table__.alias()
    joined = select(one.c.id).join_from(one, other, one.c.id == other.c.id)
    named = joined.where(other.c.asset_id == "1")
    assert searched(named) == {ASSET}
    assert searched(named.where(one.c.instance == "a")) == set()
    apart = select(one.c.id, other.c.id).where(other.c.asset_id == "1")
    assert searched(apart.where(one.c.instance == "a")) == {ASSET}


def test_a_tag_has_an_instance(models: Models) -> None:
    asset, assigned = models.asset.__table__, models.assignment.__table__
    tag = models.tag.__table__
    named = (
        select(asset.c.id)
        .join_from(asset, assigned, assigned.c.asset_id == asset.c.id)
        .where(asset.c.asset_id == "1")
    )
    assert searched(named) == {ASSET}
    assert searched(named.where(assigned.c.tag_id.in_([1, 2]))) == set()
    joined = named.join(tag, tag.c.id == assigned.c.tag_id)
    assert searched(joined.where(tag.c.key == "dog")) == {ASSET}
    assert searched(joined.where(tag.c.instance == "a")) == set()
    numbers = select(assigned.c.asset_id).where(assigned.c.asset_number == 1)
    assert searched(numbers) == {ASSIGNMENT}
    assert searched(numbers.where(assigned.c.tag_id == 1)) == set()
