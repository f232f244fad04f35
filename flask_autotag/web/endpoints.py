"""The names of the blueprints and of their endpoints."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, url_for

from ..errors import ConfigurationError
from .access import current_state

#: Follows ``AUTOTAG_BLUEPRINT`` in the name of each blueprint: that of the overview,
#: the system's pages and the static files, that of an instance's pages, and the API's.
SYSTEM_PAGES, INSTANCE_PAGES, API = "", "_instance", "_api"


def endpoint(view: str, blueprint: str = SYSTEM_PAGES) -> str:
    """Return the name of an endpoint in the current application.

    :param blueprint: one of the constants of this module.
    """
    return f"{current_state().config.blueprint}{blueprint}.{view}"


def system_url(view: str, **values: Any) -> str:
    """Return the address of an endpoint of the first blueprint.

    Templates call it ``autotag_url``.
    """
    return url_for(endpoint(view), **values)


def register_blueprint(app: Flask, blueprint: Blueprint, url_prefix: str) -> None:
    """Register a blueprint of the extension.

    :raises ConfigurationError: if the host has another blueprint of this name.
    """
    taken = app.blueprints.get(blueprint.name)
    if taken is not None:
        raise ConfigurationError(
            f"The application has a blueprint {blueprint.name!r} already, of the module"
            f" {taken.import_name}. Set AUTOTAG_BLUEPRINT to another name for the"
            " extension's blueprints, such as 'image_tags'."
        )
    app.register_blueprint(blueprint, url_prefix=url_prefix)
