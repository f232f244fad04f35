"""Predictions and tags → rows, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Row,
    Table,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session

from . import counters
from .asset_rows import NAME_COLUMNS, Name, ensure_rows, is_named
from .assets import AssetRef
from .counters import counting
from .database import insert_or_update, lock_writers
from .decisions import (
    PROVIDER,
    Decisions,
    TagKey,
    asset_columns,
    ensure_tags,
    read_decisions,
    settle,
)
from .models import Models
from .providers.base import Label, Prediction
from .settings.resolution import Settings
from .tagging import Choice, Classified, choose
from .verdicts import APPLIED
from .vocabulary import TagName

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


class _Known(NamedTuple):
    """The row that an asset has, and of which bytes."""

    id: int
    sha256: str | None


def store(session: Session, models: Models, entries: Iterable[Entry]) -> None:
    """Write the predictions, and the tags that the rules make of them.

    Tags that a provider applied earlier and does not any more go; what a person
    decided stays. What a provider said of the same bytes counts on where it fails now;
    what was said of other bytes is forgotten. Of two entries for one asset the later
    one counts.

    Rows are written table by table, in the order of their keys, the assets' first:
    two writers of the same asset follow one another, and never wait in a ring.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    latest = {entry.name: entry for entry in entries}
    chosen = [latest[name] for name in sorted(latest)]
    connection = session.connection()
    asset, prediction = models.asset.__table__, models.prediction.__table__
    lock_writers(connection, asset)
    before = _read_assets(connection, asset, chosen)
    rows = _ensure_assets(connection, asset, chosen, now)
    by_row = {rows[entry.name]: entry for entry in chosen}
    _forget_other_bytes(connection, prediction, before, chosen)
    _store_predictions(connection, prediction, by_row, now)
    by_row = _completed(session, models, by_row)
    assign(session, models, by_row, decide(session, models, by_row), now)


def _ensure_assets(
    connection: Connection, table: Table, entries: Sequence[Entry], now: datetime
) -> dict[Name, int]:
    """Make the row of each asset, or change it.

    Rows that were read before may have been deleted meanwhile: these are new.
    """
    return ensure_rows(
        connection,
        table,
        {
            entry.name: {"sha256": entry.classified.sha256, "tagged_at": now}
            for entry in entries
        },
    )


def _read_assets(
    connection: Connection, table: Table, entries: Sequence[Entry]
) -> dict[Name, _Known]:
    """Read the rows that assets have."""
    columns = [table.c[column] for column in NAME_COLUMNS]
    wanted = {entry.name for entry in entries}
    found = connection.execute(
        select(*columns, table.c.id, table.c.sha256).where(is_named(table, wanted))
    )
    rows = {tuple(row[:3]): _Known(row.id, row.sha256) for row in found}
    return {name: rows[name] for name in wanted & rows.keys()}


def _forget_other_bytes(
    connection: Connection,
    table: Table,
    before: Mapping[Name, _Known],
    entries: Sequence[Entry],
) -> None:
    """Delete what was said of an asset when it had another image."""
    others = [
        before[entry.name].id
        for entry in entries
        if entry.name in before
        and before[entry.name].sha256 not in (None, entry.classified.sha256)
    ]
    if others:
        connection.execute(delete(table).where(table.c.asset_id.in_(others)))


def _completed(
    session: Session, models: Models, by_row: Mapping[int, Entry]
) -> dict[int, Entry]:
    """Add to entries what is stored of the providers that failed this time."""
    lacking = [key for key, entry in by_row.items() if entry.classified.failures]
    stored = read_predictions(session, models, lacking) if lacking else {}
    return {
        key: replace(
            entry, classified=replace(entry.classified, predictions=stored[key])
        )
        if key in stored
        else entry
        for key, entry in by_row.items()
    }


def read_predictions(
    session: Session, models: Models, asset_ids: Sequence[int]
) -> dict[int, list[Prediction]]:
    """Read what providers said of some assets, by their rows."""
    table = models.prediction.__table__
    found: dict[int, list[Prediction]] = {asset_id: [] for asset_id in asset_ids}
    rows = session.execute(
        select(table.c.asset_id, table.c.provider, table.c.model, table.c.labels)
        .where(table.c.asset_id.in_(asset_ids))
        .order_by(table.c.asset_id, table.c.provider)
    )
    for row in rows:
        labels = tuple(Label(*label) for label in row.labels)
        found[row.asset_id].append(Prediction(row.provider, row.model, labels))
    return found


def _store_predictions(
    connection: Connection, table: Table, by_row: Mapping[int, Entry], now: datetime
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
    if rows:
        key = ("asset_id", "provider")
        changed = ("model", "labels", "created_at")
        statement = insert_or_update(table, connection.dialect.name, key, changed)
        connection.execute(statement, rows)


@dataclass(frozen=True)
class Decided:
    """What the rules and the people want on some assets, by their rows.

    :param choices: the tags that the rules want.
    :param people: what people decided.
    """

    choices: Mapping[int, list[Choice]]
    people: Mapping[int, Decisions]

    def only(self, asset_ids: Collection[int]) -> Decided:
        """Leave out the other assets."""
        return Decided(
            {asset_id: self.choices[asset_id] for asset_id in asset_ids},
            {asset_id: self.people[asset_id] for asset_id in asset_ids},
        )


def decide(session: Session, models: Models, by_row: Mapping[int, Entry]) -> Decided:
    """Apply the rules to each asset, by its row, minding what people decided."""
    vocabularies = {
        asset_id: entry.settings.vocabulary for asset_id, entry in by_row.items()
    }
    people = read_decisions(session.connection(), models, vocabularies)
    choices = {
        asset_id: choose(
            entry.classified.predictions,
            entry.settings,
            decided=people[asset_id].states,
        )
        for asset_id, entry in by_row.items()
    }
    return Decided(choices, people)


def assign(
    session: Session,
    models: Models,
    by_row: Mapping[int, Entry],
    decided: Decided,
    now: datetime,
) -> None:
    """Put the rules' choices in the place of what providers said earlier.

    What people decided stays, under the names that its words have now.
    """
    instances = {asset_id: entry.instance for asset_id, entry in by_row.items()}
    connection = session.connection()
    standing: Iterable[Row[Any]] = chain.from_iterable(
        people.rows for people in decided.people.values()
    )
    if settle(connection, models, instances, decided.people):
        standing = counters.read_standing(connection, models, instances.keys())
    wanted = {
        (instances[asset_id], choice.key): choice
        for asset_id, chosen in decided.choices.items()
        for choice in chosen
    }
    tag_ids = ensure_tags(
        connection,
        models.tag.__table__,
        {place: TagName(choice.key, choice.name) for place, choice in wanted.items()},
        {place: choice.concept for place, choice in wanted.items()},
    )
    rows = _assignments(by_row, decided.choices, tag_ids, now)
    _replace(connection, models, instances, list(standing), rows)


def _assignments(
    by_row: Mapping[int, Entry],
    choices: Mapping[int, Sequence[Choice]],
    tag_ids: Mapping[TagKey, int],
    now: datetime,
) -> list[dict[str, Any]]:
    return [
        {
            "asset_id": asset_id,
            "tag_id": tag_ids[by_row[asset_id].instance, choice.key],
            "state": choice.state,
            "source": PROVIDER,
            "provider": choice.provider,
            "providers": ",".join(choice.providers),
            "model": choice.model,
            "confidence": round(choice.confidence, _DIGITS),
            "created_at": now,
            **asset_columns(by_row[asset_id].asset),
        }
        for asset_id, chosen in choices.items()
        for choice in chosen
    ]


def _replace(
    connection: Connection,
    models: Models,
    instances: Mapping[int, str],
    standing: Sequence[Row[Any]],
    rows: Sequence[dict[str, Any]],
) -> None:
    """Put *rows* in the place of what providers said of some assets, and count.

    What :func:`.counters.counting` does, in fewer statements: this is the write of
    every upload, whose rows are known here before and after.

    :param instances: of each asset, by its row, which the caller has locked.
    :param standing: the assets' tags, whoever says so.
    """
    table = models.assignment.__table__
    stale = [row for row in standing if row.source == PROVIDER]
    if stale:
        connection.execute(
            delete(table).where(
                table.c.asset_id.in_({row.asset_id for row in stale}),
                table.c.source == PROVIDER,
            )
        )
    if rows:
        connection.execute(insert(table), rows)
    after = counters.applied(row for row in standing if row.source != PROVIDER)
    after.update(row["tag_id"] for row in rows if row["state"] == APPLIED)
    changes = counters.changed(counters.applied(standing), after)
    if changes:
        of_tags = {row.tag_id: instances[row.asset_id] for row in standing}
        of_tags |= {row["tag_id"]: instances[row["asset_id"]] for row in rows}
        counters.add(connection, models, changes, of_tags)


def untag(connection: Connection, models: Models, asset: AssetRef) -> None:
    """Delete what providers said of an asset, in every instance."""
    forget_providers(connection, models, _lock(connection, models, asset))


def forget_providers(
    connection: Connection, models: Models, asset_ids: Collection[int]
) -> None:
    """Delete predictions, and the tags that came of them; what people decided stays.

    :param asset_ids: the assets' rows, which the caller has locked.
    """
    assignment, prediction = models.assignment.__table__, models.prediction.__table__
    asset = models.asset.__table__
    with counting(connection, models, asset_ids):
        connection.execute(
            delete(assignment).where(
                assignment.c.asset_id.in_(asset_ids), assignment.c.source == PROVIDER
            )
        )
    connection.execute(delete(prediction).where(prediction.c.asset_id.in_(asset_ids)))
    connection.execute(
        update(asset)
        .where(asset.c.id.in_(asset_ids))
        .values(tagged_at=None, sha256=None)
    )


def move(connection: Connection, models: Models, asset: AssetRef, to: AssetRef) -> None:
    """Keep what is stored of an asset under another name, in every instance.

    What was stored under that name goes, in the instances where there is something to
    take its place.
    """
    table, assignment = models.asset.__table__, models.assignment.__table__
    # In one order, whichever of the two somebody else moves the other way.
    rows = {ref: _lock(connection, models, ref) for ref in sorted((asset, to), key=str)}
    ids = rows[asset]
    instances = select(table.c.instance).where(table.c.id.in_(ids))
    replaced = select(table.c.id).where(
        table.c.id.in_(rows[to]), table.c.instance.in_(instances)
    )
    _delete(connection, models, connection.scalars(replaced.with_for_update()).all())
    named = {"asset_type": to.type, "asset_id": to.id}
    connection.execute(update(table).where(table.c.id.in_(ids)).values(**named))
    of_asset = update(assignment).where(assignment.c.asset_id.in_(ids))
    connection.execute(of_asset.values(**asset_columns(to)))


def forget(connection: Connection, models: Models, asset: AssetRef) -> None:
    """Delete predictions and tags of an asset, in every instance."""
    _delete(connection, models, _lock(connection, models, asset))


def _delete(connection: Connection, models: Models, ids: Collection[int]) -> None:
    assignment, table = models.assignment.__table__, models.asset.__table__
    # Not left to ON DELETE CASCADE, which SQLite heeds only when told to.
    with counting(connection, models, ids):
        connection.execute(delete(assignment).where(assignment.c.asset_id.in_(ids)))
    prediction = models.prediction.__table__
    connection.execute(delete(prediction).where(prediction.c.asset_id.in_(ids)))
    connection.execute(delete(table).where(table.c.id.in_(ids)))


def _lock(connection: Connection, models: Models, asset: AssetRef) -> Sequence[int]:
    """Find the rows of an asset; nobody else changes its tags until the end."""
    table = models.asset.__table__
    lock_writers(connection, table)
    return connection.scalars(
        select(table.c.id)
        .where(table.c.asset_type == asset.type, table.c.asset_id == asset.id)
        .order_by(table.c.id)
        .with_for_update()
    ).all()
