"""Pins tags to the front of an image, in the order that a person chooses."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, case, update

from ..host.assets import AssetRef
from ..settings.stored import StoredSettings
from ..settings.tag_names import TagName
from .asset_rows import ensure_rows
from .deciding import decide_on_rows
from .decisions import ensure_tags
from .rules import APPLIED


def pin(
    connection: Connection,
    stored: StoredSettings,
    asset: AssetRef,
    instance: str,
    names: Sequence[TagName],
    who: str | None,
) -> None:
    """Pin these tags to the front of an asset, and no others.

    Each is applied by the person, if it is not yet.

    :param stored: reads the settings of the instance.
    :param names: current or former names, in the order in which they are shown.
    :param who: the user's name.
    """
    models = stored.models
    row = (instance, asset.type, asset.id)
    asset_id = ensure_rows(connection, models.asset.__table__, {row: {}})[row]
    settings = stored.settings(connection, instance)
    called = {each.key: each for each in map(settings.vocabulary.called, names)}
    for name in called.values():
        wanted = {asset_id: (asset, APPLIED)}
        decide_on_rows(connection, models, settings, instance, name, wanted, who)
    wanted_tags = {(instance, key): name for key, name in called.items()}
    tag_ids = ensure_tags(connection, models.tag.__table__, wanted_tags)
    places = {tag_ids[place]: number for number, place in enumerate(wanted_tags)}
    table = models.assignment.__table__
    of_asset = update(table).where(table.c.asset_id == asset_id)
    connection.execute(
        of_asset.values(
            position=case(places, value=table.c.tag_id, else_=None) if places else None
        )
    )
