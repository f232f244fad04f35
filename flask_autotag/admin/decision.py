"""What a user may decide about one tag of one image."""

from __future__ import annotations

from dataclasses import dataclass

from ..verdicts import APPLIED, REJECTED, SUGGESTED
from .text import gettext


@dataclass(frozen=True)
class Choice:
    """What a button does to a tag of an image.

    :param standing: how the tag stands where the button is shown; ``None`` if that does
        not matter.
    :param state: how it stands afterwards.
    :param done: what to say of it.
    :param late: what to say if it does not stand so any more.
    """

    standing: str | None
    state: str
    done: str
    late: str = ""

    def sentence(self, tag: str) -> str:
        """Say that it was done."""
        return gettext(self.done, tag=tag)

    def excuse(self, tag: str, *, applied: bool) -> str:
        """Say that it was not.

        :param applied: whether the image has the tag.
        """
        return gettext(_APPLIED if applied else self.late, tag=tag)


_LATE = "“%(tag)s” is not suggested for this image any more."
_APPLIED = (
    "“%(tag)s” is a tag of this image already, and not suggested: to take it away,"
    " remove it."
)

#: By the names of the fields that send them.
CHOICES = {
    "add": Choice(None, APPLIED, "“%(tag)s” was added."),
    "remove": Choice(
        APPLIED,
        REJECTED,
        "“%(tag)s” was removed.",
        "“%(tag)s” is no tag of this image any more.",
    ),
    "accept": Choice(SUGGESTED, APPLIED, "“%(tag)s” was accepted.", _LATE),
    "reject": Choice(SUGGESTED, REJECTED, "“%(tag)s” was rejected.", _LATE),
}

#: All of these sentences, for the one who collects messages.
SENTENCES = sorted(
    {text for each in CHOICES.values() for text in (each.done, each.late) if text}
    | {_APPLIED}
)
