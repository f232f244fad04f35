"""Tags, the way a CMS has them: all that Picture Desk does with Flask-AutoTag.

==============  ====================================================
``extension``   the extension, and what it asks of the CMS
``search``      finding photos by their tags
``shown``       what the pages of the CMS show of tags
``pages``       pages of our own: the cloud, and answers for scripts
``templates``   pieces that the templates of the CMS include
``static``      the looks of tags, and scripts that show them at once
==============  ====================================================

It imports nothing of the CMS but its models. The CMS calls what is named below, one
line each; its own docstring lists them.
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

#: Templates and static files; they are not of an instance, as the pages are.
files = Blueprint(
    "tagging",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/tagging",
)


def init_app(app: Flask) -> None:
    """Install it; ``db`` has been initialised for *app* before."""
    extension.init_app(app)
    app.register_blueprint(files)
    app.url_defaults(search.keep_chosen)
