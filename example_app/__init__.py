"""Picture Desk: a small photo CMS that uses Flask-AutoTag.

Start it from the repository's root, and sign in with an account from the first page::

    pip install -e '.[example]'
    flask --app example_app run

It is an ordinary Flask application:

==============  ====================================================
``settings``    the configuration and its defaults
``models``      users, photos and the two instances, *news* and *shop*
``seed``        the first start: tables, demo accounts, photos
``uploads``     files: which are accepted, and where they are stored
``library``     photos: finding, adding and deleting them
``auth``        signing in and out
``photos``      the pages of an instance
``web``         for all pages: headers, CSRF, errors
==============  ====================================================

The package ``tagging`` contains all code for tags, for you to copy from. It creates the
extension, reports uploads and reads tags, and it has the pages, templates, styles and
scripts of tags. The other modules use it by these lines::

    tagging,                                  # in imports: here, library, photos
    tagging.init_app(app)                     # here, after db.init_app(app)

    tagging.announce(photo)                   # library: when a photo is saved
    tagging.autotag.forget(photo)             # library: when it is deleted

    blueprint.register_blueprint(tagging.pages)           # photos: the cloud of tags
    photos = tagging.narrowed(photos, g.instance.key)     # photos: by the chosen tags
    tagging=tagging.shown(pagination.items),              # photos: for the gallery
    tagging=tagging.shown([found]),                       # photos: for one photo
    **tagging.described(photo),                           # photos: for upload.js

    {% include "tagging/card.html" %}         # in templates, and similar lines

``db.create_all()`` in ``seed`` creates the extension's tables together with those of
the application, as a migration would. If you delete the package and the lines that name
it, the application still works, with the same database.

Environment variables with the prefix ``FLASK_`` set configuration keys. For example, a
separate process can tag the photos::

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
    """Create the application, and on the first start its database and photos.

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
