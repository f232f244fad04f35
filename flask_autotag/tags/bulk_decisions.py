"""Decides on the assets of a bulk action, portion by portion, and undoes it.

The number of statements for a portion does not depend on the number of its assets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, delete, select, update

from ..db.models import Models
from ..db.sql import dialect_of, in_batches, insert_or_update, see_commits
from ..host.assets import AssetRef
from ..settings.stored import StoredSettings
from ..settings.tag_names import TagName
from . import bulk_actions
from .batches import BATCH_SIZE
from .bulk_actions import DECIDED, BulkAction, ItemOutcome
from .deciding import decide_on_rows, rejudging
from .decisions import PERSON, write_decisions

#: The columns of an assignment that an item keeps, each as ``old_`` and its name.
_KEPT: Final = ("state", "source", "decided_by", "created_at", "position")


def portions(assets: Mapping[int, AssetRef]) -> Iterator[dict[int, AssetRef]]:
    """Divide assets into portions, in the order of their rows."""
    rows = sorted(assets)
    for start in range(0, len(rows), BATCH_SIZE):
        yield {row: assets[row] for row in rows[start : start + BATCH_SIZE]}


def decide_all(
    connection: Connection,
    stored: StoredSettings,
    action: BulkAction,
    assets: Mapping[int, AssetRef],
) -> dict[int, ItemOutcome]:
    """Decide on all assets of a new action, and finish it.

    The parameters and the return value are those of :func:`decide`.
    """
    outcomes: dict[int, ItemOutcome] = {}
    for portion in portions(assets):
        outcomes |= decide(connection, stored, action, portion)
    bulk_actions.count(
        connection, stored.models, action, outcomes.values(), is_new=True
    )
    bulk_actions.finish(connection, stored.models, action)
    return outcomes


@dataclass(frozen=True)
class Decided:
    """A decision on the tag of one asset.

    :param old: the assignment before; ``None`` if there was none.
    :param decided_at: the time of the decision, in UTC without a time zone; ``None`` if
        the tag was not in the expected state.
    """

    asset_id: int
    outcome: ItemOutcome
    old: Row[Any] | None
    decided_at: datetime | None


def decide(
    connection: Connection,
    stored: StoredSettings,
    action: BulkAction,
    assets: Mapping[int, AssetRef],
) -> dict[int, ItemOutcome]:
    """Decide on the assets of a portion, and keep their items.

    :param assets: the assets by their rows, which the caller has locked. The rows
        belong to the action's instance.
    :return: the outcome of each asset.
    """
    decisions = decide_on(
        connection,
        stored,
        action.instance,
        action.tag,
        action.state,
        assets,
        action.person,
        action.expected,
    )
    if decisions:
        _write_items(connection, stored.models.bulk_item.__table__, action, decisions)
    return {each.asset_id: each.outcome for each in decisions}


def decide_on(
    connection: Connection,
    stored: StoredSettings,
    instance: str,
    tag: TagName,
    state: str,
    assets: Mapping[int, AssetRef],
    who: str | None,
    expected: str | None = None,
) -> list[Decided]:
    """Decide on one tag of several assets.

    :param stored: reads the settings of the instance.
    :param tag: the tag's current name, or a former one.
    :param state: the state that it gets.
    :param assets: the assets by their rows, which the caller has locked. The rows
        belong to the instance.
    :param who: the user's name.
    :param expected: the state that the tag must have; ``None`` for any.
    """
    models = stored.models
    settings = stored.settings(connection, instance)
    name = settings.vocabulary.called(tag)
    rows = _read_rows(connection, models, instance, [name.key], assets)
    old = {row.asset_id: row for row in rows}
    wanted = {
        asset_id: (asset, state)
        for asset_id, asset in assets.items()
        if expected in (None, _state(old.get(asset_id)))
    }
    now = None
    if wanted:
        now = decide_on_rows(connection, models, settings, instance, name, wanted, who)
    return [
        Decided(
            asset_id,
            _outcome(state, old.get(asset_id))
            if asset_id in wanted
            else ItemOutcome.UNEXPECTED,
            old.get(asset_id),
            now if asset_id in wanted else None,
        )
        for asset_id in sorted(assets)
    ]


def _state(row: Row[Any] | None) -> str | None:
    return None if row is None else row.state


def _outcome(state: str, old: Row[Any] | None) -> ItemOutcome:
    if old is None:
        return ItemOutcome.CHANGED
    return _outcome_after(state, old.state, old.source)


def _outcome_after(
    state: str, old_state: str | None, old_source: str | None
) -> ItemOutcome:
    """Return the outcome of a decision after what the assignment was before."""
    if (old_state, old_source) == (state, PERSON):
        return ItemOutcome.UNCHANGED
    return ItemOutcome.CHANGED


def read_outcomes(
    connection: Connection, models: Models, action: BulkAction
) -> dict[AssetRef, ItemOutcome]:
    """Read what an action has changed, whether or not it was undone since.

    :return: the outcome of each asset on whose tag it has decided, and which the
        instance still has.
    """
    item, asset = models.bulk_item.__table__, models.asset.__table__
    rows = connection.execute(
        select(item, asset.c.asset_type, asset.c.asset_id.label("host_id"))
        .join_from(item, asset, asset.c.id == item.c.asset_id)
        .where(
            item.c.action_id == action.id,
            item.c.decided_at.is_not(None),
            asset.c.instance == action.instance,
        )
    )
    return {
        AssetRef(row.asset_type, row.host_id): _outcome_after(
            action.state, row.old_state, row.old_source
        )
        for row in rows
    }


def _write_items(
    connection: Connection,
    table: Table,
    action: BulkAction,
    decisions: Sequence[Decided],
) -> None:
    """Keep the outcome of each decision, and the assignment before."""
    items = [
        {
            "action_id": action.id,
            "asset_id": each.asset_id,
            "outcome": each.outcome,
            "decided_at": each.decided_at,
            **{f"old_{column}": getattr(each.old, column, None) for column in _KEPT},
        }
        for each in decisions
    ]
    key = ("action_id", "asset_id")
    changed = [column for column in items[0] if column not in key]
    statement = insert_or_update(table, dialect_of(connection), key, changed)
    connection.execute(statement, items)


def undo(
    connection: Connection,
    stored: StoredSettings,
    action: BulkAction,
    assets: Mapping[int, AssetRef],
) -> dict[int, ItemOutcome]:
    """Undo an action on the assets of a portion.

    A tag on which somebody has decided again stays as it is. Then the rules apply to
    the assets: by new settings, a restored tag of a provider may disappear.

    :param assets: as in :func:`decide`. Each is an item of the action.
    :return: the outcome of each asset that the action had decided on.
    """
    models, instance = stored.models, action.instance
    table, item = models.assignment.__table__, models.bulk_item.__table__
    settings = stored.settings(connection, instance)
    items = _items(connection, models, action, assets)
    # A job may have moved the decision to the word's new name; rejections stay.
    keys = {action.tag.key, settings.vocabulary.called(action.tag).key}
    decided = [
        row
        for row in _read_rows(connection, models, instance, keys, items)
        if row.created_at == items[row.asset_id].decided_at
        and (row.state, row.source) == (action.state, PERSON)
    ]
    ours = {row.asset_id: assets[row.asset_id] for row in decided}
    with rejudging(connection, models, settings, instance, ours):
        _restore(connection, table, decided, items)
    outcomes = {ItemOutcome.RESTORED: [*ours], ItemOutcome.KEPT: [*items.keys() - ours]}
    for outcome, asset_ids in outcomes.items():
        for some in in_batches(asset_ids):
            connection.execute(
                update(item)
                .where(item.c.action_id == action.id, item.c.asset_id.in_(some))
                .values(outcome=outcome)
            )
    return {row: each for each, asset_ids in outcomes.items() for row in asset_ids}


def _items(
    connection: Connection,
    models: Models,
    action: BulkAction,
    asset_ids: Collection[int],
) -> dict[int, Row[Any]]:
    """Read the items of some assets on whose tag the action has decided."""
    table = models.bulk_item.__table__
    return {
        row.asset_id: row
        for some in in_batches(asset_ids)
        for row in connection.execute(
            select(table).where(
                table.c.action_id == action.id,
                table.c.asset_id.in_(some),
                table.c.outcome.in_(DECIDED),
            )
        )
    }


def _restore(
    connection: Connection,
    table: Table,
    decided: Sequence[Row[Any]],
    items: Mapping[int, Row[Any]],
) -> None:
    """Give assignments the values that their items keep; delete new ones."""
    new = [row for row in decided if items[row.asset_id].old_state is None]
    for tag_id in {row.tag_id for row in new}:
        for some in in_batches(row.asset_id for row in new if row.tag_id == tag_id):
            connection.execute(
                delete(table).where(
                    table.c.asset_id.in_(some), table.c.tag_id == tag_id
                )
            )
    former = [
        {
            **row._mapping,
            **{
                column: getattr(items[row.asset_id], f"old_{column}")
                for column in _KEPT
            },
        }
        for row in decided
        if items[row.asset_id].old_state is not None
    ]
    write_decisions(connection, table, former)


def _read_rows(
    connection: Connection,
    models: Models,
    instance: str,
    keys: Collection[str],
    asset_ids: Collection[int],
) -> list[Row[Any]]:
    """Read the assignments of some tags to some assets.

    :param keys: the keys of the tags, which may not exist.
    """
    tag, table = models.tag.__table__, models.assignment.__table__
    tag_ids = connection.scalars(
        select(tag.c.id).where(tag.c.instance == instance, tag.c.key.in_(keys))
    ).all()
    found: list[Row[Any]] = []
    for some in in_batches(asset_ids if tag_ids else ()):
        statement = select(table).where(
            table.c.asset_id.in_(some), table.c.tag_id.in_(tag_ids)
        )
        found += connection.execute(see_commits(connection, statement))
    return found
