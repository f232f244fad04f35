"""Alembic, run on a connection of ours with the revisions of the package.

Alembic keeps what it works on in modules, so a process runs one of these at a time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from ..errors import UpgradeError
from . import VERSIONS
from .installed import Installed

#: No revision, in Alembic's words; and the last one.
BASE, HEAD = "base", "head"

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Revision:
    """A step in the history of the tables.

    :param id: such as ``"0002"``.
    :param message: what it does, in one line.
    """

    id: str
    message: str


#: Is told of each revision when it is done.
Tell = Callable[[Revision], None]


@dataclass(frozen=True)
class History:
    """The revisions, and what runs them.

    :param folders: where they are.
    """

    folders: Sequence[Path] = field(default_factory=lambda: (VERSIONS,))

    def revisions(self) -> list[Revision]:
        """List them, oldest first."""
        script = ScriptDirectory.from_config(self._config())
        return [
            Revision(each.revision, each.doc)
            for each in reversed(list(script.walk_revisions()))
        ]

    def upgrade(
        self,
        connection: Connection,
        tables: Installed,
        to: str = HEAD,
        tell: Tell | None = None,
    ) -> None:
        """Run what lies between the revision of the database and *to*."""
        config = self._config(connection, tables, tell)
        with _one_at_a_time:
            command.upgrade(config, to)

    def downgrade(
        self,
        connection: Connection,
        tables: Installed,
        to: str,
        tell: Tell | None = None,
    ) -> None:
        """Take back what lies between the revision of the database and *to*."""
        config = self._config(connection, tables, tell)
        with _one_at_a_time:
            command.downgrade(config, to)

    def write_sql(
        self, connection: Connection, tables: Installed, start: str, file: TextIO
    ) -> None:
        """Write what an upgrade from the revision *start* would execute, as SQL.

        :raises UpgradeError: if a revision has to see the tables.
        """
        config = self._config(connection, tables)
        config.output_buffer = written = StringIO()
        try:
            with _one_at_a_time:
                command.upgrade(config, f"{start}:{HEAD}", sql=True)
        except CommandError as error:
            raise UpgradeError(
                "These revisions cannot be written as SQL: one of them copies a table,"
                " as SQLite makes it do, and has to see it."
            ) from error
        file.write(written.getvalue())

    def _config(
        self,
        connection: Connection | None = None,
        tables: Installed | None = None,
        tell: Tell | None = None,
    ) -> Config:
        def on_step(*, step: Any, **_other: Any) -> None:
            script = step.up_revision
            if tell is not None:
                tell(Revision(script.revision, script.doc))

        config = Config(
            attributes={
                "connection": connection,
                "installed": tables,
                "on_step": on_step,
            }
        )
        _set(config, "script_location", str(Path(__file__).parent))
        _set(config, "path_separator", "os")
        _set(config, "version_locations", os.pathsep.join(map(str, self.folders)))
        return config


def _set(config: Config, name: str, value: str) -> None:
    # A percent sign would begin an interpolation.
    config.set_main_option(name, value.replace("%", "%%"))
