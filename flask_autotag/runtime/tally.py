"""Counts the outcomes of jobs and exchanges in this process."""

from __future__ import annotations

import threading
from collections import Counter


class Tally:
    """Counts by outcome and reason. Threads may share it.

    :param whole: another tally that gets the same counts.
    """

    def __init__(self, whole: Tally | None = None) -> None:
        self._whole = whole
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, kind: str, reason: str = "", number: int = 1) -> None:
        """Count some more.

        :param kind: the state of a job, ``queued`` for one to be retried; or the
            provider of an exchange.
        :param reason: the code of a failure.
        """
        with self._lock:
            self._counts[kind, reason] += number
        if self._whole is not None:
            self._whole.add(kind, reason, number)

    @property
    def counts(self) -> Counter[str]:
        """The number of each kind."""
        total: Counter[str] = Counter()
        for (kind, _), number in self.reasons.items():
            total[kind] += number
        return total

    @property
    def reasons(self) -> Counter[tuple[str, str]]:
        """The number of each kind for each reason."""
        with self._lock:
            return self._counts.copy()
