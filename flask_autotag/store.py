"""Predictions and tags → rows, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update
from sqlalchemy.orm import Session

from .assets import AssetRef
from .database import insert_or_ignore
from .models import Models
from .providers.base import Prediction
from .settings import Settings
from .tagging import Choice, Classified, choose

APPLIED, SUGGESTED, REJECTED = "applied", "suggested", "rejected"
PROVIDER, PERSON = "provider", "person"

#: Digits of a stored confidence: a label more or less is no difference.
_DIGITS = 4


def store(
    session: Session,
    models: Models,
    asset: AssetRef,
    instance: str,
    classified: Classified,
    settings: Settings,
) -> None:
    """Write the predictions, and the tags that the rules make of them.

    Tags that a provider applied earlier and does not any more go; what a person
    decided stays. The asset's row is written first, so that two writers of one
    asset follow one another.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    row = _store_asset(
        session, models.asset.__table__, asset, instance, classified, now
    )
    _store_predictions(
        session, models.prediction.__table__, row, classified.predictions, now
    )
    decisions = _decisions(session, models, row)
    choices = choose(
        classified.predictions,
        settings,
        decided=decisions,
        applied_by_people=sum(state == APPLIED for state in decisions.values()),
    )
    tag_ids = _ensure_tags(session, models.tag.__table__, instance, choices)
    _replace_assignments(
        session, models.assignment.__table__, row, choices, tag_ids, now
    )


def _store_asset(
    session: Session,
    table: Table,
    asset: AssetRef,
    instance: str,
    classified: Classified,
    now: datetime,
) -> int:
    name = {"instance": instance, "asset_type": asset.type, "asset_id": asset.id}
    same = [table.c[column] == value for column, value in name.items()]
    dialect = session.get_bind().dialect.name
    session.execute(insert_or_ignore(table, dialect, list(name)).values(name))
    session.execute(
        update(table).where(*same).values(sha256=classified.sha256, tagged_at=now)
    )
    row: int = session.execute(select(table.c.id).where(*same)).scalar_one()
    return row


def _store_predictions(
    session: Session,
    table: Table,
    asset_id: int,
    predictions: Iterable[Prediction],
    now: datetime,
) -> None:
    rows = [
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
        for prediction in predictions
    ]
    providers = [row["provider"] for row in rows]
    session.execute(
        delete(table).where(
            table.c.asset_id == asset_id, table.c.provider.in_(providers)
        )
    )
    if rows:
        session.execute(insert(table), rows)


def _decisions(session: Session, models: Models, asset_id: int) -> dict[str, str]:
    """Map the key of each tag that a person decided on to what was decided."""
    tag, assignment = models.tag.__table__, models.assignment.__table__
    rows = session.execute(
        select(tag.c.key, assignment.c.state)
        .join_from(assignment, tag, assignment.c.tag_id == tag.c.id)
        .where(assignment.c.asset_id == asset_id, assignment.c.source == PERSON)
    )
    return {row.key: row.state for row in rows}


def _ensure_tags(
    session: Session, table: Table, instance: str, choices: Sequence[Choice]
) -> dict[str, int]:
    """Give the id of each chosen tag, made if it is new.

    In the order of their keys, so that two writers cannot wait for each other.
    """
    missing = {choice.key: choice for choice in choices}
    known = _tag_ids(session, table, instance, missing)
    statement = insert_or_ignore(
        table, session.get_bind().dialect.name, ["instance", "key"]
    )
    new = [missing[key] for key in sorted(missing.keys() - known.keys())]
    for choice in new:
        session.execute(
            statement.values(
                instance=instance,
                key=choice.key,
                name=choice.name,
                concept=choice.concept,
            )
        )
    return _tag_ids(session, table, instance, missing) if new else known


def _tag_ids(
    session: Session, table: Table, instance: str, keys: Iterable[str]
) -> dict[str, int]:
    rows = session.execute(
        select(table.c.key, table.c.id).where(
            table.c.instance == instance, table.c.key.in_(list(keys))
        )
    )
    return {row.key: row.id for row in rows}


def _replace_assignments(
    session: Session,
    table: Table,
    asset_id: int,
    choices: Sequence[Choice],
    tag_ids: dict[str, int],
    now: datetime,
) -> None:
    session.execute(
        delete(table).where(table.c.asset_id == asset_id, table.c.source == PROVIDER)
    )
    rows: list[dict[str, Any]] = [
        {
            "asset_id": asset_id,
            "tag_id": tag_ids[choice.key],
            "state": APPLIED,
            "source": PROVIDER,
            "provider": choice.provider,
            "model": choice.model,
            "confidence": round(choice.confidence, _DIGITS),
            "created_at": now,
        }
        for choice in choices
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
