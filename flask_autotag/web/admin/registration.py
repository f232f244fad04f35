"""Registers the pages with an application.

One blueprint has the overview and the system's pages, the other one the pages of one
instance. The host's authorizer decides on every request to either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..endpoints import register_blueprint, system_url
from ..translation import gettext

if TYPE_CHECKING:
    from flask import Flask

    from .images.bulk_bar import BulkBar
    from .review.image_tags import ImageTags


def register_pages(app: Flask, name: str, url_prefix: str | None) -> None:
    """Register both blueprints, and the globals that templates need.

    :param name: the beginning of their names.
    :param url_prefix: ``None`` to register neither.
    :raises ConfigurationError: if the host has a blueprint of such a name.
    """
    if url_prefix is None:
        return
    from .blueprints import make_instance_blueprint, make_system_blueprint

    for make in (make_system_blueprint, make_instance_blueprint):
        register_blueprint(app, make(name), url_prefix)
    # Globals: a template imports macros without the context of its processors.
    app.jinja_env.globals.setdefault("autotag_image", _image_tags)
    app.jinja_env.globals.setdefault("autotag_bulk", _bulk_bar)
    app.jinja_env.globals.setdefault("autotag_text", gettext)
    app.jinja_env.globals.setdefault("autotag_url", system_url)


def _image_tags(asset: object, *arguments: Any, **named: Any) -> ImageTags:
    """Import :func:`.image_tags.image_tags` with its first use, and call it."""
    from .review.image_tags import image_tags

    return image_tags(asset, *arguments, **named)


def _bulk_bar(*arguments: Any, **named: Any) -> BulkBar:
    """Import :func:`.bulk_bar.bulk_bar` with its first use, and call it."""
    from .images.bulk_bar import bulk_bar

    return bulk_bar(*arguments, **named)
