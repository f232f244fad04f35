"""The outcomes of bulk actions, for pages that report them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, exists, func, select

from ...db.models import Models
from ...host.assets import AssetRef
from ..bulk_actions import DECIDED, BulkAction, ItemOutcome


def count_outcomes(
    connection: Connection, models: Models, action_id: int
) -> Mapping[ItemOutcome | None, int]:
    """Count the images of an action by outcome; ``None`` is for those that wait."""
    table = models.bulk_item.__table__
    counted = (
        select(table.c.outcome, func.count().label("images"))
        .where(table.c.action_id == action_id)
        .group_by(table.c.outcome)
    )
    return {
        None if row.outcome is None else ItemOutcome(row.outcome): row.images
        for row in connection.execute(counted)
    }


def images_with(
    connection: Connection,
    models: Models,
    action: BulkAction,
    outcome: ItemOutcome,
    limit: int,
) -> Sequence[AssetRef]:
    """List images of an action that have an outcome."""
    item, asset = models.bulk_item.__table__, models.asset.__table__
    found = connection.execute(
        select(asset.c.asset_type, asset.c.asset_id)
        .join(item, item.c.asset_id == asset.c.id)
        .where(
            asset.c.instance == action.instance,
            item.c.action_id == action.id,
            item.c.outcome == outcome,
        )
        .order_by(item.c.asset_id)
        .limit(limit)
    )
    return [AssetRef(row.asset_type, row.asset_id) for row in found]


def with_images(
    connection: Connection, models: Models, action_ids: Collection[int]
) -> set[int]:
    """Return those actions that have decided on an image that still exists."""
    action, item = models.bulk_action.__table__, models.bulk_item.__table__
    has_images = exists().where(
        item.c.action_id == action.c.id, item.c.outcome.in_(DECIDED)
    )
    statement = select(action.c.id).where(action.c.id.in_(action_ids), has_images)
    return {*connection.scalars(statement)}
