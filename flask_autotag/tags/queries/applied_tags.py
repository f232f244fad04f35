"""The applied tags of assets, for host code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_, select
from sqlalchemy.orm import Session

from ...db.models import Models
from ...db.sql import in_batches
from ...host.assets import AssetRef, ByAsset
from ...host.images import assets_of_images
from ..decisions import PROVIDER, Source
from ..rules import APPLIED


@dataclass(frozen=True)
class AppliedTag:
    """A tag of an asset.

    :param name: the name that people read.
    :param confidence: the highest of any provider, from 0 to 1; ``None`` if no provider
        gave the tag.
    :param provider: the provider with that confidence; ``None`` if no provider gave the
        tag.
    :param model: that provider's model.
    :param source: ``"provider"``, or ``"person"`` if somebody added or accepted it.
    :param created_at: when the tag was applied, in UTC.
    :param providers: all providers that gave the tag, by confidence, highest first.
    :param person: the user who added or accepted it; ``None`` if the host named none.
    :param pinned: whether a person pinned it to the front.
    """

    name: str
    confidence: float | None
    provider: str | None
    model: str | None
    source: Source
    created_at: datetime
    providers: tuple[str, ...] = ()
    person: str | None = None
    pinned: bool = False


class Preloaded(ByAsset[Sequence[AppliedTag]]):
    """The tags of several assets, each in the order of ``tags_for``.

    The keys are model instances or :class:`AssetRef`; iteration yields
    :class:`AssetRef`.
    """


def tags_for(
    session: Session | Connection,
    models: Models,
    asset: AssetRef,
    instance: str | None,
    state: str = APPLIED,
) -> list[AppliedTag]:
    """Return the tags of one asset: pinned tags, people's tags, then by confidence.

    The parameters are those of :func:`tags_for_images`.
    """
    return tags_for_images(session, models, [asset], instance, state)


def tags_for_images(
    session: Session | Connection,
    models: Models,
    images: Sequence[AssetRef],
    instance: str | None,
    state: str = APPLIED,
) -> list[AppliedTag]:
    """Return the tags of the images of one asset, each tag once, as it is surest.

    :param state: the state of the assignments, such as :data:`.rules.APPLIED`.
    """
    statement = _tags(models, state, instance)
    return _merged(session.execute(statement.where(is_about(models.asset, images))))


def preload(
    session: Session | Connection,
    models: Models,
    images: Mapping[AssetRef, Sequence[AssetRef]],
    instance: str | None,
) -> Preloaded:
    """Return the tags of several assets, with one query for each batch of them.

    :param images: the images of each asset.
    """
    assets = assets_of_images(images)
    found: dict[AssetRef, list[Row[Any]]] = {asset: [] for asset in images}
    statement = _tags(models, APPLIED, instance)
    for some in in_batches(assets):
        for row in session.execute(statement.where(is_about(models.asset, some))):
            for asset in assets[AssetRef(row.asset_type, row.asset_id)]:
                found[asset].append(row)
    return Preloaded({asset: _merged(rows) for asset, rows in found.items()})


def is_about(model: Any, refs: Iterable[AssetRef]) -> ColumnElement[bool]:
    """Return the condition that a row is about one of some assets.

    :param model: a class with the columns ``asset_type`` and ``asset_id``, and an index
        of them.
    :param refs: at least one asset.
    """
    ids = defaultdict[str, list[str]](list)
    for ref in refs:
        ids[ref.type].append(ref.id)
    return or_(
        *(
            and_(model.asset_type == asset_type, model.asset_id.in_(of_type))
            for asset_type, of_type in ids.items()
        )
    )


def display_order(assigned: Any, key: ColumnElement[str]) -> list[ColumnElement[Any]]:
    """Return the order of an asset's tags: pinned, from people, then by confidence.

    :param assigned: has the columns of an assignment.
    :param key: the tag's key, which orders tags of equal confidence.
    """
    return [
        assigned.position.is_(None),
        assigned.position,
        assigned.source == PROVIDER,
        assigned.confidence.is_not(None),
        assigned.confidence.desc(),
        key,
    ]


def _tags(models: Models, state: str, instance: str | None) -> Select[Any]:
    host, tag, assigned = models.asset, models.tag, models.assignment
    columns: tuple[Any, ...] = (
        tag.id,
        tag.name,
        assigned.confidence,
        assigned.provider,
        assigned.model,
        assigned.source,
        assigned.created_at,
        assigned.providers,
        assigned.decided_by,
        assigned.position,
        host.asset_type,
        host.asset_id,
    )
    statement = (
        select(*columns)
        .join_from(host, assigned, assigned.asset_id == host.id)
        .join(tag, tag.id == assigned.tag_id)
        .where(assigned.state == state)
        .order_by(*display_order(assigned, models.tag.__table__.c.key))
    )
    return statement if instance is None else statement.where(host.instance == instance)


def _merged(rows: Iterable[Row[Any]]) -> list[AppliedTag]:
    """Return the tags of an asset's images: each tag once, as its surest image has it.

    :param rows: those of each image in the order of their display.
    """
    first: dict[int, Row[Any]] = {}
    for row in sorted(rows, key=_place):
        first.setdefault(row.id, row)
    return [_as_tag(row) for row in first.values()]


def _place(row: Row[Any]) -> tuple[bool, int, bool, bool, float]:
    """Return the part of :func:`display_order` in which two images may differ."""
    return (
        row.position is None,
        row.position or 0,
        row.source == PROVIDER,
        row.confidence is not None,
        -(row.confidence or 0.0),
    )


def _as_tag(row: Row[Any]) -> AppliedTag:
    return AppliedTag(
        row.name,
        row.confidence,
        row.provider,
        row.model,
        row.source,
        created_at=row.created_at.replace(tzinfo=UTC),
        providers=tuple(row.providers.split(",")) if row.providers else (),
        person=row.decided_by,
        pinned=row.position is not None,
    )
