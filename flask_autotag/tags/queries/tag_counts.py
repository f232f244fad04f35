"""Counts of assets by tag, and tags that occur together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    any_,
    func,
    select,
)
from sqlalchemy.orm import Mapper

from ...db.models import Models
from ...db.sql import dialect_of, is_one_of
from ...errors import AssetError
from ...host.assets import mapper_of
from ...host.images import image_types
from ...host.sql_keys import text_of
from ..rules import APPLIED
from .names import Tag, find_tags
from .selection import Criteria

#: Number of assets, the latest, whose other tags are counted for related tags.
RELATED_ASSETS = 1000


@dataclass(frozen=True)
class TagCount:
    """A tag and the number of assets that have it."""

    name: str
    count: int


def tag_counts(
    connection: Connection, models: Models, instance: str | None, limit: int | None
) -> list[TagCount]:
    """Read the number of assets of each tag, the most used first."""
    return read_counts(connection, most_used(models, instance).limit(limit))


def facets(
    connection: Connection,
    models: Models,
    within: Select[Any],
    instance: str | None,
    limit: int | None,
    name: str | None = None,
) -> list[TagCount]:
    """Count the tags of the objects that a host selects.

    :param within: a ``Select`` of a mapped class.
    :param name: the image of each object; ``None`` for all its images together.
    :raises AssetError: if *within* selects anything else, or if its class has no image
        of that name.
    """
    tag, assigned = models.tag.__table__, models.assignment.__table__
    types = image_types(selected_mapper(within), name)
    assignments = _assignments_of(connection, models, within, instance, types)
    number: ColumnElement[int] = func.count()
    if len(types) > 1:
        image = models.asset.__table__.alias()
        assignments = assignments.join(image, image.c.id == assigned.c.asset_id)
        number = func.count(image.c.asset_id.distinct())
    counted = (
        assignments.add_columns(assigned.c.tag_id, number.label("assets"))
        .where(assigned.c.state == APPLIED)
        .group_by(assigned.c.tag_id)
        .subquery()
    )
    return read_counts(connection, _named(tag, counted, instance).limit(limit))


def related_tags(
    connection: Connection,
    models: Models,
    names: Iterable[str],
    instance: str | None,
    limit: int | None,
) -> list[TagCount]:
    """Count the other tags of the latest assets that have some tags."""
    wanted = Criteria(all_of=names).all_of
    found = find_tags(connection, models, wanted, instance)
    if not found or not all(found.values()):
        return []
    tag, assigned = models.tag.__table__, models.assignment.__table__
    latest = _latest(models, list(found.values())).subquery()
    named = [each.id for tags in found.values() for each in tags]
    counted = (
        select(
            assigned.c.tag_id,
            func.count(assigned.c.asset_id.distinct()).label("assets"),
        )
        .join_from(latest, assigned, assigned.c.asset_id == latest.c.asset_id)
        .where(assigned.c.state == APPLIED, assigned.c.tag_id.not_in(named))
        .group_by(assigned.c.tag_id)
        .subquery()
    )
    return read_counts(connection, _named(tag, counted, instance).limit(limit))


def most_used(models: Models, instance: str | None) -> Select[Any]:
    """Select the names of used tags and their counters, the most used first."""
    tag, counter = models.tag.__table__, models.counter.__table__
    used = _named(tag, counter, instance).where(counter.c.assets > 0)
    return used.where(*_in_instance(counter, instance))


def _named(tag: Any, counted: Any, instance: str | None) -> Select[Any]:
    """Select the names of tags and their numbers of assets, the largest first.

    :param counted: has the columns ``tag_id`` and ``assets``.
    :param instance: the instance of all the tags; ``None`` sums tags of the same name.
    """
    named = select().join_from(counted, tag, tag.c.id == counted.c.tag_id)
    if instance is not None:
        return (
            named.add_columns(tag.c.name, tag.c.key, counted.c.assets)
            .where(tag.c.instance == instance)
            .order_by(counted.c.assets.desc(), tag.c.key)
        )
    assets = func.sum(counted.c.assets).label("assets")
    return (
        named.add_columns(func.min(tag.c.name).label("name"), assets)
        .group_by(tag.c.key)
        .order_by(assets.desc(), tag.c.key)
    )


def read_counts(connection: Connection, statement: Select[Any]) -> list[TagCount]:
    """Execute a statement that selects the columns ``name`` and ``assets``."""
    rows: Sequence[Row[Any]] = connection.execute(statement).all()
    return [TagCount(row.name, int(row.assets)) for row in rows]


def _assignments_of(
    connection: Connection,
    models: Models,
    within: Select[Any],
    instance: str | None,
    types: Sequence[str],
) -> Select[Any]:
    """Select the assignments of the host's objects; the caller adds the columns.

    :param types: the asset types of their images.
    """
    mapper, asset = selected_mapper(within), models.asset.__table__
    assigned = models.assignment.__table__
    keys = within.with_only_columns(
        text_of(mapper).label("asset"), maintain_column_froms=True
    )
    of_host = (is_one_of(asset.c.asset_type, types), *_in_instance(asset, instance))
    if dialect_of(connection) == "postgresql":
        # It would read the whole table for a few objects: it has no statistics of a
        # key converted to text.
        ids = select(asset.c.id).where(_is_in(asset.c.asset_id, keys), *of_host)
        return select().select_from(assigned).where(_is_in(assigned.c.asset_id, ids))
    chosen = keys.subquery()
    # A join in the host's query may return an object several times.
    each = select(chosen.c.asset).distinct().subquery()
    return (
        select()
        .join_from(each, asset, and_(asset.c.asset_id == each.c.asset, *of_host))
        .join(assigned, assigned.c.asset_id == asset.c.id)
    )


def _is_in(column: ColumnElement[Any], values: Select[Any]) -> ColumnElement[bool]:
    """Return a condition for which PostgreSQL reads *values* first, then an index."""
    array = func.array(values.scalar_subquery(), type_=ARRAY(column.type))
    return column == any_(array)


def selected_mapper(within: Select[Any], argument: str = "within") -> Mapper[Any]:
    """Return the mapper of the class that a host selects.

    :param argument: the name of the host's argument, for the error.
    :raises AssetError: if *within* selects anything else.
    """
    described = within.column_descriptions if isinstance(within, Select) else []
    entity = described[0].get("entity") if described else None
    if not isinstance(entity, type):
        raise AssetError(
            f"{argument} takes a Select of a mapped class, such as select(Photo), not"
            f" {within!r:.80}."
        )
    return mapper_of(entity)


def _latest(models: Models, groups: Sequence[Sequence[Tag]]) -> Select[Any]:
    """Select the latest assets that have a tag of each group."""
    table = models.assignment.__table__
    rarest = min(groups, key=lambda tags: sum(tag.assets for tag in tags))
    found = select(table.c.asset_id).where(_is_one_of(table, rarest))
    for tags in groups:
        if tags is not rarest:
            other = table.alias()
            same = other.c.asset_id == table.c.asset_id
            also = select(other.c.asset_id).where(same, _is_one_of(other, tags))
            found = found.where(also.correlate(table).exists())
    return found.order_by(table.c.asset_id.desc()).limit(RELATED_ASSETS)


def _is_one_of(table: Any, tags: Sequence[Tag]) -> ColumnElement[bool]:
    ids = [tag.id for tag in tags]
    return and_(is_one_of(table.c.tag_id, ids), table.c.state == APPLIED)


def _in_instance(table: Any, instance: str | None) -> list[ColumnElement[bool]]:
    return [] if instance is None else [table.c.instance == instance]
