"""The overview, and the settings of the whole system."""

from __future__ import annotations

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from ..assets import SYSTEM
from .access import VIEW, admit, admit_somewhere
from .exchange import accept_large_fields, forbid_storing

blueprint = Blueprint(
    "autotag",
    __name__,
    template_folder="../templates",
    static_folder="../static/autotag",
    static_url_path="/static",
)


blueprint.url_value_preprocessor(accept_large_fields)
blueprint.after_request(forbid_storing)


@blueprint.before_request
def _let_in() -> ResponseReturnValue | None:
    if (request.endpoint or "").startswith("autotag.system"):
        return admit(VIEW, SYSTEM)
    return admit_somewhere()


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """List the settings that the user may see."""
    from .overview import index_page

    return index_page()


@blueprint.route("/system", methods=["GET", "POST"])
def system() -> ResponseReturnValue:
    """Show and change the settings of the system."""
    # Here and not above: a host that starts needs no forms yet.
    from .editing import settings_page
    from .scope import Scope

    return settings_page(Scope(SYSTEM))


@blueprint.get("/system/history")
def system_history() -> ResponseReturnValue:
    """Show who changed the settings of the system."""
    from .overview import history_page
    from .scope import Scope

    return history_page(Scope(SYSTEM))


@blueprint.route("/system/tags", methods=["GET", "POST"])
def system_tags() -> ResponseReturnValue:
    """List the words of the system, and decide about them."""
    from .scope import Scope
    from .tags import tags_page

    return tags_page(Scope(SYSTEM))


@blueprint.route("/system/tag", methods=["GET", "POST"])
def system_tag() -> ResponseReturnValue:
    """Show one word of the system, and decide about it."""
    from .scope import Scope
    from .tag import tag_page

    return tag_page(Scope(SYSTEM))


@blueprint.get("/system/words")
def system_words() -> ResponseReturnValue:
    """Give what was decided about the words of the system, as a file."""
    from .scope import Scope
    from .words_file import words_file

    return words_file(Scope(SYSTEM))


@blueprint.route("/system/activity", methods=["GET", "POST"])
def system_activity() -> ResponseReturnValue:
    """Show what goes on, retry what failed, or dismiss it."""
    from .activity import activity_page
    from .scope import Scope

    return activity_page(Scope(SYSTEM))
