"""The decisions about one tag of one image."""

from __future__ import annotations

from dataclasses import dataclass

from ....tags.rules import APPLIED, REJECTED, SUGGESTED
from ...translation import gettext, translatable


@dataclass(frozen=True)
class ReviewAction:
    """The effect of a button on a tag of an image.

    :param standing: the state of the tag for which the button is shown; ``None`` for
        any.
    :param state: the state afterwards.
    :param done: the message of success.
    :param late: the message if the tag is no longer in the state :attr:`standing`.
    :param is_pinned: whether the tag is pinned to the front afterwards; ``None`` for a
        decision about the tag itself.
    """

    standing: str | None
    state: str
    done: str
    late: str = ""
    is_pinned: bool | None = None

    def sentence(self, tag: str) -> str:
        """Return the message of success."""
        return gettext(self.done, tag=tag)

    def excuse(self, tag: str, *, applied: bool) -> str:
        """Return the message of a decision that came too late.

        :param applied: whether the image has the tag.
        """
        return gettext(_APPLIED if applied else self.late, tag=tag)


_LATE = translatable("“%(tag)s” is no longer suggested for this image.")
_REMOVED = translatable("“%(tag)s” is no longer a tag of this image.")
_APPLIED = translatable(
    "“%(tag)s” is already a tag of this image and no longer a suggestion. Remove the"
    " tag if it is wrong."
)

#: The actions by the name of the field that sends them.
ACTIONS = {
    "add": ReviewAction(None, APPLIED, translatable("“%(tag)s” was added.")),
    "remove": ReviewAction(
        APPLIED, REJECTED, translatable("“%(tag)s” was removed."), _REMOVED
    ),
    "pin": ReviewAction(
        APPLIED,
        APPLIED,
        translatable("“%(tag)s” was pinned to the front."),
        _REMOVED,
        is_pinned=True,
    ),
    "unpin": ReviewAction(
        APPLIED,
        APPLIED,
        translatable("“%(tag)s” is no longer pinned."),
        _REMOVED,
        is_pinned=False,
    ),
    "accept": ReviewAction(
        SUGGESTED, APPLIED, translatable("“%(tag)s” was accepted."), _LATE
    ),
    "reject": ReviewAction(
        SUGGESTED, REJECTED, translatable("“%(tag)s” was rejected."), _LATE
    ),
}
