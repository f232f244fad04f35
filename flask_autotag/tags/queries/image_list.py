"""The images of an instance that a person filters, to decide on many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, or_, select

from ...db.models import Models
from ...host.assets import AssetRef
from ...settings.stored_words import read_vocabulary
from ...settings.tag_names import TagName
from ..rules import APPLIED, SUGGESTED

#: The most tags whose names begin with a searched text.
_MOST_TAGS = 50


@dataclass(frozen=True)
class ImageFilter:
    """The criteria that an image must meet, all of them.

    :param tag: it has this tag.
    :param suggestion: this tag is suggested for it.
    :param is_untagged: it has no tag.
    :param provider: a tag of it comes from this provider.
    :param text: its id, or the name of one of its tags, begins with this text.
    """

    tag: TagName | None = None
    suggestion: TagName | None = None
    is_untagged: bool = False
    provider: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class ListedImage:
    """An image in a list.

    :param row: key of the asset's row.
    """

    row: int
    asset: AssetRef


def matching(
    connection: Connection, models: Models, instance: str, wanted: ImageFilter
) -> Select[Any]:
    """Select the keys of the rows of all images of an instance that meet a filter."""
    table = models.asset.__table__
    return select(table.c.id).where(
        table.c.instance == instance, *_conditions(connection, models, instance, wanted)
    )


def page(
    connection: Connection,
    models: Models,
    instance: str,
    wanted: ImageFilter,
    limit: int,
    before: int | None = None,
) -> Sequence[ListedImage]:
    """List the images that meet a filter, the latest first.

    :param before: row of the last image on the page before; ``None`` for the first
        page.
    """
    table = models.asset.__table__
    statement = (
        matching(connection, models, instance, wanted)
        .add_columns(table.c.asset_type, table.c.asset_id)
        .order_by(table.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(table.c.id < before)
    return [
        ListedImage(row.id, AssetRef(row.asset_type, row.asset_id))
        for row in connection.execute(statement)
    ]


def count(
    connection: Connection, models: Models, instance: str, wanted: ImageFilter
) -> int:
    """Count the images that meet a filter."""
    found = matching(connection, models, instance, wanted).subquery()
    return connection.scalar(select(func.count()).select_from(found)) or 0


def _conditions(
    connection: Connection, models: Models, instance: str, wanted: ImageFilter
) -> list[ColumnElement[bool]]:
    table, assigned = models.asset.__table__, models.assignment.__table__
    vocabulary = read_vocabulary(connection, models, instance)
    conditions: list[ColumnElement[bool]] = []
    for name, state in ((wanted.tag, APPLIED), (wanted.suggestion, SUGGESTED)):
        if name is not None:
            key = vocabulary.called(name).key
            tag_ids = _tag_ids(models, instance, models.tag.__table__.c.key == key)
            conditions.append(_has(models, state, assigned.c.tag_id.in_(tag_ids)))
    if wanted.is_untagged:
        conditions.append(~_has(models, APPLIED))
    if wanted.provider is not None:
        conditions.append(_has(models, APPLIED, assigned.c.provider == wanted.provider))
    if wanted.text:
        begins = models.tag.__table__.c.key.startswith(
            wanted.text.casefold(), autoescape=True
        )
        tag_ids = _tag_ids(models, instance, begins).limit(_MOST_TAGS)
        found = connection.scalars(tag_ids).all()
        conditions.append(
            or_(
                table.c.asset_id.startswith(wanted.text, autoescape=True),
                _has(models, APPLIED, assigned.c.tag_id.in_(found)),
            )
        )
    return conditions


def _tag_ids(
    models: Models, instance: str, condition: ColumnElement[bool]
) -> Select[Any]:
    tag = models.tag.__table__
    return select(tag.c.id).where(tag.c.instance == instance, condition)


def _has(
    models: Models, state: str, *conditions: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Return the condition that an image has a tag in a state that meets conditions."""
    table, assigned = models.asset.__table__, models.assignment.__table__
    return exists().where(
        assigned.c.asset_id == table.c.id, assigned.c.state == state, *conditions
    )
