"""The OpenAPI description, against the routes and against what is answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis import Case
from schemathesis.config import SchemathesisConfig

from ..hosts import ESPRESSO
from .conftest import HEADERS, PREFIX, USER, Program, Service, open_service


@pytest.fixture
def description(ada: Program) -> Any:
    return ada.get(f"{PREFIX}/openapi.json").json


def test_each_route_is_described(service: Service, description: Any) -> None:
    routes = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix(PREFIX))
        for rule in service.host.app.url_map.iter_rules()
        if rule.endpoint.startswith("autotag_api.")
    }
    others = {"/openapi.json", "/", "/{path}"}
    assert routes - others == set(description["paths"])


def test_each_method_is_described(ada: Program, description: Any) -> None:
    for path, described in description["paths"].items():
        address = PREFIX + path.format(instance="shop", job=1)
        allowed = ada.ask("BREW", address).headers.get("Allow")
        allowed = allowed or ada.ask("PATCH", address).headers["Allow"]
        methods = {each.strip().lower() for each in allowed.split(",")} - {"head"}
        assert methods == described.keys() - {"parameters"}


def test_it_says_where_it_is(service: Service, description: Any) -> None:
    assert description["servers"] == [{"url": PREFIX}]
    found: Any = service.program("ada").ask(
        "GET", f"{PREFIX}/openapi.json", environ_overrides={"SCRIPT_NAME": "/cms"}
    )
    assert found.json["servers"] == [{"url": f"/cms{PREFIX}"}]


def test_its_schemas_are_schemas(description: Any) -> None:
    for schema in description["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.fixture
def api(sqlite_url: str) -> Iterator[Any]:
    """The API as schemathesis sees it, with a photo and a job."""
    with open_service(sqlite_url) as service:
        service.host.autotag.image_loader(lambda asset: ESPRESSO)
        ada = service.program("ada")
        assert ada.post(f"{SHOP_JOBS}", type="photo", id="7").status_code == 202
        config = SchemathesisConfig.from_dict(
            {
                "generation": {"deterministic": True, "database": "none"},
                "parameters": {"path.instance": "shop"},
            }
        )
        yield schemathesis.openapi.from_wsgi(
            f"{PREFIX}/openapi.json",
            service.host.app,
            config=config,
            headers={USER: "ada"},
        )


SHOP_JOBS = f"{PREFIX}/instances/shop/jobs"

schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_it_is_kept(case: Case) -> None:
    response = case.call(headers={USER: "ada", **HEADERS})
    case.validate_response(response)
