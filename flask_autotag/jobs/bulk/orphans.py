"""Images of watched models that have no row any more: counted and forgotten.

The keys of some hundred images are read, and looked up in the host's table by one
statement: that table may be in another database. Nothing is locked for images that have
a row. The others are locked and looked up again, and forgotten in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, select

from ...db.database import is_same_database
from ...db.job_states import TAG
from ...db.sql import lock_writers
from ...errors import ConfigurationError
from ...host.images import image_types
from ...host.sql_keys import find_missing
from ...tags import store
from ...tags.batches import BATCH_SIZE, Advance, AssetFilter
from .. import queue

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper, Session

    from ...runtime.state import State


@dataclass
class Orphans:
    """The images and jobs of one type whose keys have no row.

    :ivar images: number of images with tags, decisions or predictions.
    :ivar jobs: number of jobs.
    """

    asset_type: str
    images: int = 0
    jobs: int = 0


def count_orphans(state: State, scope: AssetFilter, advance: Advance) -> list[Orphans]:
    """Count the images of watched models without a row, by type.

    :raises ConfigurationError: if no such model is watched, or if the host's rows
        cannot be read.
    """
    return _sweep(state, scope, advance, forget=False)


def forget_orphans(state: State, scope: AssetFilter, advance: Advance) -> list[Orphans]:
    """Forget the images of watched models without a row; return their numbers.

    After an interruption it can be run again and forgets the rest.

    :raises ConfigurationError: as :func:`count_orphans` does.
    """
    return _sweep(state, scope, advance, forget=True)


def _sweep(
    state: State, scope: AssetFilter, advance: Advance, *, forget: bool
) -> list[Orphans]:
    models, result = state.database.models, []
    for asset_type, mapper in _watched(state, scope).items():
        assets = _Keys(state, models.asset.__table__, asset_type, mapper, scope)
        jobs = _Keys(state, models.job.__table__, asset_type, mapper, scope)
        found = Orphans(asset_type)
        for ids in assets.without_row(advance):
            found.images += assets.forget(ids) if forget else len(ids)
        for ids in jobs.without_row(advance):
            found.jobs += jobs.forget(ids) if forget else len(ids)
        result.append(found)
    return result


def _watched(state: State, scope: AssetFilter) -> dict[str, Mapper[Any]]:
    """Return the mappers of the watched models in *scope*, by asset type.

    The images of a model may have been stored before a watch named them.
    """
    watches = state.hooks.watches
    if not watches:
        raise ConfigurationError(
            "No model is watched (autotag.watch), so that the rows of the images are"
            " not known. Call autotag.forget for each deleted image."
        )
    if state.database.host_session() is None:
        raise ConfigurationError(
            "The application has no Flask-SQLAlchemy by which the rows of its models"
            " are read. Call autotag.forget for each deleted image."
        )
    mappers = {
        asset_type: watch.mapper
        for watch in watches
        for asset_type in image_types(watch.mapper)
    }
    if scope.asset_type not in (None, *mappers):
        raise ConfigurationError(
            f"No watched model has the type {scope.asset_type!r:.80}. Types:"
            f" {', '.join(sorted(mappers))}."
        )
    return {
        asset_type: mapper
        for asset_type, mapper in sorted(mappers.items())
        if scope.asset_type in (None, asset_type)
    }


class _Keys:
    """The keys of one asset type in the table of assets or of jobs."""

    def __init__(
        self,
        state: State,
        table: Table,
        asset_type: str,
        mapper: Mapper[Any],
        scope: AssetFilter,
    ) -> None:
        self._state = state
        self._table = table
        self._mapper = mapper
        where = [table.c.asset_type == asset_type]
        if scope.instance is not None:
            where.append(table.c.instance == scope.instance)
        if table is state.database.models.job.__table__:
            where.append(table.c.kind == TAG)
        self._keys = (
            select(table.c.id, table.c.asset_id).where(*where).order_by(table.c.id)
        )

    def without_row(self, advance: Advance) -> Iterator[list[int]]:
        """Yield the ids of those whose key has no row, batch by batch."""
        after = 0

        def work(session: Session) -> tuple[Sequence[Any], list[int]]:
            page = self._keys.where(self._table.c.id > after).limit(BATCH_SIZE)
            rows = session.execute(page).all()
            return rows, self._missing(session, rows)

        while True:
            rows, missing = self._state.database.transact(work)
            if not rows:
                return
            after = rows[-1].id
            if missing:
                yield missing
            advance(len(rows))

    def forget(self, ids: Collection[int]) -> int:
        """Delete those that still have no row; return their number."""
        models = self._state.database.models
        is_job = self._table is models.job.__table__
        remove = queue.delete_jobs if is_job else store.delete_assets
        locked = self._keys.where(self._table.c.id.in_(ids)).with_for_update()

        def work(session: Session) -> int:
            lock_writers(session, self._table)
            # An id may be another image's by now: SQLite uses those of jobs again.
            missing = self._missing(session, session.execute(locked).all())
            if missing:
                remove(session.connection(), models, missing)
            return len(missing)

        return self._state.database.transact(work)

    def _missing(self, session: Session, rows: Sequence[Any]) -> list[int]:
        if not rows:
            return []
        keys = {row.asset_id for row in rows}
        with _reading_host(self._state, session, self._mapper) as connection:
            missing = find_missing(connection, self._mapper, keys)
        return [row.id for row in rows if row.asset_id in missing]


@contextmanager
def _reading_host(
    state: State, session: Session, mapper: Mapper[Any]
) -> Iterator[Connection]:
    """Yield a connection to the database of a model, perhaps that of *session*."""
    host = state.database.host_session()
    assert host is not None  # noqa: S101 - _watched has refused it
    bind = host.get_bind(mapper)
    if is_same_database(bind.engine, session.get_bind().engine):
        yield session.connection()
    elif isinstance(bind, Connection):
        # Only this one sees the rows of a test that it will roll back.
        yield bind
    else:
        with bind.connect() as connection:
            yield connection
