"""Tags in a CMS: all code of Picture Desk that uses Flask-AutoTag.

==============  ====================================================
``extension``   the extension, and its hooks into the CMS
``search``      finding photos by their tags
``shown``       the tags that the pages of the CMS show
``pages``       its own pages: the cloud, and answers for scripts
``templates``   parts that the templates of the CMS include
``static``      the style of tags, and scripts that show new tags
==============  ====================================================

It imports only the models of the CMS. The CMS uses the names below; the docstring of
``example_app`` lists the lines that do.
"""

from __future__ import annotations

from flask import Blueprint, Flask

from . import extension, search
from .extension import announce, autotag
from .pages import pages
from .search import narrowed
from .shown import described, shown

__all__ = [
    "announce",
    "autotag",
    "described",
    "init_app",
    "narrowed",
    "pages",
    "shown",
]

#: Templates and static files, which belong to no instance.
files = Blueprint(
    "tagging",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/tagging",
)


def init_app(app: Flask) -> None:
    """Install the extension. Call it after ``db.init_app(app)``."""
    extension.init_app(app)
    app.register_blueprint(files)
    app.url_defaults(search.keep_chosen)
