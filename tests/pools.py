"""Child processes that the hosts of one process share."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from flask_autotag import extension
from flask_autotag.classification.sandbox.pool import Answer, Pool, Question, Slot
from flask_autotag.settings.config import Config

#: The function of the extension, before the tests replace it.
make_own_pool = extension._make_pool


class SharedPools:
    """Pools whose children go on when a host ends, for the next host.

    Starting a child and loading the model would take most of the time of a small test.
    """

    def __init__(self) -> None:
        self._idle: dict[tuple[float, int], list[Pool]] = {}

    def make_pool(self, config: Config) -> LentPool:
        """Return a host's pool; replaces the function of the extension."""
        return LentPool(self, config.timeout, config.memory_limit)

    def take(self, limits: tuple[float, int]) -> Pool:
        idle = self._idle.setdefault(limits, [])
        return idle.pop() if idle else Pool(1, *limits)

    def put_back(self, limits: tuple[float, int], pool: Pool) -> None:
        self._idle[limits].append(pool)

    def close(self) -> None:
        """End all children."""
        for pools in self._idle.values():
            for pool in pools:
                pool.close()
        self._idle.clear()


class LentPool:
    """A host's pool: a shared one from the first image until it is closed."""

    def __init__(self, shared: SharedPools, timeout: float, memory_limit: int) -> None:
        self._shared = shared
        self._limits = (timeout, memory_limit)
        self._size = 1
        self._pool: Pool | None = None

    @property
    def confinement(self) -> Any:
        return self._lent().confinement

    def slot(self, wait: float | None = None) -> AbstractContextManager[Slot]:
        return self._lent().slot(wait)

    def classify(
        self,
        question: Question,
        *,
        wait: float | None = None,
        limit: float | None = None,
    ) -> Answer:
        return self._lent().classify(question, wait=wait, limit=limit)

    def resize(self, size: int) -> None:
        self._size = size

    def kill(self) -> None:
        self._lent().kill()

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if self._size == 1:
            self._shared.put_back(self._limits, pool)
        else:
            pool.close()

    def _lent(self) -> Pool:
        if self._pool is None:
            self._pool = (
                self._shared.take(self._limits)
                if self._size == 1
                else Pool(self._size, *self._limits)
            )
        return self._pool
