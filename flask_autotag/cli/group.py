"""The group ``flask autotag`` and the list of its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask.cli import AppGroup

if TYPE_CHECKING:
    import click


class _Group(AppGroup):
    def list_commands(self, context: click.Context) -> list[str]:
        self._load()
        return super().list_commands(context)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        self._load()
        return super().get_command(context, name)

    def _load(self) -> None:
        # Imported late: the commands import the worker, which a starting host does
        # not need.
        from .doctor import doctor
        from .explain import explain, try_files
        from .images import commit, tag_untagged, untag
        from .models import models_cli
        from .orphans import forget
        from .queue import purge_jobs, retry_jobs, status, worker
        from .retag import retag
        from .settings import rotate_keys, settings_cli
        from .tables import downgrade_db, init_db, upgrade_db
        from .tag import tag_images
        from .vocabulary import vocabulary_cli

        for command in (
            init_db,
            upgrade_db,
            downgrade_db,
            worker,
            status,
            retry_jobs,
            purge_jobs,
            doctor,
            tag_untagged,
            tag_images,
            retag,
            untag,
            commit,
            forget,
            explain,
            try_files,
            models_cli,
            settings_cli,
            rotate_keys,
            vocabulary_cli,
        ):
            self.add_command(command)


autotag_cli = _Group("autotag", help="Tag the images of this application.")
