"""The instance whose jobs were claimed last, so that instances take turns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Turn:
    """A position in the instances, in the order of their names.

    The threads of a process share it. If two claim at the same time, an instance may be
    served twice in a row.

    :ivar last: the instance that was served last; ``None`` before the first.
    """

    last: str | None = None
