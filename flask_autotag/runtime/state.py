"""The state that the extension keeps for each application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from flask import current_app

from ..db.database import Database
from ..host.hooks import Hooks
from ..settings.config import Config
from .late_writes import LateWrites
from .one_at_a_time import OneAtATime
from .tally import Tally
from .throttled_log import ThrottledLog
from .timings import Timings
from .turn import Turn

if TYPE_CHECKING:
    from flask import Flask

    from ..settings.fields import Layer, Section
    from ..settings.resolution import Settings
    from ..settings.stored import OnWrite, StoredSettings


class Runner(Protocol):
    """Runs the jobs of the queue. Only :meth:`prepare` may raise."""

    def prepare(self, app: Flask, state: State) -> None:
        """Check the configuration, for ``init_app``; start nothing."""

    def start(self, app: Flask, state: State) -> None:
        """Start to run jobs, also those of other processes; called at each request."""

    def wake(self, app: Flask, state: State, ids: Sequence[int]) -> None:
        """Run jobs that were just committed."""

    def stop(self) -> None:
        """End the threads and processes that run in this process."""


class Pool(Protocol):
    """The child processes that classify; implemented by :class:`.sandbox.pool.Pool`.

    Its arguments and results are ``Any``: their package imports this one.
    """

    @property
    def confinement(self) -> Any:
        """The confinement of the children; ``None`` before the first one."""

    def slot(self, wait: float | None = None) -> AbstractContextManager[Any]:
        """Wait for a free slot, and reserve it for the block."""

    def classify(
        self, question: Any, *, wait: float | None = None, limit: float | None = None
    ) -> Any:
        """Classify one image."""

    def resize(self, size: int) -> None:
        """Set the number of children that work at the same time."""

    def kill(self) -> None:
        """Kill the children."""

    def close(self) -> None:
        """End the idle children."""


@dataclass(frozen=True)
class State:
    """The state of one application. It does not refer to the application.

    :ivar config_layer: the settings that ``app.config`` sets.
    :ivar find_sections: returns all sections of settings.
    :ivar make_pool: makes the pools of child processes when they are first needed.
    :ivar on_settings_written: called in the transaction that changes settings.
    :ivar stand_ins: pools of a host's tests; the last one replaces both pools.
    :ivar timings: how long the stages of tagging took in this process.
    :ivar outcomes: counts the outcomes of this process's jobs.
    :ivar exchanges: counts the outcomes of its requests to remote providers.
    :ivar throttled_log: logs errors that keep it from its work.
    :ivar late_writes: writes of this process that continue after their callers.
    :ivar trials: the users who are trying an image.
    :ivar turn: the instance whose jobs this process claimed last.
    """

    config: Config
    config_layer: Layer
    find_sections: Callable[[], Sequence[Section]]
    database: Database
    hooks: Hooks
    make_pool: Callable[[], Pool]
    runner: Runner
    on_settings_written: OnWrite
    stand_ins: list[Pool] = field(default_factory=list)
    timings: Timings = field(default_factory=Timings)
    outcomes: Tally = field(default_factory=Tally)
    exchanges: Tally = field(default_factory=Tally)
    throttled_log: ThrottledLog = field(default_factory=ThrottledLog)
    late_writes: LateWrites = field(default_factory=LateWrites)
    trials: OneAtATime = field(default_factory=OneAtATime)
    turn: Turn = field(default_factory=Turn)
    _pools: dict[str, Pool] = field(default_factory=dict)

    @cached_property
    def sections(self) -> Sequence[Section]:
        """All sections of settings, the general one first."""
        return self.find_sections()

    @property
    def pool(self) -> Pool:
        """The pool that decodes and classifies in the background."""
        return self._pool("background")

    @property
    def request_pool(self) -> Pool:
        """The pool that decodes and classifies while a request waits."""
        return self._pool("request")

    def close_children(self) -> None:
        """End the idle children of this process."""
        for pool in list(self._pools.values()):
            pool.close()

    def stored_settings(self) -> StoredSettings:
        """Return the reader and writer of settings, inside an application context."""
        from ..settings.encryption import sealer_for
        from ..settings.stored import StoredSettings

        sealer = sealer_for(self.config.secret_keys, current_app.config)
        return StoredSettings(
            self.database.models,
            self.sections,
            self.config_layer,
            sealer,
            self.on_settings_written,
        )

    def settings_for(self, instance: str) -> Settings:
        """Read the settings that hold now, inside an application context.

        :param instance: or :data:`.SYSTEM`.
        """
        return self.database.transact(
            lambda session: self.stored_settings().settings(session, instance)
        )

    def _pool(self, name: str) -> Pool:
        if self.stand_ins:
            return self.stand_ins[-1]
        if name not in self._pools:
            # Threads that do this at the same time get the same pool; a pool that is
            # discarded has no children yet.
            self._pools.setdefault(name, self.make_pool())
        return self._pools[name]
