"""The JSON API for other programs, as a blueprint of its own: ``autotag_api``.

Off unless ``AUTOTAG_API`` says where it is, and closed until the host's authorizer
says yes. An operation is data (``operations.py``), from which both its route and its
part of the OpenAPI description are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from flask import Flask


def register_api(app: Flask, url_prefix: str | None, pages: str | None) -> None:
    """Mount the blueprint.

    :param url_prefix: ``None`` for no API.
    :param pages: where the settings pages are.
    :raises ConfigurationError: if both are at the same address.
    """
    if url_prefix is None:
        return
    if url_prefix == pages:
        raise ConfigurationError(
            f"AUTOTAG_API must not be {url_prefix!r}, where the settings pages are: use"
            " another path, or AUTOTAG_URL_PREFIX."
        )
    from .blueprint import make_blueprint

    app.register_blueprint(make_blueprint(), url_prefix=url_prefix)
