"""The routes of the API, and the steps from a request to its response."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from ...db.errors import UNAVAILABLE_ERRORS
from ...host.application import current_application
from ..access import current_state
from ..endpoints import API
from ..request_size import limit_body
from ..unavailable import RETRY_AFTER, unavailable_sentence
from .bulk import BULK_DECISION
from .guard import admit_to, admit_to_description, refuse_forged
from .jobs import JOB, JOBS
from .openapi import describe
from .operations import MOST_BYTES, Call, Operation, Resource
from .pins import PINS
from .problems import Problem, response_to
from .request import read_body, read_query
from .search import ASSETS, COMPLETIONS, COUNTS
from .tags import DECISION, TAGS

RESOURCES = (
    TAGS,
    DECISION,
    BULK_DECISION,
    PINS,
    ASSETS,
    COUNTS,
    COMPLETIONS,
    JOBS,
    JOB,
)

#: The path of an instance. Its name may contain slashes: the resource after it tells
#: where the name ends.
INSTANCE_PATH = "/instances/<path:instance>/"
RULES = {each.name: INSTANCE_PATH + each.path for each in RESOURCES}
_LIMITS = {each.name: each.most_bytes for each in RESOURCES}

#: Every method is routed, so that an unsupported one is answered with a problem.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def make_blueprint(name: str) -> Blueprint:
    """Return the blueprint with all routes.

    :param name: the beginning of its name.
    """
    blueprint = Blueprint(name + API, __name__)
    blueprint.url_value_preprocessor(_limit_request)
    for resource in RESOURCES:
        _add(blueprint, RULES[resource.name], resource.name, _view(resource))
    _add(blueprint, "/openapi.json", "openapi", _answering(_openapi))
    _add(blueprint, "/", "nothing", _answering(_nothing))
    _add(blueprint, "/<path:path>", "nothing_below", _answering(_nothing))
    return blueprint


def _limit_request(endpoint: str | None, _values: object) -> None:
    """Limit the size of a body."""
    name = (endpoint or "").rpartition(".")[2]
    limit_body(_LIMITS.get(name, MOST_BYTES))


def _add(blueprint: Blueprint, rule: str, name: str, view: Callable[..., Any]) -> None:
    blueprint.add_url_rule(
        rule,
        name,
        view,
        methods=_METHODS,
        provide_automatic_options=False,
        merge_slashes=False,
    )


def _answering(
    view: Callable[..., ResponseReturnValue],
) -> Callable[..., ResponseReturnValue]:
    """Return a view that turns errors into responses.

    Error handlers would not do: the host's own handlers for 404 and other errors take
    precedence.
    """

    def answer(**path: Any) -> ResponseReturnValue:
        try:
            return view(**path)
        except Problem as problem:
            return problem.response()
        except HTTPException as error:
            return response_to(error)
        except UNAVAILABLE_ERRORS as error:
            current_state().throttled_log.log("A request to the API failed.", error)
            sentence = unavailable_sentence(error)
            return Problem(
                503, sentence, **{"Retry-After": str(RETRY_AFTER)}
            ).response()

    return answer


def _view(resource: Resource) -> Callable[..., ResponseReturnValue]:
    def view(instance: str, **path: Any) -> ResponseReturnValue:
        operation = resource.operations[_method(resource.operations)]
        refusal = admit_to(operation.action, instance)
        if refusal is not None:
            return refusal
        return _respond(operation.answer(_call(operation, instance, path)), operation)

    return _answering(view)


def _method(supported: Mapping[str, Any]) -> str:
    method = "GET" if request.method == "HEAD" else request.method
    if method not in supported:
        names = (*supported, "HEAD") if "GET" in supported else supported
        allowed = ", ".join(names)
        raise Problem(
            405,
            f"{request.method:.20} is not allowed here: use {allowed}.",
            Allow=allowed,
        )
    return method


def _call(operation: Operation, instance: str, path: Mapping[str, Any]) -> Call:
    values = {**path, **read_query(operation.query)}
    if operation.body:
        refuse_forged()
        values |= read_body(operation.body)
    app = current_application()
    return Call(app, current_state(), instance, values)


def _respond(body: Mapping[str, Any], operation: Operation | None = None) -> Response:
    """Return the response. A response to GET has an ETag and may become a 304."""
    status = operation.status if operation else 200
    text = json.dumps(body, ensure_ascii=False)
    response = Response(text, status, mimetype="application/json")
    if operation is not None and operation.body:
        response.cache_control.no_store = True
        return response
    response.cache_control.private = True
    response.cache_control.no_cache = True
    response.vary.update(("Cookie", "Authorization"))
    response.add_etag()
    return response.make_conditional(request)  # type: ignore[return-value]


def _openapi() -> ResponseReturnValue:
    _method({"GET": None})
    refusal = admit_to_description()
    if refusal is not None:
        return refusal
    read_query(())
    server = request.script_root + (current_state().config.api or "")
    return _respond(describe(RESOURCES, RULES, server))


def _nothing(path: str = "") -> ResponseReturnValue:
    raise Problem(404, "There is nothing at this address.")
