"""Bulk actions: decisions of a person about one tag on many assets of an instance.

Each asset of an action is an item, which keeps the assignment as it was before, so that
the action can be undone. :mod:`.bulk_decisions` works through the items in portions, in
the caller's transaction or in those of a job.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, func, insert, literal, select, update

from ..db.columns import user_text
from ..db.models import Models
from ..db.sql import dialect_of, insert_or_ignore, rows_changed, utc_now
from ..settings.stored import StoredSettings
from ..settings.tag_names import TagName
from .batches import BATCH_SIZE

#: The phases of an action.
DOING, DONE, UNDOING, UNDONE = "doing", "done", "undoing", "undone"


class ItemOutcome(StrEnum):
    """The effect of an action on one asset."""

    #: The tag's state or source has changed.
    CHANGED = "changed"
    #: A person had given the tag this state before.
    UNCHANGED = "unchanged"
    #: The tag was not in the state that the action expects; nothing was done.
    UNEXPECTED = "unexpected"
    #: The undo has restored the assignment.
    RESTORED = "restored"
    #: Somebody had decided on the tag again; the undo left it.
    KEPT = "kept"


#: The outcomes after a decision, which an undo takes back.
DECIDED = (ItemOutcome.CHANGED, ItemOutcome.UNCHANGED)


@dataclass(frozen=True)
class BulkAction:
    """A stored action.

    :param state: the state that the tag gets: applied or rejected.
    :param expected: the state that the tag of an asset must have; ``None`` for any.
    :param phase: :data:`DOING`, :data:`DONE`, :data:`UNDOING` or :data:`UNDONE`.
    :param images: number of assets.
    :param changed: number of assets whose tag has changed.
    :param restored: number of assets that an undo has restored.
    :param person: the user who decided.
    :param undone_by: the user who undid it.
    :param created_at: when it began, in UTC.
    :param request_digest: the hash of the request that began it, if that has a key.
    """

    id: int
    instance: str
    tag: TagName
    state: str
    expected: str | None
    phase: str
    images: int
    changed: int
    restored: int
    person: str | None
    undone_by: str | None
    created_at: datetime
    request_digest: str | None = None


@dataclass(frozen=True)
class Request:
    """The request of a client that may repeat it.

    :param key: chosen by the client, at most 64 characters.
    :param digest: the hexadecimal SHA-256 of its content.
    """

    key: str
    digest: str


def begin(
    connection: Connection,
    stored: StoredSettings,
    instance: str,
    name: TagName,
    state: str,
    expected: str | None,
    who: str | None,
    request: Request | None = None,
) -> BulkAction:
    """Store a new action without assets.

    :param stored: reads the settings of the instance.
    :param name: the tag's current name, or a former one.
    :param who: the user who decides.
    :raises sqlalchemy.exc.IntegrityError: if the instance has an action with the key of
        the request.
    """
    tag = stored.settings(connection, instance).vocabulary.called(name)
    table = stored.models.bulk_action.__table__
    values = {
        "instance": instance,
        "state": state,
        "expected": expected,
        "tag_key": tag.key,
        "tag_name": tag.name,
        "phase": DOING,
        "images": 0,
        "changed": 0,
        "restored": 0,
        "decided_by": user_text(who),
        "undone_by": None,
        "request_key": request and request.key,
        "request_digest": request and request.digest,
        "created_at": utc_now(),
    }
    inserted = connection.execute(insert(table).values(**values))
    [action_id] = inserted.inserted_primary_key or [0]
    return _as_action({**values, "id": action_id})


def read(
    connection: Connection,
    models: Models,
    action_id: int,
    instance: str,
    *,
    lock: bool = False,
) -> BulkAction | None:
    """Read an action; ``None`` if the instance has no such action.

    :param lock: lock its row until the transaction ends.
    """
    table = models.bulk_action.__table__
    statement = select(table).where(
        table.c.id == action_id, table.c.instance == instance
    )
    if lock:
        statement = statement.with_for_update()
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _as_action(row)


def read_by_request(
    connection: Connection, models: Models, instance: str, key: str
) -> BulkAction | None:
    """Read the action that a client's request began; ``None`` if there is none."""
    table = models.bulk_action.__table__
    row = (
        connection.execute(
            select(table).where(
                table.c.instance == instance, table.c.request_key == key
            )
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else _as_action(row)


def _as_action(row: Mapping[Any, Any]) -> BulkAction:
    return BulkAction(
        row["id"],
        row["instance"],
        TagName(row["tag_key"], row["tag_name"]),
        row["state"],
        row["expected"],
        row["phase"],
        row["images"],
        row["changed"],
        row["restored"],
        row["decided_by"],
        row["undone_by"],
        row["created_at"].replace(tzinfo=UTC),
        row["request_digest"],
    )


def add_items(
    connection: Connection, models: Models, action: BulkAction, rows: Select[Any]
) -> int:
    """Add the assets that a statement selects to an action, for a job to decide on.

    :param rows: selects the keys of assets' rows of the action's instance, each once.
    :return: number of assets.
    """
    table = models.bulk_item.__table__
    found = rows.subquery()
    [asset_id] = found.c
    connection.execute(
        insert(table).from_select(
            ["action_id", "asset_id"], select(literal(action.id), asset_id)
        )
    )
    return count_items(connection, models, action)


def add_rows(
    connection: Connection, models: Models, action: BulkAction, rows: Collection[int]
) -> None:
    """Add assets to an action that has some already; those it has stay as they are.

    The caller calls :func:`count_items` after the last ones.

    :param rows: keys of assets' rows of the action's instance.
    """
    if not rows:
        return
    table = models.bulk_item.__table__
    key = ("action_id", "asset_id")
    connection.execute(
        insert_or_ignore(table, dialect_of(connection), key),
        [{"action_id": action.id, "asset_id": row} for row in sorted(rows)],
    )


def count_items(connection: Connection, models: Models, action: BulkAction) -> int:
    """Store the number of an action's assets, and return it."""
    table, actions = models.bulk_item.__table__, models.bulk_action.__table__
    number = connection.scalar(
        select(func.count()).where(table.c.action_id == action.id)
    )
    connection.execute(
        update(actions).where(actions.c.id == action.id).values(images=number)
    )
    return number or 0


def count_waiting(connection: Connection, models: Models, action: BulkAction) -> int:
    """Count the assets of an action on which it has not decided yet."""
    table = models.bulk_item.__table__
    waiting = select(func.count()).where(
        table.c.action_id == action.id, table.c.outcome.is_(None)
    )
    return connection.scalar(waiting) or 0


def count(
    connection: Connection,
    models: Models,
    action: BulkAction,
    outcomes: Collection[ItemOutcome],
    *,
    is_new: bool = False,
) -> None:
    """Add the outcomes of a portion to an action's numbers.

    :param is_new: whether the assets are not among its number of assets yet.
    """
    table = models.bulk_action.__table__
    added = {
        "changed": sum(each is ItemOutcome.CHANGED for each in outcomes),
        "restored": sum(each is ItemOutcome.RESTORED for each in outcomes),
        "images": len(outcomes) if is_new else 0,
    }
    connection.execute(
        update(table)
        .where(table.c.id == action.id)
        .values({name: table.c[name] + number for name, number in added.items()})
    )


def finish(connection: Connection, models: Models, action: BulkAction) -> None:
    """End the phase of an action whose items are all worked through."""
    table = models.bulk_action.__table__
    phase = UNDONE if action.phase in (UNDOING, UNDONE) else DONE
    connection.execute(update(table).where(table.c.id == action.id).values(phase=phase))


def forget_request(connection: Connection, models: Models, action: BulkAction) -> None:
    """Let the key of an action's request begin another action."""
    table = models.bulk_action.__table__
    connection.execute(
        update(table).where(table.c.id == action.id).values(request_key=None)
    )


def begin_undo(
    connection: Connection, models: Models, action: BulkAction, who: str | None
) -> bool:
    """Let an action be undone, by the caller or by a job.

    :param who: the user who undoes it.
    :return: ``False`` if it is not done yet, or undone already.
    """
    table = models.bulk_action.__table__
    return bool(
        rows_changed(
            connection,
            update(table)
            .where(table.c.id == action.id, table.c.phase == DONE)
            .values(phase=UNDOING, undone_by=user_text(who)),
        )
    )


def next_items(
    connection: Connection, models: Models, action: BulkAction, after: int
) -> Sequence[int]:
    """Return the assets' rows of the next portion that a job has to work through.

    :param after: the last row of the portion before; 0 for the first.
    """
    table = models.bulk_item.__table__
    waiting = (
        table.c.outcome.in_(DECIDED)
        if action.phase == UNDOING
        else table.c.outcome.is_(None)
    )
    return connection.scalars(
        select(table.c.asset_id)
        .where(table.c.action_id == action.id, table.c.asset_id > after, waiting)
        .order_by(table.c.asset_id)
        .limit(BATCH_SIZE)
    ).all()


def latest(
    connection: Connection,
    models: Models,
    instance: str,
    limit: int,
    before: int | None = None,
) -> list[BulkAction]:
    """Read the latest actions of an instance, for its history.

    :param before: the key of the last action of the page before; ``None`` for the
        first page.
    """
    table = models.bulk_action.__table__
    statement = (
        select(table)
        .where(table.c.instance == instance)
        .order_by(table.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(table.c.id < before)
    return [_as_action(row) for row in connection.execute(statement).mappings()]
