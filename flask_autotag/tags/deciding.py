"""Writes people's decisions about a tag, and applies the rules to the images again.

A decision can change other tags of the image: a broader tag appears above a rejected
one, and an added tag takes a place within the maximum.

The asset's row is locked before the decision is written, so that a decision and a
worker that stores tags of the same asset follow one another. The settings are read
after that: a job that applies new settings to the asset runs before or afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from ..db.columns import user_text
from ..db.models import Models
from ..db.sql import in_batches, utc_now
from ..host.assets import AssetRef
from ..settings.resolution import Settings
from ..settings.stored import StoredSettings
from ..settings.tag_names import TagName
from ..settings.vocabulary import Vocabulary
from .asset_rows import ensure_rows
from .counters import counting
from .decisions import PERSON, asset_columns, ensure_tags, write_decisions
from .reapply import rejudge
from .rules import APPLIED, REJECTED


def decide(
    connection: Connection,
    stored: StoredSettings,
    asset: AssetRef,
    instance: str,
    name: TagName,
    state: str,
    who: str | None,
) -> None:
    """Record that a person applies a tag to an asset, or rejects it there.

    The provider's columns of an existing assignment stay beside the decision.

    :param stored: reads the settings of the instance.
    :param name: the tag's current name, or a former one.
    :param state: :data:`.rules.APPLIED` or :data:`.rules.REJECTED`.
    :param who: the user's name.
    """
    row = (instance, asset.type, asset.id)
    asset_id = ensure_rows(connection, stored.models.asset.__table__, {row: {}})[row]
    settings = stored.settings(connection, instance)
    wanted = {asset_id: (asset, state)}
    decide_on_rows(connection, stored.models, settings, instance, name, wanted, who)


def decide_on_rows(
    connection: Connection,
    models: Models,
    settings: Settings,
    instance: str,
    name: TagName,
    wanted: Mapping[int, tuple[AssetRef, str]],
    who: str | None,
) -> datetime:
    """Record a person's decisions about one tag on several assets.

    A rejected tag is pinned no more.

    :param settings: the settings of the instance.
    :param wanted: each asset and the state that the tag gets, by the asset's row,
        which the caller has locked. The rows belong to *instance*.
    :return: the time of the decisions, in UTC without a time zone.
    """
    vocabulary = settings.vocabulary
    name = vocabulary.called(name)
    tag_key = (instance, name.key)
    tag_id = ensure_tags(connection, models.tag.__table__, {tag_key: name})[tag_key]
    now = utc_now()
    rows = [
        {
            "asset_id": asset_id,
            "tag_id": tag_id,
            "state": state,
            "source": PERSON,
            "decided_by": user_text(who),
            "created_at": now,
            **asset_columns(asset),
        }
        for asset_id, (asset, state) in sorted(wanted.items())
    ]
    assets = {asset_id: asset for asset_id, (asset, _) in wanted.items()}
    with rejudging(connection, models, settings, instance, assets):
        _delete_former_names(connection, models, wanted, name, vocabulary)
        more: dict[str, Any]
        for state, more in ((APPLIED, {}), (REJECTED, {"position": None})):
            of_state = [{**row, **more} for row in rows if row["state"] == state]
            write_decisions(connection, models.assignment.__table__, of_state)
    return now


@contextmanager
def rejudging(
    connection: Connection,
    models: Models,
    settings: Settings,
    instance: str,
    assets: Mapping[int, AssetRef],
) -> Iterator[None]:
    """Apply the rules to some assets after the block has changed decisions about them.

    The counters are updated once, at the end.

    :param settings: the settings of the instance.
    :param assets: the assets by their rows, which the caller has locked.
    """
    with counting(connection, models, assets):
        yield
        rejudge(connection, models, instance, settings, assets)


def _delete_former_names(
    connection: Connection,
    models: Models,
    asset_ids: Collection[int],
    name: TagName,
    vocabulary: Vocabulary,
) -> None:
    """Delete the tag of some assets under the names that it had before.

    A job will rename these assignments; none may contradict the decision then.
    """
    if all(given.key != name.key for given in vocabulary.given_names):
        return
    tag, assignment = models.tag.__table__, models.assignment.__table__
    for some in in_batches(asset_ids):
        not_rejected = (
            assignment.c.asset_id.in_(some),
            assignment.c.state != REJECTED,
        )
        rows = connection.execute(
            select(tag.c.id, tag.c.key, tag.c.name)
            .join_from(assignment, tag, assignment.c.tag_id == tag.c.id)
            .where(*not_rejected)
            .distinct()
        )
        former = [
            row.id
            for row in rows
            if row.key != name.key
            and vocabulary.called(TagName(row.key, row.name)).key == name.key
        ]
        if former:
            connection.execute(
                delete(assignment).where(*not_rejected, assignment.c.tag_id.in_(former))
            )
