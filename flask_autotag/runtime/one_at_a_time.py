"""Lets a person do something only once at a time, in one process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OneAtATime:
    """Something that each person may do only once at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    @contextmanager
    def enter(self, person: str) -> Iterator[bool]:
        """Let a person do it during the block.

        :return: ``False`` if the same person is doing it already; the block has to
            refuse then.
        """
        with self._lock:
            is_free = person not in self._busy
            self._busy.add(person)
        try:
            yield is_free
        finally:
            if is_free:
                with self._lock:
                    self._busy.discard(person)
