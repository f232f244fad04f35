"""Whether the host has migrations of its own, which see our tables too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .database import Database, OwnDatabase

if TYPE_CHECKING:
    from flask import Flask

#: What is registered on an application, and how its package is called.
_EXTENSIONS = {"migrate": "Flask-Migrate", "alembic": "Flask-Alembic"}


def host_migrations(app: Flask, database: Database) -> str | None:
    """Name the extension that migrates the host's tables, and with them ours."""
    if isinstance(database, OwnDatabase):
        return None
    for name, package in _EXTENSIONS.items():
        if name in app.extensions:
            return package
    return None
