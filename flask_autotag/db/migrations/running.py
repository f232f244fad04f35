"""Run Alembic's commands on a connection of ours, with the revisions of the package."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from ...errors import UpgradeError
from ..models import Models
from ..revisions import VERSIONS

#: Alembic's names of the state before the first revision, and of the newest revision.
BASE, HEAD = "base", "head"

#: Receives a revision that was just applied or taken back.
OnRevision = Callable[[Script], None]


def ignore(_script: Script) -> None:
    """Do nothing: the default :data:`OnRevision`."""


def read_revisions() -> list[Script]:
    """Return the revisions of the package, oldest first."""
    return [*ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def stamp(connection: Connection, models: Models, revision: str) -> None:
    """Store the revision in the database without applying any."""
    command.stamp(_online(connection, models), revision, purge=True)


def upgrade(connection: Connection, models: Models, on_revision: OnRevision) -> None:
    """Apply all revisions after the stored one."""
    command.upgrade(_online(connection, models, on_revision), HEAD)


def downgrade(
    connection: Connection, models: Models, to: str, on_revision: OnRevision
) -> None:
    """Take back all revisions after *to*."""
    command.downgrade(_online(connection, models, on_revision), to)


def upgrade_sql(connection: Connection, models: Models, start: str) -> str:
    """Return the statements of all revisions after *start*.

    :raises UpgradeError: if a revision has to read the tables.
    """
    config = _config(connection, models)
    config.output_buffer = written = StringIO()
    try:
        command.upgrade(config, f"{start}:{HEAD}", sql=True)
    except CommandError as error:
        raise UpgradeError(
            f"The pending revisions cannot be written as SQL: {error}"
        ) from error
    return written.getvalue()


def _online(
    connection: Connection, models: Models, on_revision: OnRevision = ignore
) -> Config:
    if connection.dialect.name != "sqlite":
        # Alembic begins a transaction for each revision only if none is open. On
        # SQLite the open one is the lock.
        connection.commit()
    return _config(connection, models, on_revision)


def _config(
    connection: Connection | None = None,
    models: Models | None = None,
    on_revision: OnRevision = ignore,
) -> Config:
    def on_version_apply(*, step: Any, **_other: Any) -> None:
        if not step.is_stamp:
            on_revision(step.up_revision)

    config = Config(
        attributes={
            "connection": connection,
            "models": models,
            "on_version_apply": on_version_apply,
        }
    )
    # A percent sign would begin an interpolation.
    location = str(VERSIONS.parent).replace("%", "%%")
    config.set_main_option("script_location", location)
    return config
