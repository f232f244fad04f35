"""Counts what this process did: what became of jobs, and of exchanges."""

from __future__ import annotations

import threading
from collections import Counter


class Tally:
    """Counts by what became of something, and why. Threads may share it.

    :param whole: counts all of it too.
    """

    def __init__(self, whole: Tally | None = None) -> None:
        self._whole = whole
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, kind: str, reason: str = "", number: int = 1) -> None:
        """Count some more.

        :param kind: of a job its state, ``queued`` for one to be tried again; of an
            exchange the provider.
        :param reason: the code of a failure.
        """
        with self._lock:
            self._counts[kind, reason] += number
        if self._whole is not None:
            self._whole.add(kind, reason, number)

    @property
    def counts(self) -> Counter[str]:
        """How many there were of each kind."""
        total: Counter[str] = Counter()
        for (kind, _), number in self.reasons.items():
            total[kind] += number
        return total

    @property
    def reasons(self) -> Counter[tuple[str, str]]:
        """How many there were of each kind for each reason."""
        with self._lock:
            return self._counts.copy()
