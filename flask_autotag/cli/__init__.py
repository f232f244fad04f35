"""``flask autotag …``. The commands are imported when somebody asks for one."""

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
        # They bring along the worker and all that it needs: a host that merely
        # starts has no use for it.
        from . import commands

        for command in commands.ALL:
            self.add_command(command)


autotag_cli = _Group("autotag", help="Tag the images of this application.")
