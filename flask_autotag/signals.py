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
#:     arguments that returns one of these. May be left out where an image loader
#:     or a watch can find the image again.
#: ``instance``
#:     the tenant, ``"default"`` if left out.
#: ``session``
#:     the SQLAlchemy session that writes the upload, where it is neither the one
#:     that holds ``asset`` nor Flask-SQLAlchemy's.
#: ``bulk``
#:     ``True`` for the pictures of an import: they wait for fresh uploads.
#:
#: The receiver never raises. What is wrong with the call is logged and sent as
#: :data:`tagging_failed`.
image_uploaded: NamedSignal = _signals.signal("image-uploaded")

#: Sent by the extension, from the process that did the work, when the tags of an
#: asset were stored. The sender is the application. Arguments: ``asset`` (an
#: :class:`AssetRef`), ``instance`` and ``tags`` (the list that ``tags_for`` gives).
#: A receiver that raises is logged; the tags stay.
image_tagged: NamedSignal = _signals.signal("image-tagged")

#: Sent by the extension when an upload could not be queued or will not be tried
#: again. The sender is the application. Arguments: ``asset`` (an
#: :class:`AssetRef`, or what the host sent where that cannot be named),
#: ``instance``, ``code`` (a short stable word) and ``message`` (a sentence for an
#: administrator, free of secrets).
tagging_failed: NamedSignal = _signals.signal("tagging-failed")


def send_safely(signal: NamedSignal, sender: Any, **arguments: Any) -> None:
    """Send *signal*; a receiver that raises is logged and the others still run."""
    if signal.is_muted:
        return
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, **arguments)
        except Exception:
            logger.exception("A receiver of %s raised; it is ignored.", signal.name)
