"""Errors of an upload: logged and signalled, not raised into the host's code.

Only an error by which the host may lose writes of its own is raised.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from ..db.savepoint import Undone
from ..errors import AutoTagError, TaggingError
from ..host.assets import AssetRef, ref_of
from ..host.signals import send_safely, tagging_failed
from ..runtime.state import State
from ..runtime.throttled_log import TABLES_ADVICE, first_line

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FailureTexts:
    """The texts that report a failed write for an asset.

    :param failed: continues a log message that begins with the asset.
    :param failed_late: the same, if the write failed in the background.
    :param code: code of the :data:`.tagging_failed` signal.
    :param database_error: message for an error of the database; the error is appended.
    :param other_error: message for any other error.
    """

    failed: str
    failed_late: str
    code: str
    database_error: str
    other_error: str

    @property
    def late(self) -> FailureTexts:
        """The texts for a write in the background."""
        return replace(self, failed=self.failed_late)


NOT_QUEUED = FailureTexts(
    "was not queued for tagging",
    "will not be tagged: its job could not be written in the background",
    "not_queued",
    "The job could not be written",
    "The upload could not be queued",
)
NOT_FORGOTTEN = FailureTexts(
    "was deleted, but its tags were not",
    "was deleted, but its tags were not",
    "not_forgotten",
    "The tags could not be deleted",
    "The tags could not be deleted",
)
_FORMER_KEPT = "is of a new row, but the tags of a former image with its key stay"
FORMER_KEPT = replace(NOT_FORGOTTEN, failed=_FORMER_KEPT, failed_late=_FORMER_KEPT)


@contextlib.contextmanager
def reporting(
    app: Flask,
    state: State,
    asset: object,
    instance: str,
    session: Session | None = None,
    texts: FailureTexts = NOT_QUEUED,
    *,
    name: str | None = None,
) -> Iterator[None]:
    """Log errors of the block and send them as ``tagging_failed``; do not raise them.

    A database error is raised nevertheless if *session* has uncommitted writes that no
    savepoint protected: the host has to know that they may be lost.

    :param name: which image of *asset* the block is about.
    """
    try:
        yield
    except Undone as undone:
        _report(app, _named(state, asset, name), instance, texts, undone.error)
    except Exception as error:
        if _is_of_database(error) and _may_be_lost(state, session):
            raise
        _report(app, _named(state, asset, name), instance, texts, error)


def _is_of_database(error: BaseException | None) -> bool:
    """Whether an error of the database is the cause, perhaps inside the host's code."""
    while error is not None:
        if isinstance(error, DBAPIError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _may_be_lost(state: State, session: Session | None) -> bool:
    """Whether a session has, or may have, uncommitted writes."""
    try:
        return state.database.writing_connection(session) is not None
    except Exception:
        return True


def _report(
    app: Flask, asset: object, instance: str, texts: FailureTexts, error: Exception
) -> None:
    code, message = _describe(error, texts)
    failed = texts.failed
    name = str(asset) if isinstance(asset, AssetRef) else f"A {type(asset).__name__}"
    if isinstance(error, AutoTagError):
        text = error.log_text if isinstance(error, TaggingError) else message
        logger.error("%s %s: %s", name, failed, text)
    elif isinstance(error, OperationalError | ProgrammingError):
        logger.error("%s %s. %s %s", name, failed, first_line(error), TABLES_ADVICE)
    else:
        logger.error("%s %s.", name, failed, exc_info=error)
    send_safely(
        tagging_failed,
        app,
        asset=asset,
        instance=instance,
        code=code,
        message=message,
    )


def _describe(error: Exception, texts: FailureTexts) -> tuple[str, str]:
    if isinstance(error, TaggingError):
        return error.code, str(error)
    if isinstance(error, AutoTagError):
        return texts.code, str(error)
    kind = type(error).__name__
    if isinstance(error, DBAPIError):
        return texts.code, f"{texts.database_error} ({kind}). {TABLES_ADVICE}"
    return texts.code, f"{texts.other_error} ({kind})."


def _named(state: State, asset: object, name: str | None) -> object:
    """Return the name of an image, of its row, or *asset* if it cannot be named."""
    try:
        return ref_of(asset, state.hooks.watches.type_of_one(asset, name)) or asset
    except AutoTagError:
        return _named_row(asset)


def _named_row(asset: object) -> object:
    try:
        return ref_of(asset) or asset
    except AutoTagError:
        return asset
