"""What people decided about the tags of images: as rows, and read for the rules.

A decision is an assignment whose source is a person: applied, or rejected. It is
written in one statement a row, after the row of its asset, so that it and a worker
that stores tags of the same asset follow one another.

What was applied follows its word to a new name. What was rejected stays under the name
that was rejected, and counts for the new one too: a word that is called what it was
before is not back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, Table, delete, select

from .asset_rows import ensure_rows
from .assets import AssetRef, number_of
from .counters import counting
from .database import insert_or_ignore, insert_or_update
from .models import USER_LENGTH, Models
from .verdicts import APPLIED, REJECTED
from .vocabulary import TagName, Vocabulary
from .words import read_vocabulary

PROVIDER: Final = "provider"
PERSON: Final = "person"
Source = Literal["provider", "person"]

#: Instance and key of a tag.
TagKey = tuple[str, str]


@dataclass(frozen=True)
class Moved:
    """A tag that somebody added and that is called otherwise by now, or was dropped.

    :param row: of the assignment.
    :param name: what it is called now; ``None`` if it was dropped.
    """

    row: Row[Any]
    name: TagName | None


@dataclass
class Decisions:
    """What people decided about one asset.

    :ivar states: present key of each tag that somebody decided on → its state. Where
        one word was applied and another rejected that are the same tag now, it is
        applied.
    :ivar moved: what stands in the table under another name.
    :ivar rows: all tags of the asset, whoever says so, with ``key`` and ``name``.
    """

    states: dict[str, str] = field(default_factory=dict)
    moved: list[Moved] = field(default_factory=list)
    rows: list[Row[Any]] = field(default_factory=list)


def read_decisions(
    connection: Connection, models: Models, vocabularies: Mapping[int, Vocabulary]
) -> dict[int, Decisions]:
    """Read what people decided, and with it all tags that the assets have.

    :param vocabularies: of each asset, by its row.
    """
    tag, assignment = models.tag.__table__, models.assignment.__table__
    found = {asset_id: Decisions() for asset_id in vocabularies}
    rows = connection.execute(
        select(assignment, tag.c.key, tag.c.name)
        .join_from(assignment, tag, assignment.c.tag_id == tag.c.id)
        .where(assignment.c.asset_id.in_(list(found)))
    )
    for row in rows:
        found[row.asset_id].rows.append(row)
        if row.source == PERSON:
            _note(found[row.asset_id], row, vocabularies[row.asset_id])
    return found


def _note(decisions: Decisions, row: Row[Any], vocabulary: Vocabulary) -> None:
    name = TagName(row.key, row.name)
    dropped_at = vocabulary.dropped_at(row.key)
    if dropped_at is not None and row.created_at <= dropped_at:
        decisions.moved.append(Moved(row, None))
        return
    called = vocabulary.called(name)
    if called.key != row.key and row.state == APPLIED:
        decisions.moved.append(Moved(row, called))
    if decisions.states.get(called.key) != APPLIED:
        decisions.states[called.key] = row.state


def settle(
    connection: Connection,
    models: Models,
    instances: Mapping[int, str],
    decisions: Mapping[int, Decisions],
) -> bool:
    """Put decisions under the names that their words have now; drop what was dropped.

    :param instances: of each asset, by its row.
    :return: whether there was anything to do.
    """
    moved = [
        (asset_id, each)
        for asset_id, decided in decisions.items()
        for each in decided.moved
    ]
    if moved:
        with counting(connection, models, {asset_id for asset_id, _ in moved}):
            _move(connection, models, instances, decisions, moved)
    return bool(moved)


def _move(
    connection: Connection,
    models: Models,
    instances: Mapping[int, str],
    decisions: Mapping[int, Decisions],
    moved: Sequence[tuple[int, Moved]],
) -> None:
    table = models.assignment.__table__
    for asset_id, each in moved:
        connection.execute(
            delete(table).where(
                table.c.asset_id == asset_id, table.c.tag_id == each.row.tag_id
            )
        )
    wanted = {
        (instances[asset_id], each.name.key): each.name
        for asset_id, each in moved
        if each.name is not None
    }
    tag_ids = ensure_tags(connection, models.tag.__table__, wanted)
    for asset_id, each in moved:
        if each.name is None:
            continue
        tag_id = tag_ids[instances[asset_id], each.name.key]
        values = {column.name: getattr(each.row, column.name) for column in table.c}
        _write(connection, table, {**values, "tag_id": tag_id})


def decide(
    connection: Connection,
    models: Models,
    asset: AssetRef,
    instance: str,
    name: TagName,
    state: str,
    who: str | None,
) -> None:
    """Note that a person adds or rejects a tag of an asset.

    What a provider said of it stays beside the decision.

    :param name: what the tag is called, or was.
    :param state: :data:`.verdicts.APPLIED` or :data:`.verdicts.REJECTED`.
    :param who: the user's name.
    """
    row = (instance, asset.type, asset.id)
    asset_id = ensure_rows(connection, models.asset.__table__, {row: {}})[row]
    vocabulary = read_vocabulary(connection, models, instance)
    name = vocabulary.called(name)
    wanted = {(instance, name.key): name}
    tag_ids = ensure_tags(connection, models.tag.__table__, wanted)
    decision = {
        "state": state,
        "source": PERSON,
        "decided_by": who[:USER_LENGTH] if who else None,
        "created_at": datetime.now(UTC).replace(tzinfo=None),
        **asset_columns(asset),
    }
    key = {"asset_id": asset_id, "tag_id": tag_ids[instance, name.key]}
    table = models.assignment.__table__
    with counting(connection, models, [asset_id]):
        _drop_former(connection, models, asset_id, name, vocabulary)
        _write(connection, table, {**key, **decision})


def asset_columns(asset: AssetRef) -> dict[str, Any]:
    """Give what the row of an assignment repeats of its asset."""
    number = number_of(asset)
    asset_type = None if number is None else asset.type
    return {"asset_type": asset_type, "asset_number": number}


def _drop_former(
    connection: Connection,
    models: Models,
    asset_id: int,
    name: TagName,
    vocabulary: Vocabulary,
) -> None:
    """Delete the tag of an asset under the names that it had before.

    The job that will rename it must find nothing that speaks against the decision.
    """
    if all(given.key != name.key for given in vocabulary.given_names):
        return
    tag, assignment = models.tag.__table__, models.assignment.__table__
    rows = connection.execute(
        select(tag.c.id, tag.c.key, tag.c.name)
        .join_from(assignment, tag, assignment.c.tag_id == tag.c.id)
        .where(assignment.c.asset_id == asset_id, assignment.c.state != REJECTED)
    )
    former = [
        row.id
        for row in rows
        if row.key != name.key
        and vocabulary.called(TagName(row.key, row.name)).key == name.key
    ]
    connection.execute(
        delete(assignment).where(
            assignment.c.asset_id == asset_id, assignment.c.tag_id.in_(former)
        )
    )


def ensure_tags(
    connection: Connection,
    table: Table,
    wanted: Mapping[TagKey, TagName],
    concepts: Mapping[TagKey, str] | None = None,
) -> dict[TagKey, int]:
    """Give the id of each tag, made if it is new.

    :param wanted: the tags' names.
    :param concepts: stable ids of what they are, where they are known.
    """
    known = _tag_ids(connection, table, wanted)
    new = [
        {
            "instance": instance,
            "key": key,
            "name": wanted[instance, key].name,
            "concept": (concepts or {}).get((instance, key)),
        }
        for instance, key in sorted(wanted.keys() - known.keys())
    ]
    if not new:
        return known
    dialect = connection.dialect.name
    connection.execute(insert_or_ignore(table, dialect, ["instance", "key"]), new)
    return _tag_ids(connection, table, wanted, lock=True)


def _tag_ids(
    connection: Connection,
    table: Table,
    wanted: Iterable[TagKey],
    *,
    lock: bool = False,
) -> dict[TagKey, int]:
    """Find the ids of tags.

    :param lock: see those too that others have made since the transaction began,
        under whatever isolation a host's transaction has.
    """
    keys = list(wanted)
    statement = select(table.c.instance, table.c.key, table.c.id).where(
        table.c.instance.in_({instance for instance, _ in keys}),
        table.c.key.in_({key for _, key in keys}),
    )
    if lock:
        statement = statement.with_for_update(read=True)
    return {(row.instance, row.key): row.id for row in connection.execute(statement)}


def _write(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    key = ("asset_id", "tag_id")
    changed = [name for name in values if name not in key]
    statement = insert_or_update(table, connection.dialect.name, key, changed)
    connection.execute(statement, [dict(values)])
