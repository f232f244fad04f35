"""Picture Desk: a small photo CMS, and how Flask-AutoTag is installed in one.

Start it from the repository's root and sign in with an account that the first page
shows::

    pip install -e '.[example]'
    flask --app example_app run

What the extension takes of a host is in four places. The module ``tagging.py``
makes it and tells it of an upload::

    from flask_autotag import AutoTag, image_uploaded

    autotag = AutoTag(db=db)           # once, beside db = SQLAlchemy()
    autotag.init_app(app)              # in the factory, after db.init_app(app)

    image_uploaded.send(app, asset=photo, image=path, instance="news")

It also says who may open the settings pages, at ``/autotag/``, and review tags, which
instances there are, and where pages find a picture. (The rest of that module keeps how
far the tagging of a photo is, so that pages can say so.) The module ``library.py`` asks
for tags with ``autotag.preload``, ``autotag.select`` and ``autotag.tag_counts``, and
says ``autotag.forget`` when a photo is deleted. The template ``_tag_field.html`` lets
editors change the tags of a photo, with the extension's macros. And
``db.create_all()``, in ``seed.py``, makes the extension's tables with those of the
application, as a migration would.

Everything else here is an ordinary Flask application:

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

from . import auth, photos, seed, settings, tagging, web
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
