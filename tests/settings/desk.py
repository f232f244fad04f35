"""Changes settings in tests, as pages and commands do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import Executable
from sqlalchemy.orm import Session

from flask_autotag import SettingsError
from flask_autotag.host.assets import SYSTEM
from flask_autotag.settings.edit import SettingsChange, save
from flask_autotag.settings.fields import Path
from flask_autotag.settings.resolution import Settings
from flask_autotag.settings.stored import SettingChange

from ..hosts import Host


class Desk:
    """Changes the settings of a host as pages and commands do."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.state = host.autotag.state_of(host.app)
        host.app.config["SECRET_KEY"] = "of the host, and long enough for it"

    def save(
        self,
        typed: Mapping[Path, Any],
        instance: str = SYSTEM,
        version: int | None = None,
        who: str | None = "ada",
        also: Callable[[Session], None] | None = None,
    ) -> SettingsChange:
        with self.host.app.app_context():
            return save(
                self.state.database,
                self.state.stored_settings(),
                instance,
                typed,
                model_dir=self.state.config.model_dir,
                who=who,
                version=version,
                also=also,
            )

    def refusals(
        self, typed: Mapping[Path, Any], instance: str = SYSTEM
    ) -> dict[Path, str]:
        with pytest.raises(SettingsError) as caught:
            self.save(typed, instance)
        return {path: str(error) for path, error in caught.value.errors.items()}

    def settings(self, instance: str = SYSTEM) -> Settings:
        with self.host.app.app_context():
            return self.state.settings_for(instance)

    def changes(self, instance: str = SYSTEM) -> list[SettingChange]:
        with self.host.app.app_context(), self.state.database.begin() as session:
            return self.state.stored_settings().changes(session, instance)

    def version(self, instance: str = SYSTEM) -> int:
        with self.host.app.app_context(), self.state.database.begin() as session:
            return self.state.stored_settings().version(session, instance)

    def execute(self, *statements: Executable) -> None:
        """Execute statements that no page or command executes."""
        with self.host.app.app_context(), self.host.db.engine.begin() as connection:
            for statement in statements:
                connection.execute(statement)
