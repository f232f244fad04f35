"""Every endpoint and method, for users with different rights."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from flask import Flask, Response, abort, redirect, request
from flask_wtf import CSRFProtect

from flask_autotag import AutoTag, ConfigurationError

from ...hosts import Host, make_host
from .conftest import (
    HEADERS,
    PREFIX,
    RIGHTS,
    SHOP,
    Program,
    Service,
    install_rights,
    refusal,
)

ASSET = {"type": "photo", "id": "7"}
#: Method and address → query or body, the action that it needs, and the status for a
#: user with that right.
CALLS: dict[tuple[str, str], tuple[dict[str, Any], str, int]] = {
    ("GET", "tags"): (ASSET, "view_tags", 200),
    ("GET", "assets"): ({"all": "dog"}, "view_tags", 200),
    ("GET", "counts"): ({}, "view_tags", 200),
    ("GET", "completions"): ({"q": "d"}, "view_tags", 200),
    ("GET", "jobs/1"): ({}, "view_tags", 404),
    ("POST", "jobs"): (ASSET, "enqueue", 409),
    ("POST", "decisions"): (
        {**ASSET, "tag": "Rex", "decision": "add"},
        "review_tags",
        200,
    ),
    ("POST", "decisions/bulk"): (
        {"assets": [ASSET], "tag": "Rex", "decision": "add"},
        "review_tags",
        200,
    ),
    ("PUT", "pins"): ({**ASSET, "tags": ["Rex"]}, "review_tags", 200),
}
#: A change that is answered even if the instance knows none of the assets.
OF_MANY = ("POST", "decisions/bulk")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def send(program: Program, method: str, path: str, fields: dict[str, Any]) -> Any:
    if method in ("GET", "HEAD"):
        return program.ask(method, path, query_string=fields)
    return program.ask(method, path, json=fields, headers=HEADERS)


def test_no_endpoint_is_forgotten(service: Service) -> None:
    rules = {
        rule.endpoint
        for rule in service.host.app.url_map.iter_rules()
        if rule.endpoint.startswith("autotag_api.")
    }
    adapter = service.host.app.url_map.bind("localhost")
    paths = [f"{SHOP}/{path}" for _, path in CALLS]
    paths += [f"{PREFIX}/{path}" for path in ("openapi.json", "", "nothing")]
    assert rules == {adapter.match(path)[0] for path in paths}


@pytest.mark.parametrize("instance", ["shop", "news", "nowhere"])
@pytest.mark.parametrize(("method", "path"), CALLS)
def test_an_operation(service: Service, method: str, path: str, instance: str) -> None:
    fields, right, answer = CALLS[method, path]
    address = f"{PREFIX}/instances/{instance}/{path}"
    for name in (None, "stranger", *RIGHTS):
        response = send(service.program(name), method, address, fields)
        actions, where = RIGHTS.get(name or "", (set(), None))
        if name not in RIGHTS:
            assert refusal(response) == (401, "Sign in first.", None)
        elif right not in actions or where not in (None, instance):
            assert refusal(response) == (403, "Your account may not do this.", None)
        elif instance == "nowhere":
            message = "There is no instance of this name."
            assert refusal(response) == (404, message, "instance")
        elif instance == "shop":
            assert response.status_code == answer
        else:
            # The instance does not know the photo.
            is_of_one = method in ("POST", "PUT") and (method, path) != OF_MANY
            assert response.status_code == (404 if is_of_one else answer)


@pytest.mark.parametrize("path", dict.fromkeys(path for _, path in CALLS))
def test_a_method_that_is_not_there(ada: Program, path: str) -> None:
    there = {each for each, known in CALLS if known == path}
    there |= {"HEAD"} if "GET" in there else set()
    for method in set(METHODS) - there:
        response = ada.ask(method, f"{SHOP}/{path}")
        assert response.status_code == 405
        allowed = response.headers["Allow"].split(",")
        assert {each.strip() for each in allowed} == there


@pytest.mark.parametrize("name", ["ada", "mia", "rita", "edna", None])
def test_the_description(service: Service, name: str | None) -> None:
    """The description is open to users who may see the tags of any instance."""
    response = service.program(name).get(f"{PREFIX}/openapi.json")
    if name is None:
        assert refusal(response)[0] == 401
    elif name == "edna":
        assert refusal(response)[0] == 403
    else:
        assert response.json["openapi"].startswith("3.1")  # type: ignore[index]


def test_without_an_authorizer_everything_is_closed(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_API=PREFIX) as host:
        program = Program(host.app.test_client(), None)
        for (method, path), (fields, _, _) in CALLS.items():
            response = send(program, method, f"{SHOP}/{path}", fields)
            assert refusal(response)[0] == 403
        assert refusal(program.get(f"{PREFIX}/openapi.json"))[0] == 403


@pytest.mark.parametrize("answer", [None, False, 0, "", 1, [], object()])
def test_only_true_is_a_yes(service: Service, answer: Any) -> None:
    service.host.autotag.authorizer(lambda _action, _instance: answer)
    assert service.program("ada").get(f"{SHOP}/counts").status_code == 403


def test_the_authorizers_own_answer(service: Service) -> None:
    service.host.autotag.authorizer(lambda _action, _instance: redirect("/sign-in"))
    response = service.program("ada").get(f"{SHOP}/counts")
    assert (response.status_code, response.location) == (302, "/sign-in")

    own = Response("Pay first.", 402)
    service.host.autotag.authorizer(lambda _action, _instance: abort(own))
    response = service.program("ada").get(f"{SHOP}/counts")
    assert (response.status_code, response.text) == (402, "Pay first.")


def test_how_to_sign_in_is_told(service: Service) -> None:
    from werkzeug.datastructures import WWWAuthenticate
    from werkzeug.exceptions import Unauthorized

    @service.host.autotag.authorizer
    def may(_action: str, _instance: str | None) -> bool:
        raise Unauthorized("A token.", www_authenticate=WWWAuthenticate("bearer"))

    response = service.program("ada").get(f"{SHOP}/counts")
    assert refusal(response) == (401, "A token.", None)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_error_pages_of_the_host_stay_out(service: Service) -> None:
    service.host.app.register_error_handler(404, lambda _error: ("<h1>Lost</h1>", 404))
    nowhere = service.program("ada").get(f"{PREFIX}/instances/nowhere/counts")
    assert refusal(nowhere)[0] == 404
    nothing = service.program("ada").get(f"{PREFIX}/nothing")
    assert refusal(nothing) == (404, "There is nothing at this address.", None)


def test_a_name_with_slashes(ada: Program) -> None:
    found = ada.get(f"{PREFIX}/instances/a/b%20c/tags", type="photo", id="7")
    assert found.json == {
        "asset": {"type": "photo", "id": "7"},
        "tags": [],
        "suggestions": [],
    }


class TestForgery:
    """Requests that a page of another site can make a browser send."""

    @pytest.mark.parametrize("path", ["decisions", "jobs"])
    @pytest.mark.parametrize(
        "content_type",
        ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"],
    )
    def test_a_form(self, ada: Program, path: str, content_type: str) -> None:
        body = '{"type": "photo", "id": "7", "tag": "Rex", "decision": "add"}'
        response = ada.ask(
            "POST", f"{SHOP}/{path}", data=body, content_type=content_type
        )
        assert refusal(response) == (
            403,
            "A request that changes something needs the header X-Requested-With.",
            None,
        )
        assert ada.tags() == ["dog", "wolf"]

    def test_json_without_the_header(self, ada: Program) -> None:
        body = {"type": "photo", "id": "7", "tag": "Rex", "decision": "add"}
        response = ada.ask("POST", f"{SHOP}/decisions", json=body)
        assert refusal(response)[0] == 403
        assert ada.tags() == ["dog", "wolf"]

    def test_a_script_that_asks_first(self, ada: Program) -> None:
        response = ada.ask(
            "OPTIONS",
            f"{SHOP}/decisions",
            headers={
                "Origin": "https://elsewhere.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "X-Requested-With",
            },
        )
        assert response.status_code == 405
        assert "Access-Control-Allow-Origin" not in response.headers

    def test_beside_the_hosts_own_protection(self, sqlite_url: str) -> None:
        with make_host(sqlite_url, AUTOTAG_API=PREFIX, SECRET_KEY="secret") as host:
            install_rights(host)
            csrf = CSRFProtect(host.app)
            program = Program(host.app.test_client(), "ada")
            body = {"type": "photo", "id": "7"}
            assert program.post(f"{SHOP}/jobs", **body).status_code == 400
            csrf.exempt(host.app.blueprints["autotag_api"])
            assert refusal(program.post(f"{SHOP}/jobs", **body))[0] == 404
            form = program.ask("POST", f"{SHOP}/jobs", data=body)
            assert refusal(form)[0] == 403


def test_it_is_off_unless_it_is_wanted(host: Host) -> None:
    assert "autotag_api" not in host.app.blueprints
    assert host.app.test_client().get(f"{SHOP}/counts").status_code == 404


def test_it_costs_nothing_where_it_is_off() -> None:
    script = (
        "import sys; from flask import Flask; from flask_autotag import AutoTag;"
        "AutoTag(Flask('host'));"
        "assert not [name for name in sys.modules if 'flask_autotag.web.rest.' in name"
        " and not name.endswith('.registration')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("api", "AUTOTAG_API must be a path such as /admin/autotag, not 'api'."),
        (
            "/autotag",
            "AUTOTAG_API must not be '/autotag', the path of the settings pages: use"
            " another path, or change AUTOTAG_URL_PREFIX.",
        ),
    ],
)
def test_where_it_cannot_be(prefix: str, message: str) -> None:
    app = Flask("host")
    app.config["AUTOTAG_API"] = prefix
    with pytest.raises(ConfigurationError) as caught:
        AutoTag(app)
    assert str(caught.value) == message


def test_the_authorizer_is_asked_first(service: Service) -> None:
    """An unauthorized user learns nothing about errors in the request."""
    asked = []

    @service.host.autotag.authorizer
    def may(action: str, instance: str | None) -> bool:
        asked.append((action, instance, request.method))
        return False

    response = service.program("ada").ask("POST", f"{SHOP}/decisions", data="no JSON")
    assert refusal(response)[0] == 403
    assert asked == [("review_tags", "shop", "POST")]
