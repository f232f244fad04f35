"""Stores predictions and their tags, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
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

from ..classification.request import Classified
from ..db.models import Models
from ..db.sql import (
    dialect_of,
    in_batches,
    insert_or_update,
    lock_writers,
    see_commits,
    utc_now,
)
from ..host.assets import AssetRef
from ..providers.base import Label, Prediction
from ..settings.resolution import Settings
from ..settings.tag_names import TagName
from . import counters
from .asset_rows import NAME_COLUMNS, Name, ensure_rows, is_named, is_of, lock_row
from .choices import ChosenTag, choose
from .counters import counting
from .decisions import (
    PROVIDER,
    Decisions,
    TagKey,
    asset_columns,
    ensure_tags,
    read_decisions,
    update_outdated,
)
from .rules import APPLIED

#: Decimal places of a stored confidence: further ones make no difference to tags.
_DIGITS = 4


@dataclass(frozen=True)
class Entry:
    """One classified image to store.

    :param settings: the settings of its instance.
    """

    asset: AssetRef
    instance: str
    classified: Classified
    settings: Settings

    @property
    def name(self) -> Name:
        """The unique key of the asset's row."""
        return (self.instance, self.asset.type, self.asset.id)


class _Stored(NamedTuple):
    """An asset's row, and the digest of the image that was classified."""

    id: int
    sha256: str | None


def store(session: Session, models: Models, entries: Iterable[Entry]) -> None:
    """Write predictions, and the tags that the rules derive from them.

    Earlier tags of providers are replaced; people's decisions stay. If a provider fails
    now, its stored prediction still counts if it is of the same bytes; predictions of
    other bytes are deleted. If an asset has several entries, the last one counts.

    Rows are written table by table and in the order of their keys, beginning with the
    assets: a fixed order cannot deadlock, and two writers of the same asset follow one
    another.
    """
    now = utc_now()
    latest = {entry.name: entry for entry in entries}
    in_order = [latest[name] for name in sorted(latest)]
    connection = session.connection()
    asset, prediction = models.asset.__table__, models.prediction.__table__
    lock_writers(connection, asset)
    before = _read_assets(connection, asset, in_order)
    # A row that was read may have been deleted meanwhile; it is inserted again.
    rows = ensure_rows(
        connection,
        asset,
        {
            entry.name: {
                "sha256": entry.classified.sha256,
                "tagged_at": now,
                "no_image": False,
            }
            for entry in in_order
        },
    )
    by_row = {rows[entry.name]: entry for entry in in_order}
    _delete_other_bytes(connection, prediction, before, in_order)
    _store_predictions(connection, prediction, by_row, now)
    by_row = _completed(connection, models, by_row)
    assign(connection, models, by_row, apply_rules(connection, models, by_row), now)


def _read_assets(
    connection: Connection, table: Table, entries: Sequence[Entry]
) -> dict[Name, _Stored]:
    """Read the existing rows of assets."""
    columns = [table.c[column] for column in NAME_COLUMNS]
    wanted = {entry.name for entry in entries}
    found = connection.execute(
        select(*columns, table.c.id, table.c.sha256).where(is_named(table, wanted))
    )
    rows = {tuple(row[:3]): _Stored(row.id, row.sha256) for row in found}
    return {name: rows[name] for name in wanted & rows.keys()}


def _delete_other_bytes(
    connection: Connection,
    table: Table,
    before: Mapping[Name, _Stored],
    entries: Sequence[Entry],
) -> None:
    """Delete the predictions of assets whose image has changed."""
    changed = [
        before[entry.name].id
        for entry in entries
        if entry.name in before
        and before[entry.name].sha256 not in (None, entry.classified.sha256)
    ]
    if changed:
        connection.execute(delete(table).where(table.c.asset_id.in_(changed)))


def _completed(
    connection: Connection, models: Models, by_row: Mapping[int, Entry]
) -> dict[int, Entry]:
    """Add the stored predictions of providers that failed this time."""
    incomplete = [key for key, entry in by_row.items() if entry.classified.failures]
    stored = read_predictions(connection, models, incomplete)
    return {
        key: replace(
            entry, classified=replace(entry.classified, predictions=stored[key])
        )
        if key in stored
        else entry
        for key, entry in by_row.items()
    }


def read_predictions(
    connection: Connection,
    models: Models,
    asset_ids: Iterable[int],
    *,
    newest: bool = False,
) -> dict[int, list[Prediction]]:
    """Read the predictions of some assets, by their rows.

    :param newest: see :func:`.sql.see_commits`.
    """
    table = models.prediction.__table__
    found: dict[int, list[Prediction]] = {asset_id: [] for asset_id in asset_ids}
    statement = select(
        table.c.asset_id, table.c.provider, table.c.model, table.c.labels
    ).order_by(table.c.asset_id, table.c.provider)
    if newest:
        statement = see_commits(connection, statement)
    for some in in_batches(found):
        for row in connection.execute(statement.where(table.c.asset_id.in_(some))):
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
            "labels": [_stored(label) for label in prediction.labels],
            "shared": prediction.shared,
            "created_at": now,
        }
        for asset_id, entry in by_row.items()
        for prediction in entry.classified.predictions
    ]
    if rows:
        key = ("asset_id", "provider")
        changed = ("model", "labels", "shared", "created_at")
        statement = insert_or_update(table, dialect_of(connection), key, changed)
        connection.execute(statement, rows)


def _stored(label: Label) -> list[Any]:
    """Return the values of a label, without its part if it has none."""
    part = [label.part] if label.part else []
    return [label.id, label.name, round(label.confidence, _DIGITS), *part]


@dataclass(frozen=True)
class WantedTags:
    """The tags that some assets should have, by their rows.

    :param choices: the tags that the rules choose.
    :param people: people's decisions.
    """

    choices: Mapping[int, list[ChosenTag]]
    people: Mapping[int, Decisions]

    @property
    def stored(self) -> list[Row[Any]]:
        """All assignments of the assets before the change, whatever their source."""
        return [row for people in self.people.values() for row in people.rows]

    @property
    def is_outdated(self) -> bool:
        """Whether any decision is stored under a former name."""
        return any(people.outdated for people in self.people.values())

    def only(self, asset_ids: Collection[int]) -> WantedTags:
        """Return the wanted tags of these assets alone."""
        return WantedTags(
            {asset_id: self.choices[asset_id] for asset_id in asset_ids},
            {asset_id: self.people[asset_id] for asset_id in asset_ids},
        )


def apply_rules(
    connection: Connection,
    models: Models,
    by_row: Mapping[int, Entry],
    *,
    newest: bool = False,
) -> WantedTags:
    """Apply the rules to the entry of each asset, with people's decisions.

    :param newest: see :func:`.sql.see_commits`.
    """
    vocabularies = {
        asset_id: entry.settings.vocabulary for asset_id, entry in by_row.items()
    }
    people = read_decisions(connection, models, vocabularies, newest=newest)
    choices = {
        asset_id: choose(
            entry.classified.predictions,
            entry.settings,
            decided=people[asset_id].states,
        )
        for asset_id, entry in by_row.items()
    }
    return WantedTags(choices, people)


def assign(
    connection: Connection,
    models: Models,
    by_row: Mapping[int, Entry],
    decided: WantedTags,
    now: datetime,
) -> None:
    """Replace the tags of providers with the rules' choices, and update the counters.

    People's decisions stay, under the current names of their words.

    This is the write of every upload. It counts from the assignments before and after,
    which are known here, and so needs fewer statements than :func:`.counting`.

    :param by_row: the assets by their rows, which the caller has locked.
    """
    if decided.is_outdated:
        with counting(connection, models, by_row):
            replace_tags(connection, models, by_row, decided, now)
        return
    rows = replace_tags(connection, models, by_row, decided, now)
    before = decided.stored
    after = counters.count_applied(row for row in before if row.source != PROVIDER)
    after.update(row["tag_id"] for row in rows if row["state"] == APPLIED)
    changes = counters.changed_counts(counters.count_applied(before), after)
    if changes:
        of_tags = {row.tag_id: by_row[row.asset_id].instance for row in before}
        of_tags |= {row["tag_id"]: by_row[row["asset_id"]].instance for row in rows}
        counters.add(connection, models, changes, of_tags)


def replace_tags(
    connection: Connection,
    models: Models,
    by_row: Mapping[int, Entry],
    decided: WantedTags,
    now: datetime,
) -> Sequence[dict[str, Any]]:
    """Replace the tags of providers as :func:`assign` does, but leave the counters.

    :return: the new assignments of providers.
    """
    instances = {asset_id: entry.instance for asset_id, entry in by_row.items()}
    update_outdated(connection, models, instances, decided.people)
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
    table = models.assignment.__table__
    stale = {row.asset_id for row in decided.stored if row.source == PROVIDER}
    for some in in_batches(stale):
        connection.execute(
            delete(table).where(table.c.asset_id.in_(some), table.c.source == PROVIDER)
        )
    rows = _assignments(by_row, decided.choices, tag_ids, now)
    if rows:
        connection.execute(insert(table), rows)
    return rows


def _assignments(
    by_row: Mapping[int, Entry],
    choices: Mapping[int, Sequence[ChosenTag]],
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


def note_no_image(
    connection: Connection, models: Models, asset: AssetRef, instance: str
) -> int:
    """Remember that an asset has no image, or a file that is none.

    :return: the asset's row, which is locked until the transaction ends.
    """
    name = (instance, asset.type, asset.id)
    rows = {name: {"no_image": True}}
    return ensure_rows(connection, models.asset.__table__, rows)[name]


def remove_image(
    connection: Connection, models: Models, asset: AssetRef, instance: str
) -> None:
    """Delete what providers said of an asset that has no image now, and remember it."""
    row = note_no_image(connection, models, asset, instance)
    delete_predictions(connection, models, [row])


def forget_no_image(
    connection: Connection, models: Models, asset: AssetRef, instance: str
) -> None:
    """Forget what :func:`note_no_image` stored, because the asset has another file."""
    table = models.asset.__table__
    noted = update(table).where(is_of(table, asset, instance), table.c.no_image)
    connection.execute(noted.values(no_image=False))


def note_other_file(
    connection: Connection, models: Models, asset: AssetRef, instance: str
) -> None:
    """Count an asset with another file as never classified; its tags stay."""
    table = models.asset.__table__
    other = update(table).where(is_of(table, asset, instance))
    connection.execute(other.values(tagged_at=None, no_image=False))


def untag(
    connection: Connection, models: Models, asset: AssetRef, instance: str
) -> None:
    """Delete the predictions of an asset of an instance, and the tags from them."""
    delete_predictions(
        connection, models, lock_row(connection, models, asset, instance)
    )


def delete_predictions(
    connection: Connection, models: Models, asset_ids: Collection[int]
) -> None:
    """Delete predictions, and the tags of providers; people's decisions stay.

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


def move(
    connection: Connection,
    models: Models,
    asset: AssetRef,
    to: AssetRef,
    instance: str,
) -> bool:
    """Rename an asset of an instance.

    Its rows replace those of the new name. If it has none, nothing changes.

    :return: whether it has any.
    """
    table, assignment = models.asset.__table__, models.assignment.__table__
    # Lock in a fixed order: somebody may rename the other way at the same time.
    rows = {
        ref: lock_row(connection, models, ref, instance)
        for ref in sorted((asset, to), key=str)
    }
    ids = rows[asset]
    if not ids:
        return False
    delete_assets(connection, models, rows[to])
    named = {"asset_type": to.type, "asset_id": to.id}
    connection.execute(update(table).where(table.c.id.in_(ids)).values(**named))
    of_asset = update(assignment).where(assignment.c.asset_id.in_(ids))
    connection.execute(of_asset.values(**asset_columns(to)))
    return True


def forget(
    connection: Connection, models: Models, asset: AssetRef, instance: str
) -> None:
    """Delete the predictions and tags of an asset of an instance."""
    ids = lock_row(connection, models, asset, instance)
    delete_assets(connection, models, ids)


def delete_assets(connection: Connection, models: Models, ids: Collection[int]) -> None:
    """Delete assets, whose rows the caller has locked, with all that is theirs."""
    assignment, table = models.assignment.__table__, models.asset.__table__
    # SQLite ignores ON DELETE CASCADE unless foreign keys are switched on.
    with counting(connection, models, ids):
        connection.execute(delete(assignment).where(assignment.c.asset_id.in_(ids)))
    for of_asset in (models.prediction.__table__, models.bulk_item.__table__):
        connection.execute(delete(of_asset).where(of_asset.c.asset_id.in_(ids)))
    connection.execute(delete(table).where(table.c.id.in_(ids)))
