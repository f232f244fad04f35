"""From an upload to a job in the right transaction."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import current_app, has_app_context
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session, SessionTransaction, object_session

from ..assets import AssetRef, Upload, check_instance, instance_state, ref_of, type_of
from ..database import writing_connection
from ..errors import AssetError, AutoTagError, TaggingError
from ..signals import send_safely, tagging_failed
from ..sources import Captured, capture
from ..state import State
from ..troubles import TABLES_ADVICE, said_by
from . import queue

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

_INFO = "flask_autotag.outbox"


def submit(
    app: Flask, state: State, upload: Upload, session: Session | None = None
) -> None:
    """Write the job of an upload; never raises.

    It joins the host's transaction if that has uncommitted writes, and is committed
    alone otherwise. If the asset has no key yet, it waits for the flush.

    :param session: the session that writes the upload, if it is neither the one of
        the asset nor the database's.
    """
    with reporting(app, upload.asset, upload.instance), context_of(app):
        state.database.check()
        check_instance(upload.instance)
        ref = ref_of(upload.asset)
        image = _capture(state, upload)
        session = session or _session_of(state, upload.asset)
        if ref is None:
            _outbox(app, state, session).defer(upload, image)
        else:
            _write(app, state, session, ref, upload, image)


@contextlib.contextmanager
def context_of(app: Flask) -> Iterator[None]:
    """Enter an application context of *app*, unless there is one."""
    # The proxy itself has another identity than the application behind it.
    if has_app_context() and current_app._get_current_object() is app:  # type: ignore[attr-defined]
        yield
    else:
        with app.app_context():
            yield


@contextlib.contextmanager
def reporting(app: Flask, asset: object, instance: str) -> Iterator[None]:
    """Log what the block raises and send it as ``tagging_failed``; do not raise."""
    try:
        yield
    except Exception as error:
        code, message = _describe(error)
        if isinstance(error, AutoTagError):
            logger.error("%s was not queued for tagging: %s", _name(asset), message)
        elif isinstance(error, OperationalError | ProgrammingError):
            logger.error(
                "%s was not queued for tagging. %s %s",
                *(_name(asset), said_by(error), TABLES_ADVICE),
            )
        else:
            logger.exception("%s was not queued for tagging.", _name(asset))
        send_safely(
            tagging_failed,
            app,
            asset=_named(asset),
            instance=instance,
            code=code,
            message=message,
        )


def _capture(state: State, upload: Upload) -> Captured:
    if isinstance(upload.asset, AssetRef):
        asset_type = upload.asset.type
    else:
        asset_type = type_of(instance_state(upload.asset).mapper)
    return capture(
        upload.image,
        loadable=state.hooks.can_load(asset_type),
        most=state.config.max_image_bytes,
    )


def _session_of(state: State, asset: object) -> Session | None:
    if not isinstance(asset, AssetRef):
        session = object_session(asset)
        if session is not None:
            return session
    return state.database.host_session()


def _outbox(app: Flask, state: State, session: Session | None) -> Outbox:
    if session is None:
        raise AssetError(
            "The asset was never saved: add it to a session before sending the signal."
        )
    found: Outbox | None = session.info.get(_INFO)
    if found is None:
        found = session.info[_INFO] = Outbox(app, state, session)
    return found


def _write(
    app: Flask,
    state: State,
    session: Session | None,
    ref: AssetRef,
    upload: Upload,
    image: Captured,
) -> None:
    models = state.database.models
    priority = queue.BULK if upload.bulk else queue.FRESH
    arguments = (models, ref, upload.instance, image, priority)
    connection = writing_connection(session, models.job.__table__)
    if connection is not None:
        job_id = queue.enqueue(connection, *arguments)
        _outbox(app, state, session).written.append(job_id)
        return
    with state.database.begin() as own:
        job_id = queue.enqueue(own.connection(), *arguments)
    state.runner.wake(app, state, [job_id])


@dataclass(frozen=True)
class _Deferred:
    upload: Upload
    image: Captured


class Outbox:
    """The uploads of one session of the host, until its transaction ends.

    Kept in ``session.info``; its listeners are attached once and go with the
    session.
    """

    def __init__(self, app: Flask, state: State, session: Session) -> None:
        self._app = app
        self._state = state
        self._deferred: list[_Deferred] = []
        #: The ids of the jobs in this transaction.
        self.written: list[int] = []
        self._committed = False
        event.listen(session, "after_flush", self._after_flush)
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_transaction_end", self._after_end)

    def defer(self, upload: Upload, image: Captured) -> None:
        """Keep an upload until a flush gives its asset a key."""
        self._deferred.append(_Deferred(upload, image))

    def _after_flush(self, session: Session, _context: Any) -> None:
        waiting, self._deferred = self._deferred, []
        for item in waiting:
            upload = item.upload
            with reporting(self._app, upload.asset, upload.instance):
                ref = ref_of(upload.asset)
                if ref is None:
                    self._deferred.append(item)
                else:
                    _write(self._app, self._state, session, ref, upload, item.image)

    def _after_commit(self, session: Session) -> None:
        # Comes for savepoints too.
        self._committed = not session.in_nested_transaction()

    def _after_end(self, session: Session, ended: SessionTransaction) -> None:
        if ended.parent is not None:
            return
        left, self._deferred = self._deferred, []
        written, self.written = self.written, []
        committed, self._committed = self._committed, False
        if committed:
            self._report(left)
        if committed and written:
            self._state.runner.wake(self._app, self._state, written)

    def _report(self, left: list[_Deferred]) -> None:
        for item in left:
            with reporting(self._app, item.upload.asset, item.upload.instance):
                raise AssetError(
                    "The transaction was committed without the asset: add it to the"
                    " session before sending the signal."
                )


def _describe(error: Exception) -> tuple[str, str]:
    if isinstance(error, TaggingError):
        return error.code, str(error)
    if isinstance(error, AutoTagError):
        return "not_queued", str(error)
    kind = type(error).__name__
    if isinstance(error, DBAPIError):
        return "not_queued", (f"The job could not be written ({kind}). {TABLES_ADVICE}")
    return "not_queued", f"The upload could not be queued ({kind})."


def _named(asset: object) -> object:
    try:
        return ref_of(asset) or asset
    except AutoTagError:
        return asset


def _name(asset: object) -> str:
    named = _named(asset)
    return str(named) if isinstance(named, AssetRef) else f"A {type(asset).__name__}"
