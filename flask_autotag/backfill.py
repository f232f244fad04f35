"""Images that the host had before: found, and queued to be classified."""

from __future__ import annotations

import pickle
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import IO, TYPE_CHECKING, TypeVar

from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.orm import Session

from .assets import AssetRef
from .database import lock_writers
from .errors import TaggingError
from .jobs.again import UNSEEN, path_again
from .jobs.queue import QUARANTINED, QUEUED, RUNNING, Intent, enqueue_bulk
from .listing import Listed, list_assets
from .models import Models
from .portions import PORTION, Advance, Scope
from .problems import Problems
from .reapply import applies
from .sources import Captured, capture
from .state import State

if TYPE_CHECKING:
    from types import TracebackType

    from flask import Flask

T = TypeVar("T")

#: Jobs that keep their image from being queued: those to come, and those that killed
#: their worker, which only ``retry`` takes up.
_KEEPING = (QUEUED, RUNNING, QUARANTINED)
#: Bytes of images that travel with their jobs in one transaction.
_BYTES = 16 * 2**20
#: Bytes of found images that are kept in memory; more go to a temporary file.
_IN_MEMORY = 2**20

#: Instance and asset.
Key = tuple[str, AssetRef]


class Backlog:
    """The host's images that were never classified, kept in a temporary file.

    They are found first, and counted, and queued then: nothing that the host's lister
    holds open, such as a cursor, is open while jobs are written.

    :param capturing: whether images are to be queued, and not only counted.
    :ivar listed: how many images the host has.
    :ivar untagged: how many of them were never classified, by instance.
    :ivar off: how many images of instances in which tagging is off are left alone.
    :ivar unreadable: those whose image is not where the lister says.
    """

    def __init__(self, state: State, *, capturing: bool = True) -> None:
        self._state = state
        self._capturing = capturing
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._is_on: Callable[[str], bool] = cache(
            lambda instance: applies(state.settings_for(instance))
        )
        self.listed = 0
        self.untagged: Counter[str] = Counter()
        self.off = 0
        self.unreadable = Problems()

    def __enter__(self) -> Backlog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def fill(self, app: Flask, scope: Scope, advance: Advance) -> None:
        """Find the images that were never classified and have no live job.

        :raises AutoTagError: as :func:`.listing.list_assets` does.
        """
        # The lister's own: what its session holds open ends with it.
        with app.app_context():
            for portion in _portions(list_assets(app, self._state, scope), PORTION):
                self.listed += len(portion)
                wanted = [each for each in portion if self._is_on(each.instance)]
                self.off += len(portion) - len(wanted)
                for each in self._untagged(wanted):
                    self._note(each)
                advance(len(portion))

    def queue(self) -> Iterator[list[int]]:
        """Write the jobs, some hundred in a transaction.

        What was classified meanwhile is left out; of one content there is one job.

        :return: the ids of the jobs, or of those that were there, by transaction.
        """
        self._file.seek(0)
        for portion in _portions(self._read(), PORTION, weigh=_weight, most=_BYTES):
            yield self._queue(portion)

    def _untagged(self, listed: Sequence[Listed]) -> Iterator[Listed]:
        new = {(each.instance, each.asset): each for each in listed}
        database = self._state.database
        known = database.transact(
            lambda session: (
                _classified(session, database.models, list(new))
                | _to_come(session, database.models, list(new))
            )
        )
        return (each for key, each in new.items() if key not in known)

    def _note(self, each: Listed) -> None:
        if self._capturing:
            try:
                image = self._capture(each)
            except TaggingError as error:
                self.unreadable.add(each.asset, each.instance, error)
                return
            pickle.dump(Intent(each.asset, each.instance, image), self._file)
        self.untagged[each.instance] += 1

    def _capture(self, each: Listed) -> Captured:
        """Take of an image what its worker needs.

        :raises TaggingError: if it cannot be read, or nothing tells where it is.
        """
        state, source = self._state, each.image
        loadable = state.hooks.can_load(each.asset.type)
        if source is None and not loadable:
            source = state.database.transact(
                lambda session: path_again(session, state, each.asset)
            )
        image = capture(source, loadable=loadable, most=state.config.max_image_bytes)
        return image if image.content else replace(image, content=UNSEEN)

    def _read(self) -> Iterator[Intent]:
        while True:
            try:
                # Nobody else can write to this file: it has no name.
                yield pickle.load(self._file)  # noqa: S301
            except EOFError:
                return

    def _queue(self, portion: Sequence[Intent]) -> list[int]:
        models = self._state.database.models
        keys = [(each.instance, each.asset) for each in portion]

        def work(session: Session) -> list[int]:
            lock_writers(session, models.job.__table__)
            known = _classified(session, models, keys)
            new = [each for each in portion if (each.instance, each.asset) not in known]
            return enqueue_bulk(session, models, new)

        return self._state.database.transact(work)


def _weight(intent: Intent) -> int:
    return len(intent.image.data or b"")


def _portions(
    items: Iterable[T],
    size: int,
    weigh: Callable[[T], int] = lambda item: 0,
    most: int = 0,
) -> Iterator[list[T]]:
    """Divide what comes into lists.

    :param size: how many are in one at most.
    :param most: what they weigh together, but for the last, which may weigh more.
    """
    portion: list[T] = []
    weight = 0
    for item in items:
        portion.append(item)
        weight += weigh(item)
        if len(portion) == size or weight > most:
            yield portion
            portion, weight = [], 0
    if portion:
        yield portion


def _classified(session: Session, models: Models, keys: Sequence[Key]) -> set[Key]:
    """Find those that a provider has seen; what people tagged counts for nothing."""
    table = models.asset.__table__
    rows = session.execute(
        select(table.c.instance, table.c.asset_type, table.c.asset_id).where(
            table.c.tagged_at.is_not(None), *_among(table, keys)
        )
    )
    return {(row.instance, AssetRef(row.asset_type, row.asset_id)) for row in rows}


def _to_come(session: Session, models: Models, keys: Sequence[Key]) -> set[Key]:
    """Find those that have a job which keeps them from being queued."""
    table = models.job.__table__
    rows = session.execute(
        select(
            table.c.instance, table.c.asset_type, table.c.asset_id, table.c.state
        ).where(*_among(table, keys))
    )
    # The states are not asked for: a database might look for all jobs that wait.
    return {
        (row.instance, AssetRef(row.asset_type, row.asset_id))
        for row in rows
        if row.state in _KEEPING
    }


def _among(table: Table, keys: Sequence[Key]) -> list[ColumnElement[bool]]:
    """Narrow a table to few rows more than those of *keys*, by its indexes."""
    return [
        table.c.asset_type.in_({asset.type for _, asset in keys}),
        table.c.asset_id.in_({asset.id for _, asset in keys}),
        table.c.instance.in_({instance for instance, _ in keys}),
    ]
