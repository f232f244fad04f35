"""Measures the stages of tagging in this process."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

#: Reading the image of a job, with the host's loader or without.
LOAD = "load"
#: Decoding and classifying one image, measured in the child process.
CLASSIFY = "classify"
#: One exchange with a remote provider, for one image or several.
ASK = "ask"
#: The transaction that writes tags and ends jobs, for one image or several.
STORE = "store"

#: Upper bounds of the histogram, in seconds: from a small image to a slow provider.
BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)


@dataclass(frozen=True)
class Durations:
    """A cumulative histogram of durations.

    :param seconds: the sum.
    :param buckets: the number of durations up to each of :data:`BOUNDS`, and last the
        number of all.
    """

    seconds: float
    buckets: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of durations."""
        return self.buckets[-1]


class Timings:
    """Counts durations by stage and provider. Threads may share it."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, str], float] = {}
        self._numbers: dict[tuple[str, str], list[int]] = {}
        self._lock = threading.Lock()

    def add(self, stage: str, seconds: float, provider: str = "") -> None:
        """Count one duration.

        :param stage: such as :data:`LOAD`.
        :param provider: for :data:`ASK`.
        """
        key, place = (stage, provider), bisect_left(BOUNDS, seconds)
        with self._lock:
            if key not in self._numbers:
                self._numbers[key] = [0] * (len(BOUNDS) + 1)
            self._numbers[key][place] += 1
            self._seconds[key] = self._seconds.get(key, 0.0) + seconds

    @contextmanager
    def measuring(self, stage: str, provider: str = "") -> Iterator[None]:
        """Count the duration of the block, also if it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start, provider)

    def read(self) -> Mapping[tuple[str, str], Durations]:
        """Return the durations by stage and provider."""
        with self._lock:
            return {
                key: Durations(self._seconds[key], tuple(accumulate(numbers)))
                for key, numbers in self._numbers.items()
            }
