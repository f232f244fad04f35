"""The settings of one instance."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, request
from flask.typing import ResponseReturnValue

from .access import VIEW, admit, instances
from .exchange import accept_large_fields, forbid_storing
from .text import gettext

blueprint = Blueprint("autotag_instance", __name__, template_folder="../templates")


blueprint.url_value_preprocessor(accept_large_fields)
blueprint.after_request(forbid_storing)


@blueprint.before_request
def _let_in() -> ResponseReturnValue | None:
    values: dict[str, Any] = request.view_args or {}
    instance = values["instance"]
    refusal = admit(VIEW, instance)
    if refusal is None and instance not in instances():
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
