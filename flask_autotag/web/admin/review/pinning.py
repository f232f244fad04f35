"""Pins one tag of an image to the front, or unpins it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from ....host.assets import AssetRef
from ....settings.stored import StoredSettings
from ....settings.tag_names import TagName, tag_name
from ....tags import pins
from ....tags.queries.applied_tags import tags_for


def pin_one(
    session: Session,
    stored: StoredSettings,
    asset: AssetRef,
    instance: str,
    name: TagName,
    who: str | None,
    *,
    is_pinned: bool,
) -> bool:
    """Pin a tag before the pinned ones, or unpin it; the others stay.

    :param asset: the image, whose row the caller has locked.
    :return: whether the image has the tag; otherwise nothing is done.
    """
    tags = tags_for(session, stored.models, asset, instance)
    if name.key not in {tag_name(tag.name).key for tag in tags}:
        return False
    pinned = [tag_name(tag.name) for tag in tags if tag.pinned]
    others = [each for each in pinned if each.key != name.key]
    names = [name, *others] if is_pinned else others
    pins.pin(session.connection(), stored, asset, instance, names, who)
    return True
