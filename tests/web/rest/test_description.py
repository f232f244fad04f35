"""The OpenAPI description, against the routes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from .conftest import PREFIX, Program, Service


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
        allowed = ada.ask("PATCH", address).headers["Allow"]
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
