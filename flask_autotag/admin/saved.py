"""What was decided last on the page of review: told on the next page, and undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..review import Decided
from ..vocabulary import tag_name
from .text import gettext

#: Images that one save may be about: more than a page has.
_MOST = 100


@dataclass(frozen=True)
class Saved:
    """What one save decided, as addresses and forms carry it.

    :param left: how many images were left, because they had no suggestion any more.
    """

    decided: Decided
    left: int = 0

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Saved | None:
        """Read :attr:`marks` back; ``None`` if they are not there, or make no sense."""
        try:
            decided = Decided(
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
        """The same as texts."""
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
    def can_be_undone(self) -> bool:
        """Whether suggestions can come back."""
        return self.decided.since is not None and self.decided.until is not None

    @property
    def sentences(self) -> list[str]:
        """What to tell."""
        numbers = {
            "accepted": len(self.decided.accepted),
            "rejected": len(self.decided.rejected),
        }
        done = gettext("Accepted %(accepted)s, rejected %(rejected)s.", **numbers)
        return [done, *left_sentences(self.left)]


def left_sentences(left: int) -> list[str]:
    """Say how many images were left as they are."""
    if not left:
        return []
    if left == 1:
        return [gettext("1 image was decided otherwise meanwhile, and left so.")]
    return [
        gettext(
            "%(number)s images were decided otherwise meanwhile, and left so.",
            number=left,
        )
    ]


def row_number(text: str) -> int:
    """Read the key of an asset's row.

    :raises ValueError: if it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(text)
    return int(text)


def _rows(text: str) -> Sequence[int]:
    parts = text.split(".", _MOST) if text else []
    return [row_number(part) for part in parts]


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None
