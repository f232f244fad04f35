"""Transactional outbox: an upload's job is written in the upload's transaction."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flask import has_app_context
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction, object_session
from sqlalchemy.orm.exc import UnmappedInstanceError

from ..db import job_states
from ..db.host_writes import commits_by_itself
from ..db.savepoint import Undone, savepoint
from ..db.sql import lock_writers
from ..errors import AssetError
from ..host.application import current_application
from ..host.assets import (
    DEFAULT_INSTANCE,
    AssetRef,
    Upload,
    check_instance,
    instance_state,
    ref_of,
    saved_ref,
)
from ..host.image_source import Captured, capture
from ..host.images import image_types, images_of
from ..runtime.state import State
from ..tags import store
from . import forgetting, queue
from .upload_errors import (
    FORMER_KEPT,
    NOT_FORGOTTEN,
    NOT_QUEUED,
    FailureTexts,
    reporting,
)

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

_INFO = "flask_autotag.outbox"


def submit(
    app: Flask,
    state: State,
    upload: Upload,
    session: Session | None = None,
    connection: Connection | None = None,
    *,
    unless_known: bool = False,
    is_new: bool = False,
) -> None:
    """Write the job of an upload; log and signal errors instead of raising them.

    The job joins the host's transaction if that has uncommitted writes, and is
    committed alone otherwise. If the asset has no primary key yet, the job is written
    after the flush.

    :param session: the session that writes the upload, if it is neither the asset's
        session nor the host's current one.
    :param connection: the connection of the flush, inside the session's events.
    :param unless_known: write no job if the asset had one before, or was classified.
    :param is_new: the flush has inserted the asset's row: forget a former image first.
    :raises DBAPIError: if the database has ended the host's transaction, so that the
        host's own writes may be lost.
    """
    with context_of(app):
        session = session or session_of(state, upload.asset)
        with reporting(
            app, state, upload.asset, upload.instance, session, name=upload.name
        ):
            state.database.check()
            check_instance(upload.instance)
            asset_type = _type_of(state, upload)
            ref = ref_of(upload.asset, asset_type)
            image = capture(
                upload.image,
                loadable=state.hooks.can_load(asset_type, upload.asset),
                most=state.config.max_image_bytes,
            )
            if ref is None:
                _outbox(app, state, session).defer(upload, image)
            else:
                write = _upload_write(app, state, ref, upload, image, unless_known)
                if is_new:
                    write = _forgetting_former(app, state, session, write)
                _write(app, state, session, write, connection)


def forget(app: Flask, state: State, asset: object, connection: Connection) -> None:
    """Delete the tags and jobs of all images of an object that a flush deletes.

    :param connection: the connection of the flush.
    :raises DBAPIError: as :func:`submit` does.
    """
    session = object_session(asset)
    with (
        context_of(app),
        reporting(app, state, asset, DEFAULT_INSTANCE, session, NOT_FORGOTTEN),
    ):
        for ref in images_of(asset):
            _forget_image(app, state, asset, ref, connection)


def forget_former(
    app: Flask,
    state: State,
    asset: object,
    watched: Collection[str],
    connection: Connection,
) -> None:
    """Forget the former images of a new row's key that its class is not watched for.

    They were stored before the images had names, or by another class of the table.

    :param watched: the asset types of the others, which :func:`submit` forgets.
    :param connection: the connection of the flush.
    :raises DBAPIError: as :func:`submit` does.
    """
    session = object_session(asset)
    for asset_type in image_types(instance_state(asset).mapper):
        if asset_type in watched:
            continue
        ref = saved_ref(asset, asset_type)
        with (
            context_of(app),
            reporting(app, state, ref, DEFAULT_INSTANCE, session, FORMER_KEPT),
        ):
            instance = state.hooks.instance_of(asset, asset_type)
            write = _Write(ref, instance, lambda _: 0, FORMER_KEPT)
            write = _forgetting_former(app, state, session, write)
            _write(app, state, session, write, connection)


def _forget_image(
    app: Flask, state: State, asset: object, ref: AssetRef, connection: Connection
) -> None:
    session, models = object_session(asset), state.database.models
    with reporting(app, state, ref, DEFAULT_INSTANCE, session, NOT_FORGOTTEN):
        instance = state.hooks.instance_of(asset, ref.type)

        def work(connection: Connection) -> int:
            forgetting.forget(connection, models, ref, instance)
            return 0

        write = _Write(ref, instance, work, NOT_FORGOTTEN)
        _write(app, state, session, write, connection)


def hold_back(
    app: Flask, state: State, upload: Upload, connection: Connection, *, is_new: bool
) -> None:
    """Forget the jobs of an object whose new image is not ready; its tags stay.

    The image counts as never classified, so that it is queued when it is ready.

    :param connection: the connection of the flush.
    :param is_new: the flush has inserted the object's row: there is only a former image
        to forget.
    :raises DBAPIError: as :func:`submit` does.
    """
    session, models = object_session(upload.asset), state.database.models
    with (
        context_of(app),
        reporting(app, state, upload.asset, upload.instance, session, name=upload.name),
    ):
        ref = saved_ref(upload.asset, _type_of(state, upload))
        instance = check_instance(upload.instance)

        def work(connection: Connection) -> int:
            lock_writers(connection, models.job.__table__)
            # A DELETE that finds no row would lock out uploads on MariaDB.
            if queue.is_known(connection, models, ref, instance):
                queue.forget(connection, models, ref, instance)
                store.note_other_file(connection, models, ref, instance)
            return 0

        write = _Write(ref, instance, (lambda _: 0) if is_new else work)
        if is_new:
            write = _forgetting_former(app, state, session, write)
        _write(app, state, session, write, connection)


def enqueue(
    app: Flask, state: State, asset: object, work: Callable[[Connection], list[int]]
) -> None:
    """Write jobs that the host's code requested; raise errors to that code.

    :param work: writes the jobs and returns their ids.
    :raises DBAPIError: if they cannot be written.
    """
    session = session_of(state, asset)
    job_ids, joined = state.database.write(session, work)
    if joined:
        _outbox(app, state, session).written.extend(job_ids)
    else:
        state.runner.wake(app, state, job_ids)


def note_decision(state: State, asset: object, ref: AssetRef, instance: str) -> None:
    """Keep a decision if the session inserts the asset's row only afterwards.

    :param asset: the asset as host code named it.
    """
    session = session_of(state, asset)
    if session is not None:
        box = _outbox(current_application(), state, session)
        if isinstance(asset, AssetRef) or not instance_state(asset).persistent:
            box.decided.add((instance, ref))
        else:
            box.note_decision(ref, instance)


@contextlib.contextmanager
def context_of(app: Flask) -> Iterator[None]:
    """Enter an application context of *app*, unless one is active."""
    if has_app_context() and current_application() is app:
        yield
    else:
        with app.app_context():
            yield


def _type_of(state: State, upload: Upload) -> str:
    return state.hooks.watches.type_of_one(upload.asset, upload.name)


def session_of(state: State, asset: object) -> Session | None:
    """Return the session of *asset* or, if it has none, the host's current session."""
    try:
        session = object_session(asset)
    except UnmappedInstanceError:
        session = None
    return session or state.database.host_session()


def _outbox(app: Flask, state: State, session: Session | None) -> Outbox:
    if session is None:
        raise AssetError(
            "The asset was never saved: add it to a session before sending the signal."
        )
    outbox: Outbox | None = session.info.get(_INFO)
    if outbox is None:
        outbox = session.info[_INFO] = Outbox(app, state, session)
    return outbox


@dataclass(frozen=True)
class _Write:
    """A write for one asset.

    :param work: executes it; returns the id of the job, or 0 if it writes none.
    :param reads_first: whether its first statement is a SELECT.
    :param texts: for the report if it fails.
    :param size: bytes of the image that it holds in memory.
    """

    asset: AssetRef
    instance: str
    work: Callable[[Connection], int]
    texts: FailureTexts = NOT_QUEUED
    size: int = 0
    reads_first: bool = False


def _upload_write(
    app: Flask,
    state: State,
    ref: AssetRef,
    upload: Upload,
    image: Captured,
    unless_known: bool = False,
) -> _Write:
    models, intent = state.database.models, queue.Intent(ref, upload.instance, image)
    priority = job_states.BULK if upload.bulk else job_states.FRESH

    def work(connection: Connection) -> int:
        if unless_known:
            lock_writers(connection, models.job.__table__)
            if queue.is_known(connection, models, ref, upload.instance):
                return 0
        return queue.enqueue(connection, models, intent, priority)

    return _Write(ref, upload.instance, work, size=len(image.data or b""))


def _forgetting_former(
    app: Flask, state: State, session: Session | None, write: _Write
) -> _Write:
    """Let a write for a new row first forget the former image of its key.

    Host code may have decided on tags of the new image before the row is inserted or,
    if our tables are in another database, before it is committed: these stay.
    """
    decided = _outbox(app, state, session).decided
    name, models = (write.instance, write.asset), state.database.models

    def work(connection: Connection) -> int:
        if name not in decided:
            forgetting.forget_former(connection, models, write.asset, write.instance)
        return write.work(connection)

    return replace(write, work=work, reads_first=True)


def _write(
    app: Flask,
    state: State,
    session: Session | None,
    write: _Write,
    connection: Connection | None = None,
) -> None:
    """Write in the host's transaction or, if it has none, in a separate one.

    If the host's transaction is in another database, write after its commit.
    """
    in_other_database = False
    for candidate in _writing_connections(state, session, connection):
        if state.database.is_at(candidate):
            with savepoint(candidate):
                job_id = write.work(candidate)
            if job_id:
                _outbox(app, state, session).written.append(job_id)
            return
        in_other_database = True
    if in_other_database:
        _outbox(app, state, session).after_commit(write)
    else:
        _write_alone(app, state, write)


def _writing_connections(
    state: State, session: Session | None, connection: Connection | None
) -> Iterator[Connection]:
    if connection is not None and not commits_by_itself(connection):
        yield connection
    writing = state.database.writing_connection(session)
    if writing is not None:
        yield writing


def _write_alone(app: Flask, state: State, write: _Write) -> None:
    """Write in a separate transaction, in the background if that takes long.

    :raises Undone: if it failed before the upload returned.
    """

    def work(session: Session) -> int:
        if write.reads_first:
            lock_writers(session, state.database.models.job.__table__)
        return write.work(session.connection())

    future = state.late_writes.write(app, state.database, work, write.size)
    if future.done():
        _wake(app, state, _result(future))
        return
    logger.info(
        "%s waits for the database; its job is written in the background.", write.asset
    )

    def ended(done: Future[int]) -> None:
        late = write.texts.late
        with (
            app.app_context(),
            reporting(app, state, write.asset, write.instance, texts=late),
        ):
            _wake(app, state, _result(done))

    future.add_done_callback(ended)


def _result(future: Future[int]) -> int:
    try:
        return future.result()
    except Exception as error:
        # The host's transaction, if any, is not affected by this separate one.
        raise Undone(error) from error


def _wake(app: Flask, state: State, job_id: int) -> None:
    if job_id:
        state.runner.wake(app, state, [job_id])


@dataclass(frozen=True)
class _Deferred:
    upload: Upload
    image: Captured


class Outbox:
    """The uploads of one host session, until its transaction ends.

    It is stored in ``session.info``, so that its listeners are attached once and live
    as long as the session.
    """

    def __init__(self, app: Flask, state: State, session: Session) -> None:
        self._app = app
        self._state = state
        self._deferred: list[_Deferred] = []
        self._after: list[_Write] = []
        #: The ids of the jobs in this transaction.
        self.written: list[int] = []
        #: Instances and assets with decisions of this transaction, or just before it.
        self.decided: set[tuple[str, AssetRef]] = set()
        self._committed = False
        event.listen(session, "after_flush", self._after_flush)
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_transaction_end", self._after_end)

    def defer(self, upload: Upload, image: Captured) -> None:
        """Keep an upload until a flush gives its asset a primary key."""
        self._deferred.append(_Deferred(upload, image))

    def after_commit(self, write: _Write) -> None:
        """Keep a write until the host's transaction is committed."""
        self._after.append(write)

    def note_decision(self, asset: AssetRef, instance: str) -> None:
        """Keep a decision on an inserted row if a write for it still has to follow."""
        if any(
            (each.asset, each.instance) == (asset, instance) for each in self._after
        ):
            self.decided.add((instance, asset))

    def _after_flush(self, session: Session, _context: Any) -> None:
        deferred, self._deferred = self._deferred, []
        for item in deferred:
            with context_of(self._app), self._reporting(item, session):
                ref = ref_of(item.upload.asset, _type_of(self._state, item.upload))
                if ref is None:
                    self._deferred.append(item)
                    continue
                write = _upload_write(
                    self._app, self._state, ref, item.upload, item.image
                )
                _write(self._app, self._state, session, write)

    def _reporting(
        self, item: _Deferred, session: Session | None = None
    ) -> contextlib.AbstractContextManager[None]:
        upload = item.upload
        return reporting(
            self._app,
            self._state,
            upload.asset,
            upload.instance,
            session,
            name=upload.name,
        )

    def _after_commit(self, session: Session) -> None:
        # Called for savepoints too.
        self._committed = not session.in_nested_transaction()

    def _after_end(self, session: Session, ended: SessionTransaction) -> None:
        if ended.parent is not None:
            return
        unflushed, self._deferred = self._deferred, []
        after, self._after = self._after, []
        written, self.written = self.written, []
        committed, self._committed = self._committed, False
        # A deferred write still needs the former set.
        self.decided = set()
        if not committed:
            return
        with context_of(self._app):
            self._report_unflushed(unflushed)
            self._write_after(after)
        if written:
            self._state.runner.wake(self._app, self._state, written)

    def _report_unflushed(self, items: list[_Deferred]) -> None:
        for item in items:
            with self._reporting(item):
                raise AssetError(
                    "The transaction was committed without the asset: add it to the"
                    " session before sending the signal."
                )

    def _write_after(self, writes: list[_Write]) -> None:
        for write in writes:
            with reporting(
                self._app, self._state, write.asset, write.instance, texts=write.texts
            ):
                _write_alone(self._app, self._state, write)
