"""Telling the host of tags that were stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..assets import AssetRef
from ..query import tags_for
from ..signals import image_tagged, send_safely
from ..state import State

if TYPE_CHECKING:
    from flask import Flask


def announce(app: Flask, state: State, assets: Iterable[tuple[AssetRef, str]]) -> None:
    """Send ``image_tagged`` for each asset, if anybody listens.

    :param assets: with their instances; their tags are committed.
    """
    if not image_tagged.has_receivers_for(app):
        return
    database = state.database
    for asset, instance in assets:
        with database.begin() as session:
            tags = tags_for(session, database.models, asset, instance)
        send_safely(image_tagged, app, asset=asset, instance=instance, tags=tags)
