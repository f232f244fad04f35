"""What the extension keeps for each application."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from flask import current_app

from .config import Config
from .database import Database
from .hooks import Hooks
from .sandbox.pool import Pool
from .settings.fields import Layer, Section
from .settings.resolution import Settings
from .settings.sealing import sealer_for
from .settings.stored import StoredSettings
from .tally import Tally
from .timings import Timings
from .troubles import Troubles

if TYPE_CHECKING:
    from flask import Flask


class Runner(Protocol):
    """Who works off the queue, seen from an upload. None of it raises."""

    def prepare(self, app: Flask, state: State) -> None:
        """Check the configuration, for ``init_app``; start nothing.

        This alone may raise.
        """

    def start(self, app: Flask, state: State) -> None:
        """See that jobs left by others are worked off too; called at each request."""

    def wake(self, app: Flask, state: State, ids: Sequence[int]) -> None:
        """Tell that jobs were committed."""

    def stop(self) -> None:
        """End what runs in this process."""


@dataclass(frozen=True)
class State:
    """What belongs to one application. It does not refer to the application.

    :ivar children: what decodes and classifies.
    :ivar stand_ins: what answers in its place while tests of the host say so; the last
        one does.
    :ivar timings: how long the stages of tagging took in this process.
    :ivar ends: what became of the jobs that this process worked on.
    :ivar exchanges: what became of its exchanges with providers elsewhere.
    :ivar troubles: what keeps it from its work.
    """

    config: Config
    sections: Sequence[Section]
    config_layer: Layer
    database: Database
    hooks: Hooks
    children: Pool
    runner: Runner
    stand_ins: list[Pool] = field(default_factory=list)
    timings: Timings = field(default_factory=Timings)
    ends: Tally = field(default_factory=Tally)
    exchanges: Tally = field(default_factory=Tally)
    troubles: Troubles = field(default_factory=Troubles)

    @property
    def pool(self) -> Pool:
        """Who decodes and classifies now."""
        return self.stand_ins[-1] if self.stand_ins else self.children

    def stored_settings(self) -> StoredSettings:
        """Give what reads and writes settings, inside the application's context."""
        sealer = sealer_for(self.config.secret_keys, current_app.config)
        return StoredSettings(
            self.database.models, self.sections, self.config_layer, sealer
        )

    def settings_for(self, instance: str) -> Settings:
        """Find the settings that hold now, inside the application's context.

        :param instance: or :data:`.SYSTEM`.
        """
        return self.database.transact(
            lambda session: self.stored_settings().settings(session, instance)
        )
