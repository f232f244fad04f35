"""Counts what came of the jobs of one process."""

from __future__ import annotations

import threading
from collections import Counter


class Tally:
    """Counts by the state that a job got. Threads may share it."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, state: str, number: int = 1) -> None:
        """Count jobs that got *state*; ``queued`` are those to be tried again."""
        with self._lock:
            self._counts[state] += number

    @property
    def counts(self) -> Counter[str]:
        """A copy."""
        with self._lock:
            return self._counts.copy()
