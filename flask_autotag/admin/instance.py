"""The pages of one instance: its settings, and the tags of its images."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, request
from flask.typing import ResponseReturnValue

from .access import REVIEW, VIEW, admit, instances
from .exchange import accept_large_fields, forbid_storing
from .text import gettext

blueprint = Blueprint("autotag_instance", __name__, template_folder="../templates")


#: The actions that endpoints need. What is not named is about settings.
_NEEDED = {
    "autotag_instance.review": REVIEW,
    "autotag_instance.explain": REVIEW,
    "autotag_instance.edit": REVIEW,
    "autotag_instance.complete": REVIEW,
}

#: Endpoints that need no list of instances: what they get is signed, or only read.
_UNLISTED = {"autotag_instance.edit", "autotag_instance.complete"}

blueprint.url_value_preprocessor(accept_large_fields)
blueprint.after_request(forbid_storing)


@blueprint.before_request
def _let_in() -> ResponseReturnValue | None:
    values: dict[str, Any] = request.view_args or {}
    instance = values["instance"]
    endpoint = request.endpoint or ""
    refusal = admit(_NEEDED.get(endpoint, VIEW), instance)
    if refusal is None and endpoint not in _UNLISTED and instance not in instances():
        abort(404, gettext("There is no instance of this name."))
    return refusal


@blueprint.route("/instances/<path:instance>", methods=["GET", "POST"])
def settings(instance: str) -> ResponseReturnValue:
    """Show and change the settings of an instance."""
    from .editing import settings_page
    from .scope import Scope

    return settings_page(Scope(instance))


@blueprint.get("/history/<path:instance>")
def history(instance: str) -> ResponseReturnValue:
    """Show who changed the settings of an instance."""
    from .overview import history_page
    from .scope import Scope

    return history_page(Scope(instance))


@blueprint.route("/review/<path:instance>", methods=["GET", "POST"])
def review(instance: str) -> ResponseReturnValue:
    """Show what is suggested, and take what people decide about it."""
    from .review import review_page
    from .scope import Scope

    return review_page(Scope(instance))


@blueprint.get("/explain/<path:instance>")
def explain(instance: str) -> ResponseReturnValue:
    """Explain the tags of one image."""
    from .explanation import explanation_page
    from .scope import Scope

    return explanation_page(Scope(instance))


@blueprint.post("/edit/<path:instance>")
def edit(instance: str) -> ResponseReturnValue:
    """Decide about a tag of one image."""
    from .edit import edit
    from .scope import Scope

    return edit(Scope(instance))


@blueprint.get("/complete/<path:instance>")
def complete(instance: str) -> ResponseReturnValue:
    """Offer words that begin with what somebody types."""
    from .edit import complete
    from .scope import Scope

    return complete(Scope(instance))


@blueprint.route("/tags/<path:instance>", methods=["GET", "POST"])
def tags(instance: str) -> ResponseReturnValue:
    """List the tags of an instance, and decide about words."""
    from .scope import Scope
    from .tags import tags_page

    return tags_page(Scope(instance))


@blueprint.route("/tag/<path:instance>", methods=["GET", "POST"])
def tag(instance: str) -> ResponseReturnValue:
    """Show one tag of an instance, and decide about it."""
    from .scope import Scope
    from .tag import tag_page

    return tag_page(Scope(instance))


@blueprint.get("/words/<path:instance>")
def words(instance: str) -> ResponseReturnValue:
    """Give what was decided about the words of an instance, as a file."""
    from .scope import Scope
    from .words_file import words_file

    return words_file(Scope(instance))


@blueprint.route("/activity/<path:instance>", methods=["GET", "POST"])
def activity(instance: str) -> ResponseReturnValue:
    """Show what goes on in an instance, retry what failed there, or dismiss it."""
    from .activity import activity_page
    from .scope import Scope

    return activity_page(Scope(instance))
