"""The decisions of the last form, for the message and the undo button that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from wtforms import HiddenField

from ....settings.tag_names import tag_name
from ....tags.review import BulkDecision
from ...translation import gettext
from ..form import ButtonField, PageForm, whole_number

#: The most images of one form: more than a page has.
_MOST = 100


@dataclass(frozen=True)
class Saved:
    """The decisions of one form, which addresses and forms carry on.

    :param left: the number of images that no longer had the suggestion.
    """

    decided: BulkDecision
    left: int = 0

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Saved | None:
        """Read :attr:`marks`; return ``None`` if they are missing or wrong."""
        try:
            decided = BulkDecision(
                tag_name(values["of"]).key,
                _rows(values["accepted"]),
                _rows(values["rejected"]),
                _time(values["since"]),
                _time(values["until"]),
            )
            return cls(decided, int(values["left"][:9]))
        except (KeyError, ValueError):
            return None

    @property
    def marks(self) -> dict[str, str]:
        """The decisions as texts, by the name of a parameter."""
        decided = self.decided
        times = {"since": decided.since, "until": decided.until}
        return {
            "of": decided.tag,
            "accepted": ".".join(map(str, decided.accepted)),
            "rejected": ".".join(map(str, decided.rejected)),
            **{name: time.isoformat() if time else "" for name, time in times.items()},
            "left": str(self.left),
        }

    @property
    def undo_form(self) -> UndoForm:
        """The form that restores the suggestions."""
        return UndoForm(None, data=self.marks)

    @property
    def can_be_undone(self) -> bool:
        """Whether there are suggestions to restore."""
        return self.decided.since is not None and self.decided.until is not None

    @property
    def sentences(self) -> list[str]:
        """The outcome in sentences."""
        numbers = {
            "accepted": len(self.decided.accepted),
            "rejected": len(self.decided.rejected),
        }
        done = gettext("Accepted %(accepted)s, rejected %(rejected)s.", **numbers)
        return [done, *left_sentences(self.left)]


class UndoForm(PageForm):
    """The form that undoes decisions; its fields are :attr:`Saved.marks`."""

    of = HiddenField()
    accepted = HiddenField()
    rejected = HiddenField()
    since = HiddenField()
    until = HiddenField()
    left = HiddenField()
    command = ButtonField()

    @property
    def saved(self) -> Saved | None:
        """The decisions, if they can be undone."""
        marks = {name: text for name, text in self.data.items() if text is not None}
        saved = Saved.read(marks)
        return saved if saved is not None and saved.can_be_undone else None


def left_sentences(left: int) -> list[str]:
    """Return a sentence about images that were left unchanged, if there are any."""
    if not left:
        return []
    if left == 1:
        return [
            gettext("1 image was left unchanged: somebody decided about it meanwhile.")
        ]
    return [
        gettext(
            "%(number)s images were left unchanged: somebody decided about them"
            " meanwhile.",
            number=left,
        )
    ]


def _rows(text: str) -> Sequence[int]:
    parts = text.split(".", _MOST) if text else []
    return [whole_number(part) for part in parts]


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None
