"""Which images the host has: what its asset lister gives, or the watched models."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, and_, inspect, or_, select

from .assets import (
    AssetRef,
    ImageSource,
    Upload,
    check_instance,
    ref_of,
)
from .errors import AssetError, ConfigurationError, ListerError
from .hooks import Hooks, Watch
from .jobs.loading import session_for_objects
from .portions import Scope
from .state import State

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

#: Objects of a watched model that are read at a time.
PAGE = 500


@dataclass(frozen=True)
class Listed:
    """An image of the host.

    :param image: where it is, if the lister said so.
    """

    asset: AssetRef
    instance: str
    image: ImageSource | None = None


def list_assets(app: Flask, state: State, scope: Scope) -> Iterator[Listed]:
    """List the host's images, in the order in which the host does.

    Call it in an application context for it alone, in which a lister of the host works.

    :raises ConfigurationError: if nothing tells which there are.
    :raises ListerError: if the host's lister raised, or gave something else.
    """
    if state.hooks.asset_lister is not None:
        found = _listed_by_host(state.hooks)
    else:
        watches = _watches(state.hooks, scope)
        found = (each for one in watches for each in _listed_watched(app, state, one))
    return (each for each in found if scope.includes(each.asset, each.instance))


def _watches(hooks: Hooks, scope: Scope) -> list[Watch]:
    if not hooks.watches:
        raise ConfigurationError(
            "Nothing tells which images there are: register an asset_lister"
            " (@autotag.asset_lister), or watch a model (autotag.watch)."
        )
    if scope.asset_type is None:
        return list(hooks.watches.values())
    if scope.asset_type not in hooks.watches:
        raise ConfigurationError(
            f"No watched model has the type {scope.asset_type!r:.80}; there are:"
            f" {', '.join(sorted(hooks.watches))}."
        )
    return [hooks.watches[scope.asset_type]]


def _listed_by_host(hooks: Hooks) -> Iterator[Listed]:
    for number, item in enumerate(_guarded(hooks), 1):
        try:
            yield _read_item(hooks, item)
        except AssetError as error:
            raise ListerError(
                f"What the asset_lister gives as number {number:,} is no image of the"
                f" application: {error}"
            ) from error


def _guarded(hooks: Hooks) -> Iterator[Any]:
    """Iterate over what the lister gives; what it raises is the lister's error."""
    number = 0
    try:
        listed: Iterable[Any] = (hooks.asset_lister or tuple)()
        for item in listed:
            number += 1
            yield item
    except Exception as error:
        logger.exception("The asset_lister failed.")
        raise ListerError(
            f"The asset_lister raised {type(error).__name__} after giving {number:,};"
            " mend it and run the command again."
        ) from error


def _read_item(hooks: Hooks, item: Any) -> Listed:
    """Read one thing that the lister gave.

    :raises AssetError: if it is no image.
    """
    if isinstance(item, Upload):
        return Listed(_ref(item.asset), check_instance(item.instance), item.image)
    if isinstance(item, tuple) and len(item) == 2:
        return Listed(_ref(item[0]), check_instance(item[1]))
    return Listed(_ref(item), check_instance(hooks.instance_of(item)))


def _ref(asset: object) -> AssetRef:
    ref = ref_of(asset)
    if ref is None:
        raise AssetError(f"The {type(asset).__name__} was not saved yet.")
    return ref


def _listed_watched(app: Flask, state: State, watch: Watch) -> Iterator[Listed]:
    last: Sequence[Any] | None = None
    while True:
        page, last = _read_page(app, state, watch, last)
        yield from page
        if last is None:
            return


def _read_page(
    app: Flask, state: State, watch: Watch, after: Sequence[Any] | None
) -> tuple[list[Listed], Sequence[Any] | None]:
    """Read the next objects of a watched model, in the order of their primary key.

    :param after: the key of the last object before; ``None`` to begin.
    :return: the objects, and the key of the last one; ``None`` if it is the very last.
    """
    mapper = inspect(watch.model)
    key = mapper.primary_key
    statement = select(watch.model).order_by(*key).limit(PAGE)
    if after is not None:
        statement = statement.where(_beyond(key, after))
    with app.app_context(), session_for_objects(state.database) as session:
        objects = session.scalars(statement).unique().all()
        page = [
            Listed(_ref(each), check_instance(watch.instance(each))) for each in objects
        ]
        last = inspect(objects[-1]).identity if len(objects) == PAGE else None
    return page, last


def _beyond(
    columns: Sequence[ColumnElement[Any]], values: Sequence[Any]
) -> ColumnElement[bool]:
    """Compare a key of several columns as a whole: by the first that differs."""
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
