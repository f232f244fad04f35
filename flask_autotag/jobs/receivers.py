"""Receivers of the host's signals: each upload becomes a job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy.orm import Session

from ..characters import printable
from ..host.assets import DEFAULT_INSTANCE, ImageSource, Upload
from ..runtime.applications import Applications
from . import outbox
from .upload_errors import reporting

logger = logging.getLogger(__name__)

Adapter = Callable[..., Upload | Iterable[Upload] | None]


def receive_upload(
    applications: Applications,
    sender: object,
    asset: object = None,
    image: ImageSource | None = None,
    instance: str | None = None,
    session: Session | None = None,
    bulk: bool = False,
    name: str | None = None,
    **unknown: object,
) -> None:
    """Queue the asset of an ``image_uploaded`` signal."""
    app = applications.find(sender)
    if app is None:
        applications.report_uninitialised(sender)
        return
    if unknown:
        logger.warning(
            "image_uploaded was sent with %s, which it does not know: it takes asset,"
            " image, instance, session, bulk and name.",
            printable(", ".join(sorted(unknown))),
        )
    upload = Upload(asset, image, instance or DEFAULT_INSTANCE, bulk, name)
    outbox.submit(app, applications.state_of(app), upload, session)


def receive_other_signal(
    applications: Applications, adapter: Adapter, sender: object, **arguments: Any
) -> None:
    """Queue the uploads that *adapter* makes of another signal of the host."""
    app = applications.find(sender)
    if app is None:
        return
    state = applications.state_of(app)
    with outbox.context_of(app):
        session = state.database.host_session()
        with reporting(app, state, sender, DEFAULT_INSTANCE, session):
            for upload in _uploads(adapter(sender, **arguments)):
                outbox.submit(app, state, upload)


def _uploads(adapted: Upload | Iterable[Upload] | None) -> Iterable[Upload]:
    if adapted is None:
        return ()
    return (adapted,) if isinstance(adapted, Upload) else adapted
