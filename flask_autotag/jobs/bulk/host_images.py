"""The host's images, from its asset lister or its watched models."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, and_, inspect, or_, select

from ...errors import AssetError, ConfigurationError, ListerError
from ...host.assets import (
    AssetRef,
    ImageSource,
    Upload,
    check_instance,
    saved_ref,
)
from ...host.hooks import Hooks
from ...host.sql_keys import has_other_forms, text_of
from ...runtime.state import State
from ...tags.batches import AssetFilter

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

#: Objects of a watched model that are read together.
PAGE = 500


@dataclass(frozen=True)
class Listed:
    """An image of the host.

    :param image: the image, if the lister returned it.
    """

    asset: AssetRef
    instance: str
    image: ImageSource | None = None


def list_assets(app: Flask, state: State, scope: AssetFilter) -> Iterator[Listed]:
    """List the host's images, in the host's order.

    Call it in a new application context, which the host's lister uses alone.

    :raises ConfigurationError: if there is neither a lister nor a watched model.
    :raises ListerError: if the lister raised an exception or returned an invalid item.
    """
    if state.hooks.asset_lister is not None:
        images = _listed_by_host(state.hooks)
    else:
        images = (
            image
            for model in _models(state.hooks, scope)
            for image in _listed_watched(app, state, model, scope)
        )
    return (each for each in images if scope.includes(each.asset, each.instance))


def _models(hooks: Hooks, scope: AssetFilter) -> list[type[Any]]:
    if not hooks.watches:
        raise ConfigurationError(
            "The application's images are not known: register an asset_lister"
            " (@autotag.asset_lister), or watch a model (autotag.watch)."
        )
    if scope.asset_type is not None and not hooks.watches.has(scope.asset_type):
        raise ConfigurationError(
            f"No watched model has the type {scope.asset_type!r:.80}. Types:"
            f" {', '.join(sorted(hooks.watches.types()))}."
        )
    return hooks.watches.models(scope.asset_type)


def _listed_by_host(hooks: Hooks) -> Iterator[Listed]:
    for number, item in enumerate(_guarded(hooks), 1):
        try:
            yield from _read_item(hooks, item)
        except AssetError as error:
            raise ListerError(
                f"Item {number:,} of the asset_lister is not an image of the"
                f" application: {error}"
            ) from error


def _guarded(hooks: Hooks) -> Iterator[Any]:
    """Iterate over the lister's items; turn its exceptions into ``ListerError``."""
    number = 0
    try:
        items: Iterable[Any] = (hooks.asset_lister or tuple)()
        for item in items:
            number += 1
            yield item
    except Exception as error:
        logger.exception("The asset_lister failed.")
        raise ListerError(
            f"The asset_lister raised {type(error).__name__} after item {number:,}. Fix"
            " it and run the command again."
        ) from error


def _read_item(hooks: Hooks, item: Any) -> list[Listed]:
    """Convert an item of the lister: an object alone stands for all its images.

    :raises AssetError: if it is not an image.
    """
    if isinstance(item, Upload):
        asset_type = hooks.watches.type_of_one(item.asset, item.name)
        ref = saved_ref(item.asset, asset_type)
        return [Listed(ref, check_instance(item.instance), item.image)]
    asset, *instance = item if isinstance(item, tuple) and len(item) == 2 else (item,)
    return [
        Listed(
            saved_ref(asset, each),
            check_instance(instance[0] if instance else hooks.instance_of(asset, each)),
        )
        for each in hooks.watches.watched_types(asset)
    ]


def _listed_watched(
    app: Flask, state: State, model: type[Any], scope: AssetFilter
) -> Iterator[Listed]:
    last: Sequence[Any] | None = None
    while True:
        page, last = _read_page(app, state, model, scope, last)
        yield from page
        if last is None:
            return


def _read_page(
    app: Flask,
    state: State,
    model: type[Any],
    scope: AssetFilter,
    after: Sequence[Any] | None,
) -> tuple[list[Listed], Sequence[Any] | None]:
    """Read the next objects of a watched model, in the order of their primary key.

    :param after: key of the last object of the previous page; ``None`` to begin.
    :return: the images, and the key of the last object; ``None`` after the last page.
    """
    mapper = inspect(model)
    has_forms = has_other_forms(mapper)
    # The host reads such a key in another form than the database sorts it by.
    key = [text_of(mapper)] if has_forms else mapper.primary_key
    statement = select(model).order_by(*key).limit(PAGE)
    if after is not None:
        statement = statement.where(_beyond(key, after))
    with app.app_context(), state.database.reading() as session:
        objects = session.scalars(statement).unique().all()
        page = [
            image for each in objects for image in _images(state.hooks, each, scope)
        ]
        if len(objects) < PAGE:
            return page, None
        last = objects[-1]
        return page, [saved_ref(last).id] if has_forms else inspect(last).identity


def _images(hooks: Hooks, target: object, scope: AssetFilter) -> Iterator[Listed]:
    """Return the images of an object that are ready to be tagged."""
    for watch in hooks.watches.of(target):
        if scope.asset_type in (None, watch.asset_type) and watch.is_ready(target):
            ref = saved_ref(target, watch.asset_type)
            yield Listed(ref, check_instance(watch.instance(target)))


def _beyond(
    columns: Sequence[ColumnElement[Any]], values: Sequence[Any]
) -> ColumnElement[bool]:
    """Return the condition that a composite key sorts after *values*."""
    return or_(
        *(
            and_(
                *(
                    column == value
                    for column, value in zip(columns[:place], values, strict=False)
                ),
                columns[place] > values[place],
            )
            for place in range(len(columns))
        )
    )
