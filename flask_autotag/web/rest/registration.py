"""Registers the JSON API, as a blueprint.

The API is off unless ``AUTOTAG_API`` has its path, and the host's authorizer decides
about every request. An operation is data (``operations.py``), from which its route and
its part of the OpenAPI description are generated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ConfigurationError
from ..endpoints import register_blueprint

if TYPE_CHECKING:
    from flask import Flask


def register_api(
    app: Flask, name: str, url_prefix: str | None, pages: str | None
) -> None:
    """Register the blueprint.

    :param name: the beginning of its name.
    :param url_prefix: ``None`` for no API.
    :param pages: the path of the settings pages.
    :raises ConfigurationError: if both have the same path, or if the host has a
        blueprint of this name.
    """
    if url_prefix is None:
        return
    if url_prefix == pages:
        raise ConfigurationError(
            f"AUTOTAG_API must not be {url_prefix!r}, the path of the settings pages:"
            " use another path, or change AUTOTAG_URL_PREFIX."
        )
    from .blueprint import make_blueprint

    register_blueprint(app, make_blueprint(name), url_prefix)
