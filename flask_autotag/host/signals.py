"""The signals between the host and the extension."""

from __future__ import annotations

import logging
from typing import Any

from blinker import NamedSignal, Namespace

logger = logging.getLogger(__name__)

_signals = Namespace()

#: Sent by the host when an image was uploaded. The sender is the application (or
#: anything else inside an application context). Arguments:
#:
#: ``asset``
#:     the model instance that the image belongs to, or an :class:`AssetRef`.
#: ``image``
#:     a path, bytes, a binary file, a ``FileStorage``, or a function without
#:     arguments that returns one of these. May be left out if an image loader or
#:     a watch can find the image again.
#: ``instance``
#:     the tenant, ``"default"`` if left out.
#: ``session``
#:     the SQLAlchemy session that writes the upload, if it is neither the one
#:     that holds ``asset`` nor Flask-SQLAlchemy's.
#: ``bulk``
#:     ``True`` for the pictures of an import: they wait for fresh uploads.
#: ``name``
#:     which image of the instance, if :meth:`.AutoTag.watch` named several.
#:
#: An error in the call is logged and sent as :data:`tagging_failed`. The receiver
#: raises only a database error that has ended the host's transaction: its writes are
#: lost.
#:
#: Outside a transaction of the host, the receiver waits at most 500 milliseconds for
#: the database; after that the job is written in the background.
image_uploaded: NamedSignal = _signals.signal("image-uploaded")

#: Sent by the extension, from the process that did the work, when the tags of an
#: asset were stored. The sender is the application. Arguments: ``asset`` (an
#: :class:`AssetRef`), ``instance`` and ``tags`` (the list that ``tags_for`` returns).
#: If a receiver raises, the error is logged and the tags stay.
image_tagged: NamedSignal = _signals.signal("image-tagged")

#: Sent by the extension when an upload could not be queued or will not be tried
#: again. The sender is the application. Arguments: ``asset`` (an
#: :class:`AssetRef`, or the object that the host sent if it cannot be named),
#: ``instance``, ``code`` (a short stable word) and ``message`` (a sentence for an
#: administrator, free of secrets).
tagging_failed: NamedSignal = _signals.signal("tagging-failed")


def send_safely(signal: NamedSignal, sender: Any, **arguments: Any) -> None:
    """Send *signal*; log the error of a receiver, and still call the others."""
    if signal.is_muted:
        return
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, **arguments)
        except Exception:
            logger.exception("A receiver of %s raised; it is ignored.", signal.name)
