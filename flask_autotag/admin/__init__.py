"""The pages for administrators, as two blueprints.

``autotag`` has the overview and the system's settings, ``autotag_instance`` those of
one instance. Both are closed until the host's authorizer says yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def register_pages(app: Flask, url_prefix: str | None) -> None:
    """Mount the blueprints.

    :param url_prefix: ``None`` for no pages.
    """
    if url_prefix is None:
        return
    from . import instance, system

    app.register_blueprint(system.blueprint, url_prefix=url_prefix)
    app.register_blueprint(instance.blueprint, url_prefix=url_prefix)
