"""Predictions and tags → rows, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select
from sqlalchemy.orm import Session

from .assets import AssetRef
from .database import insert_or_ignore, insert_or_update
from .models import Models
from .settings.resolution import Settings
from .tagging import Choice, Classified, choose

APPLIED, SUGGESTED, REJECTED = "applied", "suggested", "rejected"
PROVIDER, PERSON = "provider", "person"

#: Instance, type and id.
Name = tuple[str, str, str]

#: Digits of a stored confidence: a label more or less is no difference.
_DIGITS = 4


@dataclass(frozen=True)
class Entry:
    """One classified image to store.

    :param settings: the rules of its instance.
    """

    asset: AssetRef
    instance: str
    classified: Classified
    settings: Settings

    @property
    def name(self) -> Name:
        """The unique key of the asset's row."""
        return (self.instance, self.asset.type, self.asset.id)


def store(session: Session, models: Models, entries: Iterable[Entry]) -> None:
    """Write the predictions, and the tags that the rules make of them.

    Tags that a provider applied earlier and does not any more go; what a person
    decided stays. Of two entries for one asset the later one counts.

    Rows are written table by table, in the order of their keys, the assets' first:
    two writers of the same asset follow one another, and never wait in a ring.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    latest = {entry.name: entry for entry in entries}
    chosen = [latest[name] for name in sorted(latest)]
    rows = _store_assets(session, models.asset.__table__, chosen, now)
    by_row = {rows[entry.name]: entry for entry in chosen}
    _store_predictions(session, models.prediction.__table__, by_row, now)
    assign(session, models, by_row, decide(session, models, by_row), now)


def _store_assets(
    session: Session, table: Table, entries: Sequence[Entry], now: datetime
) -> dict[Name, int]:
    """Give the id of each asset's row, made if it is new."""
    columns = (table.c.instance, table.c.asset_type, table.c.asset_id)
    keys = [column.name for column in columns]
    new = [
        {
            **dict(zip(keys, entry.name, strict=True)),
            "sha256": entry.classified.sha256,
            "tagged_at": now,
        }
        for entry in entries
    ]
    dialect = session.get_bind().dialect.name
    changed = ("sha256", "tagged_at")
    session.execute(insert_or_update(table, dialect, keys, changed), new)
    wanted = {entry.name for entry in entries}
    found = session.execute(
        select(table.c.id, *columns).where(
            # Both of them lead an index, where a row value would not everywhere.
            table.c.instance.in_({entry.instance for entry in entries}),
            table.c.asset_type.in_({entry.asset.type for entry in entries}),
            table.c.asset_id.in_({entry.asset.id for entry in entries}),
        )
    )
    rows: dict[Name, int] = {tuple(row[1:]): row.id for row in found}
    return {name: rows[name] for name in wanted}


def _store_predictions(
    session: Session, table: Table, by_row: Mapping[int, Entry], now: datetime
) -> None:
    rows: list[dict[str, Any]] = [
        {
            "asset_id": asset_id,
            "provider": prediction.provider,
            "model": prediction.model,
            "labels": [
                [label.id, label.name, round(label.confidence, _DIGITS)]
                for label in prediction.labels
            ],
            "created_at": now,
        }
        for asset_id, entry in by_row.items()
        for prediction in entry.classified.predictions
    ]
    stale: dict[str, list[int]] = {}
    for row in rows:
        stale.setdefault(row["provider"], []).append(row["asset_id"])
    for provider, asset_ids in stale.items():
        session.execute(
            delete(table).where(
                table.c.asset_id.in_(asset_ids), table.c.provider == provider
            )
        )
    if rows:
        session.execute(insert(table), rows)


def decide(
    session: Session, models: Models, by_row: Mapping[int, Entry]
) -> dict[int, list[Choice]]:
    """Apply the rules to each asset, by its row, minding what people decided."""
    decisions = _decisions(session, models, by_row)
    return {
        asset_id: choose(
            entry.classified.predictions,
            entry.settings,
            decided=decisions[asset_id],
            applied_by_people=sum(
                state == APPLIED for state in decisions[asset_id].values()
            ),
        )
        for asset_id, entry in by_row.items()
    }


def assign(
    session: Session,
    models: Models,
    by_row: Mapping[int, Entry],
    choices: Mapping[int, Sequence[Choice]],
    now: datetime,
) -> None:
    """Put *choices* in the place of the tags that providers applied earlier."""
    tag_ids = _ensure_tags(session, models.tag.__table__, by_row, choices)
    _replace_assignments(
        session, models.assignment.__table__, by_row, choices, tag_ids, now
    )


def _decisions(
    session: Session, models: Models, asset_ids: Iterable[int]
) -> dict[int, dict[str, str]]:
    """Map each asset to the keys of the tags that a person decided on, and how."""
    tag, assignment = models.tag.__table__, models.assignment.__table__
    decided: dict[int, dict[str, str]] = {asset_id: {} for asset_id in asset_ids}
    rows = session.execute(
        select(assignment.c.asset_id, tag.c.key, assignment.c.state)
        .join_from(assignment, tag, assignment.c.tag_id == tag.c.id)
        .where(assignment.c.asset_id.in_(list(decided)), assignment.c.source == PERSON)
    )
    for row in rows:
        decided[row.asset_id][row.key] = row.state
    return decided


def _ensure_tags(
    session: Session,
    table: Table,
    by_row: Mapping[int, Entry],
    choices: Mapping[int, Sequence[Choice]],
) -> dict[tuple[str, str], int]:
    """Give the id of each chosen tag by its instance and key, made if it is new."""
    wanted = {
        (by_row[asset_id].instance, choice.key): choice
        for asset_id, chosen in choices.items()
        for choice in chosen
    }
    known = _tag_ids(session, table, wanted)
    new = [
        {
            "instance": instance,
            "key": key,
            "name": wanted[instance, key].name,
            "concept": wanted[instance, key].concept,
        }
        for instance, key in sorted(wanted.keys() - known.keys())
    ]
    if not new:
        return known
    dialect = session.get_bind().dialect.name
    session.execute(insert_or_ignore(table, dialect, ["instance", "key"]), new)
    return _tag_ids(session, table, wanted)


def _tag_ids(
    session: Session, table: Table, wanted: Collection[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    rows = session.execute(
        select(table.c.instance, table.c.key, table.c.id).where(
            table.c.instance.in_({instance for instance, _ in wanted}),
            table.c.key.in_({key for _, key in wanted}),
        )
    )
    return {(row.instance, row.key): row.id for row in rows}


def _replace_assignments(
    session: Session,
    table: Table,
    by_row: Mapping[int, Entry],
    choices: Mapping[int, Sequence[Choice]],
    tag_ids: Mapping[tuple[str, str], int],
    now: datetime,
) -> None:
    session.execute(
        delete(table).where(
            table.c.asset_id.in_(list(by_row)), table.c.source == PROVIDER
        )
    )
    rows: list[dict[str, Any]] = [
        {
            "asset_id": asset_id,
            "tag_id": tag_ids[by_row[asset_id].instance, choice.key],
            "state": APPLIED,
            "source": PROVIDER,
            "provider": choice.provider,
            "providers": ",".join(choice.providers),
            "model": choice.model,
            "confidence": round(choice.confidence, _DIGITS),
            "created_at": now,
        }
        for asset_id, chosen in choices.items()
        for choice in chosen
    ]
    if rows:
        session.execute(insert(table), rows)


def forget(connection: Connection, models: Models, asset: AssetRef) -> None:
    """Delete predictions and tags of an asset, in every instance."""
    table = models.asset.__table__
    same = (table.c.asset_type == asset.type, table.c.asset_id == asset.id)
    ids = select(table.c.id).where(*same)
    # Not left to ON DELETE CASCADE, which SQLite heeds only when told to.
    for child in (models.assignment.__table__, models.prediction.__table__):
        connection.execute(delete(child).where(child.c.asset_id.in_(ids)))
    connection.execute(delete(table).where(*same))
