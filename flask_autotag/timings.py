"""How long the stages of tagging take in this process."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

#: Reading the image of a job, by the host's loader too.
LOAD = "load"
#: Decoding and classifying one image, by the clock of the child that does it.
CLASSIFY = "classify"
#: One exchange with a provider elsewhere, of one image or of several.
ASK = "ask"
#: The transaction that writes tags and ends jobs, of one image or of several.
STORE = "store"

#: Seconds that divide what is counted: from one small image to a slow provider.
BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)


@dataclass(frozen=True)
class Durations:
    """How long something took, all times that it was done.

    :param seconds: the sum.
    :param buckets: how often it took no longer than each of :data:`BOUNDS`; the last
        number, for any duration, is how often it was done.
    """

    seconds: float
    buckets: tuple[int, ...]

    @property
    def count(self) -> int:
        """How often it was done."""
        return self.buckets[-1]


class Timings:
    """Counts durations by stage, and by provider where one was asked.

    Threads may share it. Nothing is kept of a single image.
    """

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, str], float] = {}
        self._numbers: dict[tuple[str, str], list[int]] = {}
        self._lock = threading.Lock()

    def add(self, stage: str, seconds: float, provider: str = "") -> None:
        """Count one more.

        :param stage: such as :data:`LOAD`.
        :param provider: of :data:`ASK` who was asked.
        """
        key, place = (stage, provider), bisect_left(BOUNDS, seconds)
        with self._lock:
            if key not in self._numbers:
                self._numbers[key] = [0] * (len(BOUNDS) + 1)
            self._numbers[key][place] += 1
            self._seconds[key] = self._seconds.get(key, 0.0) + seconds

    @contextmanager
    def measuring(self, stage: str, provider: str = "") -> Iterator[None]:
        """Count how long the block takes, also if it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start, provider)

    def read(self) -> Mapping[tuple[str, str], Durations]:
        """Give what was counted, by stage and provider."""
        with self._lock:
            return {
                key: Durations(self._seconds[key], tuple(accumulate(numbers)))
                for key, numbers in self._numbers.items()
            }
