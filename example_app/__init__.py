"""Picture Desk: a small photo CMS, and how Flask-AutoTag is installed in one.

Start it from the repository's root and sign in with an account that the first page
shows::

    pip install -e '.[example]'
    flask --app example_app run

It is an ordinary Flask application:

==============  ====================================================
``settings``    the configuration and its defaults
``models``      users, photos and the two instances, *news* and *shop*
``seed``        the first start: tables, demo accounts, photos
``uploads``     files: what is accepted, where it is kept
``library``     photos: finding, adding and deleting them
``auth``        signing in and out
``photos``      the pages of an instance
``web``         what holds for all pages: headers, CSRF, errors
==============  ====================================================

All that it does with tags is in the package ``tagging``, to be copied from. There the
extension is made, told of uploads and asked, and there are the pages, templates, styles
and scripts of tags. The rest has one line for each thing that it wants of it::

    tagging,                                  # in imports: here, library, photos
    tagging.init_app(app)                     # here, after db.init_app(app)

    tagging.announce(photo)                   # library: a photo is saved
    tagging.autotag.forget(photo)             # library: it is deleted

    blueprint.register_blueprint(tagging.pages)           # photos: the cloud of tags
    photos = tagging.narrowed(photos, g.instance.key)     # photos: by the chosen tags
    tagging=tagging.shown(pagination.items),              # photos: for the gallery
    tagging=tagging.shown([found]),                       # photos: for one photo
    **tagging.described(photo),                           # photos: for upload.js

    {% include "tagging/card.html" %}         # in templates, and others like it

``db.create_all()``, in ``seed``, makes the extension's tables with those of the
application, as a migration would. Without the package, and without the lines that name
it, the application runs on, on the same database.

Any configuration key can be set from the environment with the prefix ``FLASK_``.
So the photos can be tagged by a process of their own::

    FLASK_AUTOTAG_RUNNER=none flask --app example_app run
    flask --app example_app autotag worker
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from . import (
    auth,
    photos,
    seed,
    settings,
    tagging,
    web,
)
from .models import db

__all__ = ["create_app"]


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the application, and on the first start its database and photos.

    :param config: overrides the defaults and the environment.
    """
    folder = Path(__file__).resolve().parent
    app = Flask(__name__, instance_path=str(folder / "instance"))
    settings.configure(app, config or {})
    db.init_app(app)
    tagging.init_app(app)
    web.init_app(app)
    auth.init_app(app)
    app.register_blueprint(photos.blueprint)
    with app.app_context():
        seed.prepare()
    return app
