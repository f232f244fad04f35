"""Sending ``image_tagged`` once tags are committed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..host.assets import AssetRef
from ..host.images import images_by_asset
from ..host.signals import image_tagged, send_safely
from ..runtime.state import State
from ..tags.queries.applied_tags import preload

if TYPE_CHECKING:
    from flask import Flask


def notify(app: Flask, state: State, assets: Sequence[tuple[AssetRef, str]]) -> None:
    """Send ``image_tagged`` for each asset, if the signal has receivers.

    The tags are read with one query for each instance.

    :param assets: with their instances; their tags are committed.
    """
    if not assets or not image_tagged.has_receivers_for(app):
        return
    by_instance = defaultdict[str, list[AssetRef]](list)
    for asset, instance in assets:
        by_instance[instance].append(asset)
    models = state.database.models
    with state.database.begin() as session:
        tags = {
            instance: preload(session, models, images_by_asset(refs), instance)
            for instance, refs in by_instance.items()
        }
    for asset, instance in assets:
        send_safely(
            image_tagged,
            app,
            asset=asset,
            instance=instance,
            tags=list(tags[instance][asset]),
        )
