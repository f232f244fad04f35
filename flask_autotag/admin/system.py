"""The overview, and the settings of the whole system."""

from __future__ import annotations

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from ..settings.stored import SYSTEM
from .access import VIEW, admit, admit_somewhere

blueprint = Blueprint(
    "autotag",
    __name__,
    template_folder="../templates",
    static_folder="../static/autotag",
    static_url_path="/static",
)


@blueprint.url_value_preprocessor
def _take_large_fields(_endpoint: str | None, _values: object) -> None:
    accept_large_fields()


@blueprint.before_request
def _let_in() -> ResponseReturnValue | None:
    if request.endpoint in ("autotag.system", "autotag.system_history"):
        return admit(VIEW, SYSTEM)
    return admit_somewhere()


@blueprint.after_request
def _forbid_storing(response: Response) -> Response:
    return forbid_storing(response)


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


#: Bytes that the texts of a form may have. The sum is refused at the field, with a
#: sentence, while Flask's own limit would make an error page of it.
_FORM_BYTES = 2 * 2**20


def accept_large_fields() -> None:
    """Let a form be read that has a field which is far too long."""
    request.max_form_memory_size = _FORM_BYTES


def forbid_storing(response: Response) -> Response:
    """Keep pages out of caches; styles and scripts may stay."""
    if response.mimetype == "text/html":
        response.cache_control.no_store = True
    return response
