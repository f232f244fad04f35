"""Existing images of the host that were never classified: found and queued."""

from __future__ import annotations

import pickle
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import IO, TYPE_CHECKING

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from ...db.job_states import QUARANTINED, QUEUED, RUNNING
from ...db.models import Models
from ...db.sql import in_batches, lock_writers
from ...errors import TaggingError
from ...host.assets import AssetRef
from ...host.image_source import Captured, capture
from ...runtime.state import State
from ...tags.batches import BATCH_SIZE, Advance, AssetFilter
from ...tags.reapply import applies
from ..queue import Intent, enqueue_bulk
from ..reclassify import UNREAD, Key, among, require_path, source_paths
from .host_images import Listed, list_assets
from .skipped import Skipped

if TYPE_CHECKING:
    from types import TracebackType

    from flask import Flask

#: An image with a job in one of these states is not queued again. Only ``retry``
#: takes an image out of quarantine.
_BLOCKING_STATES = (QUEUED, RUNNING, QUARANTINED)
#: Bytes of images that travel with their jobs in one transaction.
_BYTES = 16 * 2**20
#: Bytes of found images that are kept in memory; more go to a temporary file.
_IN_MEMORY = 2**20


class Backlog:
    """The host's images that were never classified, kept in a temporary file.

    All images are found before the first job is written: a cursor that the host's
    lister holds open cannot lock out the jobs.

    :param capturing: whether the images will be queued; ``False`` only counts them.
    :param everything: include assets that had no image, or a file that is none.
    :ivar listed: number of images that the host listed.
    :ivar untagged: number of images that were never classified, by instance.
    :ivar no_image: number of assets skipped because they had no image, or a file that
        is none.
    :ivar off: number of images skipped because tagging is off in their instance.
    :ivar unreadable: the images that cannot be read.
    """

    def __init__(
        self, state: State, *, capturing: bool = True, everything: bool = False
    ) -> None:
        self._state = state
        self._capturing = capturing
        self._everything = everything
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._is_on: Callable[[str], bool] = cache(
            lambda instance: applies(state.settings_for(instance))
        )
        self.listed = 0
        self.untagged: Counter[str] = Counter()
        self.no_image = 0
        self.off = 0
        self.unreadable = Skipped()

    def __enter__(self) -> Backlog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def fill(self, app: Flask, scope: AssetFilter, advance: Advance) -> None:
        """Find the images that were never classified and have no live job.

        :raises AutoTagError: as :func:`.host_images.list_assets` does.
        """
        # A context for the lister alone: its session closes with the context.
        with app.app_context():
            for batch in in_batches(list_assets(app, self._state, scope)):
                self.listed += len(batch)
                enabled = [each for each in batch if self._is_on(each.instance)]
                self.off += len(batch) - len(enabled)
                self._add_untagged(enabled)
                advance(len(batch))

    def queue(self) -> Iterator[list[int]]:
        """Write the jobs, some hundred in a transaction.

        Images that were classified meanwhile are left out. An image that has a live
        job with the same content gets no second one.

        :return: the ids of the new or live jobs, transaction by transaction.
        """
        self._file.seek(0)
        for batch in _batches(self._read()):
            yield self._queue(batch)

    def _add_untagged(self, listed: Sequence[Listed]) -> None:
        images = {(each.instance, each.asset): each for each in listed}
        models = self._state.database.models

        def work(session: Session) -> tuple[list[Listed], int, dict[Key, str | None]]:
            known, skipped = _known(session, models, images.keys())
            known |= _blocked(session, models, images.keys())
            skipped = set() if self._everything else (skipped & images.keys()) - known
            known |= skipped
            untagged = [each for key, each in images.items() if key not in known]
            return untagged, len(skipped), self._source_paths(session, untagged)

        untagged, skipped, paths = self._state.database.transact(work)
        self.no_image += skipped
        for each in untagged:
            try:
                self._add(each, paths)
            except TaggingError as error:
                self.unreadable.add(each.asset, each.instance, error)

    def _source_paths(
        self, session: Session, untagged: Iterable[Listed]
    ) -> dict[Key, str | None]:
        """Find the files of images that the host listed without their image."""
        if not self._capturing:
            return {}
        keys = [(each.instance, each.asset) for each in untagged if each.image is None]
        return source_paths(session, self._state, keys)

    def _add(self, each: Listed, paths: Mapping[Key, str | None]) -> None:
        """Count an image and keep what its job needs.

        :raises TaggingError: if it cannot be read, or its file is not known.
        """
        if self._capturing:
            image = self._capture(each, paths)
            pickle.dump(Intent(each.asset, each.instance, image), self._file)
        self.untagged[each.instance] += 1

    def _capture(self, each: Listed, paths: Mapping[Key, str | None]) -> Captured:
        source = each.image
        if source is None:
            source = require_path(paths, (each.instance, each.asset))
        image = capture(
            source,
            loadable=self._state.hooks.can_load(each.asset.type),
            most=self._state.config.max_image_bytes,
        )
        return image if image.content else replace(image, content=UNREAD)

    def _read(self) -> Iterator[Intent]:
        while True:
            try:
                # No other program can write to this file: it has no name.
                yield pickle.load(self._file)  # noqa: S301
            except EOFError:
                return

    def _queue(self, batch: Sequence[Intent]) -> list[int]:
        models = self._state.database.models
        keys = [(each.instance, each.asset) for each in batch]

        def work(session: Session) -> list[int]:
            lock_writers(session, models.job.__table__)
            known, _ = _known(session, models, keys)
            new = [each for each in batch if (each.instance, each.asset) not in known]
            return enqueue_bulk(session, models, new)

        return self._state.database.transact(work)


def _batches(intents: Iterable[Intent]) -> Iterator[list[Intent]]:
    """Divide the jobs of a collection into transactions, by number and bytes."""
    batch: list[Intent] = []
    size = 0
    for intent in intents:
        batch.append(intent)
        size += len(intent.image.data or b"")
        if len(batch) == BATCH_SIZE or size > _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _known(
    session: Session, models: Models, keys: Collection[Key]
) -> tuple[set[Key], set[Key]]:
    """Return the assets that a provider has classified, and those without an image.

    People's tags do not count. A few assets besides *keys* may be returned.
    """
    table = models.asset.__table__
    columns = (table.c.instance, table.c.asset_type, table.c.asset_id)
    rows = session.execute(
        select(*columns, table.c.no_image).where(
            or_(table.c.tagged_at.is_not(None), table.c.no_image), among(table, keys)
        )
    )
    classified, without = set[Key](), set[Key]()
    for row in rows:
        found = without if row.no_image else classified
        found.add((row.instance, AssetRef(row.asset_type, row.asset_id)))
    return classified, without


def _blocked(session: Session, models: Models, keys: Collection[Key]) -> set[Key]:
    """Return the assets that have a job in one of the blocking states."""
    table = models.job.__table__
    rows = session.execute(
        select(
            table.c.instance, table.c.asset_type, table.c.asset_id, table.c.state
        ).where(among(table, keys))
    )
    # Not filtered by state in SQL: the database might use that index, and read all
    # queued jobs.
    return {
        (row.instance, AssetRef(row.asset_type, row.asset_id))
        for row in rows
        if row.state in _BLOCKING_STATES
    }
