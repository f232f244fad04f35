"""People's decisions about the tags of images, as the rules need them.

A decision is an assignment whose source is a person: applied or rejected.
:mod:`.deciding` writes it.

An applied tag takes the new name when its word is renamed. A rejection keeps the
rejected name and also counts for the new one: if the word gets its old name back, the
rejection still holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, Table, delete, select, tuple_

from ..db.models import Models
from ..db.sql import (
    dialect_of,
    in_batches,
    insert_or_ignore,
    insert_or_update,
    see_commits,
)
from ..host.assets import AssetRef, number_of
from ..settings.tag_names import TagName
from ..settings.vocabulary import Vocabulary
from .rules import APPLIED

PROVIDER: Final = "provider"
PERSON: Final = "person"
Source = Literal["provider", "person"]

#: Instance and key of a tag.
TagKey = tuple[str, str]


@dataclass(frozen=True)
class OutdatedDecision:
    """A decision about a word that has been renamed or dropped since.

    :param row: the assignment.
    :param name: the word's current name; ``None`` if it was dropped.
    """

    row: Row[Any]
    name: TagName | None


@dataclass
class Decisions:
    """People's decisions about one asset.

    :ivar states: the current key of each tag that was decided on → its state. If two
        words are the same tag now, and one was applied and the other rejected, the tag
        is applied.
    :ivar outdated: decisions that are stored under a former name.
    :ivar rows: all assignments of the asset, whatever their source, with the columns
        ``key`` and ``name`` of the tag.
    """

    states: dict[str, str] = field(default_factory=dict)
    outdated: list[OutdatedDecision] = field(default_factory=list)
    rows: list[Row[Any]] = field(default_factory=list)


def read_decisions(
    connection: Connection,
    models: Models,
    vocabularies: Mapping[int, Vocabulary],
    *,
    newest: bool = False,
) -> dict[int, Decisions]:
    """Read the assignments of some assets, and which of them people decided.

    :param vocabularies: the vocabulary of each asset's instance, by the asset's row.
    :param newest: see :func:`.sql.see_commits`.
    """
    tag, assignment = models.tag.__table__, models.assignment.__table__
    found = {asset_id: Decisions() for asset_id in vocabularies}
    statement = select(assignment, tag.c.key, tag.c.name).join_from(
        assignment, tag, assignment.c.tag_id == tag.c.id
    )
    if newest:
        statement = see_commits(connection, statement)
    for some in in_batches(found):
        for row in connection.execute(statement.where(assignment.c.asset_id.in_(some))):
            found[row.asset_id].rows.append(row)
            if row.source == PERSON:
                _note(found[row.asset_id], row, vocabularies[row.asset_id])
    return found


def _note(decisions: Decisions, row: Row[Any], vocabulary: Vocabulary) -> None:
    name = TagName(row.key, row.name)
    dropped_at = vocabulary.dropped_at(row.key)
    if dropped_at is not None and row.created_at <= dropped_at:
        decisions.outdated.append(OutdatedDecision(row, None))
        return
    called = vocabulary.called(name)
    if called.key != row.key and row.state == APPLIED:
        decisions.outdated.append(OutdatedDecision(row, called))
    if decisions.states.get(called.key) != APPLIED:
        decisions.states[called.key] = row.state


def update_outdated(
    connection: Connection,
    models: Models,
    instances: Mapping[int, str],
    decisions: Mapping[int, Decisions],
) -> None:
    """Move decisions to the current names of their words; delete dropped ones.

    The caller updates the counters.

    :param instances: the instance of each asset, by the asset's row.
    """
    outdated = [each for decided in decisions.values() for each in decided.outdated]
    if not outdated:
        return
    table = models.assignment.__table__
    keys = [(each.row.asset_id, each.row.tag_id) for each in outdated]
    for some in in_batches(keys):
        connection.execute(
            delete(table).where(
                # The primary key begins with it; MariaDB finds no row by a pair.
                table.c.asset_id.in_({asset_id for asset_id, _ in some}),
                tuple_(table.c.asset_id, table.c.tag_id).in_(some),
            )
        )
    renamed = [
        (each.row, instances[each.row.asset_id], each.name)
        for each in outdated
        if each.name is not None
    ]
    wanted = {(instance, name.key): name for _, instance, name in renamed}
    tag_ids = ensure_tags(connection, models.tag.__table__, wanted)
    write_decisions(
        connection,
        table,
        [
            {
                **{column.name: getattr(row, column.name) for column in table.c},
                "tag_id": tag_ids[instance, name.key],
            }
            for row, instance, name in renamed
        ],
    )


def asset_columns(asset: AssetRef) -> dict[str, Any]:
    """Return the columns of an assignment that repeat its asset's."""
    number = number_of(asset)
    asset_type = None if number is None else asset.type
    return {"asset_type": asset_type, "asset_number": number}


def ensure_tags(
    connection: Connection,
    table: Table,
    wanted: Mapping[TagKey, TagName],
    concepts: Mapping[TagKey, str] | None = None,
) -> dict[TagKey, int]:
    """Return the id of each tag, and insert the missing ones.

    :param wanted: the tags' names.
    :param concepts: stable ids of the tags' concepts, where they are known.
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
    dialect = dialect_of(connection)
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

    :param lock: also see tags that others have inserted since the transaction began,
        whatever isolation level the host's transaction has.
    """
    found: dict[TagKey, int] = {}
    for some in in_batches(wanted):
        statement = select(table.c.instance, table.c.key, table.c.id).where(
            table.c.instance.in_({instance for instance, _ in some}),
            table.c.key.in_({key for _, key in some}),
        )
        if lock:
            statement = statement.with_for_update(read=True)
        rows = connection.execute(statement)
        found |= {(row.instance, row.key): row.id for row in rows}
    return found


def write_decisions(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert or update assignments; all rows have the same columns."""
    if not rows:
        return
    key = ("asset_id", "tag_id")
    changed = [name for name in rows[0] if name not in key]
    statement = insert_or_update(table, dialect_of(connection), key, changed)
    connection.execute(statement, rows)
