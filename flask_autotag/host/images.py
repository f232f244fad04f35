"""The images of a row: the one that has no name, and those that a watch has named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.orm import Mapper

from ..errors import AssetError
from .assets import (
    NAME_MARK,
    AssetRef,
    instance_state,
    listed,
    saved_ref,
    type_of,
)
from .keys import root_of

_NAME = re.compile("[A-Za-z0-9_-]{1,40}")
#: The key of the names in ``Table.info``, where a relationship of the host's model,
#: which knows no extension object, finds them, too.
_INFO = "flask_autotag.images"


def check_name(mapper: Mapper[Any], name: str) -> None:
    """Check the name of an image of a model's rows.

    :raises AssetError: if it is no name, or if the model is not mapped to a table.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise AssetError(
            f"The name of an image of {mapper.class_.__name__} has 1 to 40 letters,"
            f" digits, underscores and hyphens of ASCII, unlike {name!r:.80}."
        )
    if not isinstance(root_of(mapper).local_table, Table):
        raise AssetError(
            f"{mapper.class_.__name__} is not mapped to a table, so its images have no"
            " names: call watch without name=."
        )


def add_name(mapper: Mapper[Any], name: str) -> None:
    """Let the rows of a model have an image of a name that was checked."""
    table = cast(Table, root_of(mapper).local_table)
    table.info.setdefault(_INFO, {})[name] = None


def named_type(mapper: Mapper[Any], name: str | None) -> str:
    """Return the asset type of the images of that name, whether there are any."""
    return type_of(mapper) if name is None else f"{type_of(mapper)}{NAME_MARK}{name}"


def image_type(mapper: Mapper[Any], name: str | None) -> str:
    """Return the asset type of the images of that name.

    :raises AssetError: if no watch has named an image so.
    """
    names = _names(mapper)
    if name is not None and name not in names:
        known = ", ".join(map(repr, names)) or "none"
        raise AssetError(
            f"{mapper.class_.__name__} has no image named {name!r:.80}. Its named"
            f" images: {known}. Name one by autotag.watch(..., name=...)."
        )
    return named_type(mapper, name)


def image_types(mapper: Mapper[Any], name: str | None = None) -> list[str]:
    """Return the asset types of all images of a row, or of the one with that name.

    :raises AssetError: if no watch has named an image so.
    """
    if name is not None:
        return [image_type(mapper, name)]
    return [named_type(mapper, each) for each in names_of(mapper)]


def images_of(asset: object, name: str | None = None) -> list[AssetRef]:
    """Return all images of a row, or the one with that name.

    :param asset: a model instance that has a primary key; an :class:`AssetRef` stands
        for itself.
    :raises AssetError: as :func:`image_types` and :func:`.saved_ref` do.
    """
    if isinstance(asset, AssetRef):
        refuse_name(asset, name)
        return [saved_ref(asset)]
    mapper = instance_state(asset).mapper
    return [saved_ref(asset, each) for each in image_types(mapper, name)]


def images_by_asset(
    assets: object, name: str | None = None
) -> Mapping[AssetRef, list[AssetRef]]:
    """Return the images of one asset, or of several, by :func:`.ref_of` the asset.

    :raises AssetError: as :func:`images_of` does.
    """
    return {saved_ref(each): images_of(each, name) for each in listed(assets)}


def assets_of_images(
    images: Mapping[AssetRef, Iterable[AssetRef]],
) -> Mapping[AssetRef, list[AssetRef]]:
    """Return the assets that each image belongs to.

    :param images: the images of each asset.
    """
    found: dict[AssetRef, list[AssetRef]] = {}
    for asset, of_asset in images.items():
        for image in of_asset:
            found.setdefault(image, []).append(asset)
    return found


def refuse_name(asset: AssetRef, name: str | None) -> None:
    """Refuse the name of an image beside an :class:`AssetRef`.

    :raises AssetError: if there is one.
    """
    if name is not None:
        raise AssetError(
            f"{asset} names one image already: leave out name={name!r:.80}, or pass the"
            " object."
        )


def names_of(mapper: Mapper[Any]) -> list[str | None]:
    """Return the names of the images of a row; ``None`` for the one without."""
    return [None, *_names(mapper)]


def _names(mapper: Mapper[Any]) -> Mapping[str, None]:
    """Return the names in the order in which they were added."""
    names: Mapping[str, None] = getattr(root_of(mapper).local_table, "info", {}).get(
        _INFO, {}
    )
    return names
