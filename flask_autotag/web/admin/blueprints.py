"""The blueprints of the pages, made from the table of routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from flask import Blueprint, abort, request
from flask.typing import ResponseReturnValue
from werkzeug.utils import import_string

from ...host.assets import SYSTEM
from ..access import admit_somewhere, check_access, instances
from ..endpoints import INSTANCE_PAGES, SYSTEM_PAGES
from ..responses import forbid_storing, limit_form
from ..translation import gettext
from ..unavailable import answer_unavailable
from .filters import add_filters
from .routes import ROUTES, Route

_TEMPLATES = "../../templates"


def make_system_blueprint(name: str) -> Blueprint:
    """Return the blueprint of the overview, the system's pages and the static files.

    :param name: the beginning of its name.
    """
    blueprint = Blueprint(
        name + SYSTEM_PAGES,
        __name__,
        template_folder=_TEMPLATES,
        static_folder="../../static/autotag",
        static_url_path="/static",
    )
    actions = {}
    for route in ROUTES.values():
        if route.has_system:
            _add(blueprint, route.system_path, route.system_name, route)
            actions[route.system_name] = route.action
    blueprint.add_url_rule("/", "index", _index)
    add_filters(blueprint)

    @blueprint.before_request
    def check_user() -> ResponseReturnValue | None:
        view = _requested_view()
        if view in ("index", "static"):
            return admit_somewhere()
        return check_access(actions[view], SYSTEM)

    return _with_common_hooks(blueprint)


def make_instance_blueprint(name: str) -> Blueprint:
    """Return the blueprint of the pages of one instance.

    :param name: the beginning of its name.
    """
    blueprint = Blueprint(name + INSTANCE_PAGES, __name__, template_folder=_TEMPLATES)
    for route in ROUTES.values():
        _add(blueprint, route.instance_path, route.name, route)

    @blueprint.before_request
    def check_user() -> ResponseReturnValue | None:
        instance = (request.view_args or {})["instance"]
        route = ROUTES[_requested_view()]
        refusal = check_access(route.action, instance)
        if refusal is None and route.checks_instance and instance not in instances():
            abort(404, gettext("There is no instance of this name."))
        return refusal

    return _with_common_hooks(blueprint)


def _requested_view() -> str:
    """Return the name of the requested endpoint, without the blueprint's."""
    return (request.endpoint or "").rpartition(".")[2]


def _with_common_hooks(blueprint: Blueprint) -> Blueprint:
    blueprint.url_value_preprocessor(limit_form)
    blueprint.after_request(forbid_storing)
    answer_unavailable(blueprint)
    return blueprint


def _add(blueprint: Blueprint, path: str, endpoint: str, route: Route) -> None:
    blueprint.add_url_rule(path, endpoint, _view(route), methods=route.methods)


def _view(route: Route) -> Callable[..., ResponseReturnValue]:
    """Return a view that imports its page with the first request.

    A host that starts needs no forms yet.
    """

    def view(instance: str = SYSTEM) -> ResponseReturnValue:
        from .scope import Scope

        answer: Any = import_string(f"{__package__}.{route.view}")
        return cast(ResponseReturnValue, answer(Scope(instance)))

    return view


def _index() -> ResponseReturnValue:
    from .overview import index_page

    return index_page()
