"""What host code asks: the tags of an asset, assets by tags, counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    Uuid,
    cast,
    func,
    select,
    type_coerce,
)
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.orm import Mapper, Session

from .assets import AssetRef, type_of
from .decisions import PROVIDER
from .errors import AssetError
from .models import Models
from .verdicts import APPLIED
from .vocabulary import tag_name

T = TypeVar("T")


@dataclass(frozen=True)
class AppliedTag:
    """A tag of an asset.

    :param name: what people read.
    :param confidence: from 0 to 1, the best that a provider gave; ``None`` if none said
        it.
    :param provider: who was surest of it; ``None`` if none said it.
    :param model: with which model.
    :param source: ``"provider"``, or ``"person"`` if somebody added or accepted it.
    :param created_at: when, in UTC.
    :param providers: all who said so, the surest first.
    :param person: who added or accepted it, if the host said so.
    """

    name: str
    confidence: float | None
    provider: str | None
    model: str | None
    source: str
    created_at: datetime
    providers: tuple[str, ...] = ()
    person: str | None = None


@dataclass(frozen=True)
class TagCount:
    """A tag and how many assets have it."""

    name: str
    count: int


def tags_for(
    session: Session,
    models: Models,
    asset: AssetRef,
    instance: str | None,
    state: str = APPLIED,
) -> list[AppliedTag]:
    """Give the tags of one asset: people's first, then the surest.

    :param state: how they stand; see :data:`.verdicts.APPLIED`.
    """
    host, tag, assigned = models.asset, models.tag, models.assignment
    statement = (
        select(
            tag.name,
            assigned.confidence,
            assigned.provider,
            assigned.model,
            assigned.source,
            assigned.created_at,
            assigned.providers,
            assigned.decided_by,
        )
        .join_from(host, assigned, assigned.asset_id == host.id)
        .join(tag, tag.id == assigned.tag_id)
        .where(
            host.asset_type == asset.type,
            host.asset_id == asset.id,
            assigned.state == state,
            *_in_instance(host, instance),
        )
        .order_by(
            assigned.source == PROVIDER,
            assigned.confidence.is_not(None),
            assigned.confidence.desc(),
            tag.key,
        )
    )
    return [
        AppliedTag(
            *row[:5],
            created_at=row.created_at.replace(tzinfo=UTC),
            providers=tuple(row.providers.split(",")) if row.providers else (),
            person=row.decided_by,
        )
        for row in session.execute(statement)
    ]


def tag_counts(
    session: Session, models: Models, instance: str | None, limit: int | None
) -> list[TagCount]:
    """Count the assets of each applied tag, the most used tags first."""
    tag, assigned = models.tag, models.assignment
    count = func.count().label("count")
    statement = (
        select(tag.key, func.min(tag.name).label("name"), count)
        .join_from(assigned, tag, tag.id == assigned.tag_id)
        .where(assigned.state == APPLIED, *_in_instance(tag, instance))
        .group_by(tag.key)
        .order_by(count.desc(), tag.key)
        .limit(limit)
    )
    return [TagCount(row.name, row[2]) for row in session.execute(statement)]


def select_tagged(
    models: Models,
    model: type[T],
    dialect: str,
    *,
    all_of: Iterable[str],
    any_of: Iterable[str],
    none_of: Iterable[str],
    instance: str | None,
) -> Select[T]:
    """Select the objects of a host's model by their applied tags.

    :param dialect: SQLAlchemy's name of the database.
    :raises AssetError: if *model* has a key of several columns.
    :raises TypeError: if a text stands where several tags belong.
    """
    mapper = sa_inspect(model)
    wanted, either, unwanted = (
        _keys(name, names)
        for name, names in (
            ("all_of", all_of),
            ("any_of", any_of),
            ("none_of", none_of),
        )
    )
    primary_key = _single_key(mapper)
    tagged = partial(_tagged_keys, models, mapper, dialect, instance)
    statement = select(model)
    for key in wanted:
        statement = statement.where(primary_key.in_(tagged([key])))
    if either:
        statement = statement.where(primary_key.in_(tagged(either)))
    if unwanted:
        statement = statement.where(primary_key.not_in(tagged(unwanted)))
    return statement


def _keys(argument: str, names: Iterable[str]) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"{argument} takes several tags: {argument}=[{names!r}].")
    return sorted({tag_name(name).key for name in names})


def _tagged_keys(
    models: Models,
    mapper: Mapper[Any],
    dialect: str,
    instance: str | None,
    keys: list[str],
) -> Select[Any]:
    """Select the primary keys of the assets that have one of the tags."""
    host, tag, assigned = models.asset, models.tag, models.assignment
    return (
        select(_as_key(host.asset_id, _single_key(mapper), dialect))
        .join_from(assigned, host, host.id == assigned.asset_id)
        .join(tag, tag.id == assigned.tag_id)
        .where(
            host.asset_type == type_of(mapper),
            assigned.state == APPLIED,
            tag.key.in_(keys),
            *_in_instance(tag, instance),
        )
    )


def _single_key(mapper: Mapper[Any]) -> ColumnElement[Any]:
    key = mapper.base_mapper.primary_key
    if len(key) != 1:
        raise AssetError(
            f"{mapper.class_.__name__} has a primary key of {len(key)} columns; only"
            " models with one can be selected by tags."
        )
    return key[0]


def _as_key(text: Any, column: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    """Turn the text that names an asset into a value of its primary key's type."""
    if isinstance(column.type, Integer):
        return cast(text, Integer)
    if isinstance(column.type, Uuid) and dialect != "postgresql":
        # Stored as text without hyphens; or, on MariaDB, compared with it.
        return type_coerce(func.replace(text, "-", ""), column.type)
    if isinstance(column.type, String):
        return text  # type: ignore[no-any-return]
    return cast(text, column.type)


def _in_instance(table: Any, instance: str | None) -> list[ColumnElement[bool]]:
    return [] if instance is None else [table.instance == instance]
