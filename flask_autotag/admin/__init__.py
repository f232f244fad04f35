"""The pages for administrators, as two blueprints.

``autotag`` has the overview and the system's settings, ``autotag_instance`` those of
one instance, and what editors do with its tags. Both are closed until the host's
authorizer says yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .text import gettext

if TYPE_CHECKING:
    from flask import Flask

    from .field import ImageTags


def register_pages(app: Flask, url_prefix: str | None) -> None:
    """Mount the blueprints, and give the macros for the host's templates their data.

    :param url_prefix: ``None`` for no pages and no macros.
    """
    if url_prefix is None:
        return
    from . import instance, system

    app.register_blueprint(system.blueprint, url_prefix=url_prefix)
    app.register_blueprint(instance.blueprint, url_prefix=url_prefix)
    # Not a context processor: macros are imported without the context.
    app.jinja_env.globals.setdefault("autotag_image", _image_tags)
    app.jinja_env.globals.setdefault("autotag_text", gettext)


def _image_tags(asset: object, *arguments: Any, **named: Any) -> ImageTags:
    """See :func:`.field.image_tags`; here it costs nothing until it is used."""
    from .field import image_tags

    return image_tags(asset, *arguments, **named)
