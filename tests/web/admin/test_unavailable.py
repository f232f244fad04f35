"""An unavailable database: the authorizer's answer first, then a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import abort, redirect, request
from flask.typing import ResponseReturnValue
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from flask_autotag.db import database

from ...hosts import Host, make_host
from .conftest import USER

API, METRICS = "/api/autotag", "/metrics/autotag"
PAGES = (
    "/autotag/",
    "/autotag/system",
    "/autotag/system/history",
    "/autotag/system/tags",
    "/autotag/system/activity",
    "/autotag/instances/default",
    "/autotag/history/default",
    "/autotag/review/default",
    "/autotag/explain/default?type=photo&id=1",
    "/autotag/tags/default",
    "/autotag/words/default",
    "/autotag/activity/default",
)
RESOURCES = (
    f"{API}/instances/default/tags?type=photo&id=1",
    f"{API}/instances/default/assets?all=dog",
    f"{API}/instances/default/counts",
    f"{API}/instances/default/completions?q=d",
    f"{API}/instances/default/jobs/1",
)


def make(url: str, **config: Any) -> Iterator[Host]:
    with make_host(url, AUTOTAG_API=API, AUTOTAG_METRICS=METRICS, **config) as host:
        host.app.config["SECRET_KEY"] = "of the host, and long enough for it"

        @host.autotag.authorizer
        def may(action: str, instance: str | None) -> ResponseReturnValue | bool:
            if USER not in request.headers:
                return redirect("/sign-in")
            return request.headers[USER] == "ada"

        yield host


@pytest.fixture
def bare(database_url: str) -> Iterator[Host]:
    """A host on a database without our tables; the instances are read from them."""
    for host in make(database_url):
        with host.app.app_context():
            host.models.metadata.drop_all(host.db.engine, tables=host.models.tables)
        yield host


@pytest.fixture
def visited(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host whose requests wait for the database only briefly."""
    monkeypatch.setattr(database, "REQUEST_PATIENCE", 0.0)
    options = {"connect_args": {"timeout": 0.1}}
    yield from make(sqlite_url, SQLALCHEMY_ENGINE_OPTIONS=options)


def test_pages_and_endpoints_without_tables(bare: Host) -> None:
    for path in (*PAGES, *RESOURCES, METRICS, f"{API}/openapi.json"):
        anonymous = bare.app.test_client().get(path)
        assert (anonymous.status_code, anonymous.location) == (302, "/sign-in"), path
        stranger = bare.app.test_client().get(path, headers={USER: "eve"})
        assert stranger.status_code == 403, path
        assert "init-db" not in stranger.text
    for path in PAGES:
        response = bare.app.test_client().get(path, headers={USER: "ada"})
        assert response.status_code == 503, path
        assert "flask autotag init-db" in response.text
        assert "Auto tagging is not available" in response.text
        assert response.headers["Retry-After"] == "10"
        assert response.headers["Cache-Control"] == "no-store"
    for path in RESOURCES:
        response = bare.app.test_client().get(path, headers={USER: "ada"})
        assert response.mimetype == "application/problem+json", path
        problem = json.loads(response.text)
        assert (response.status_code, problem["status"]) == (503, 503)
        assert "flask autotag init-db" in problem["detail"]
        assert response.headers["Retry-After"] == "10"


def test_metrics_without_tables(bare: Host) -> None:
    response = bare.app.test_client().get(METRICS, headers={USER: "ada"})
    assert response.status_code == 200
    [up] = [
        sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
        if sample.name == "autotag_up"
    ]
    assert up == 0


def test_a_script_gets_the_sentence_as_json(bare: Host) -> None:
    response = bare.app.test_client().get(
        "/autotag/complete/default?q=d",
        headers={USER: "ada", "Accept": "application/json"},
    )
    assert response.status_code == 503
    assert response.json is not None
    assert "flask autotag init-db" in response.json["error"]


def test_a_database_that_is_locked(visited: Host) -> None:
    with visited.app.app_context():
        url = visited.db.engine.url
        visited.db.engine.dispose()
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        connection.execute(text("UPDATE photo SET path = 'x'"))
        client = visited.app.test_client()
        assert client.get("/autotag/").status_code == 302
        response = client.get("/autotag/system", headers={USER: "ada"})
        connection.rollback()
    engine.dispose()
    assert response.status_code == 503
    assert "The database is not available now. Try again in a moment." in response.text
    assert "init-db" not in response.text
    assert client.get("/autotag/system", headers={USER: "ada"}).status_code == 200


def test_an_authorizer_that_cannot_ask_the_database(visited: Host) -> None:
    def down(*_: object) -> bool:
        raise OperationalError("SELECT 1", {}, Exception("server at 10.0.0.1 is down"))

    visited.autotag.authorizer(down)
    for path in ("/autotag/", *RESOURCES):
        response = visited.app.test_client().get(path)
        assert response.status_code == 503
        assert "The database is not available now." in response.text
        assert "10.0.0.1" not in response.text
        assert "init-db" not in response.text


def test_a_layout_that_asks_the_database_too(visited: Host) -> None:
    def down(*_: object, **__: object) -> str:
        raise OperationalError("SELECT 1", {}, Exception("server at 10.0.0.1 is down"))

    visited.app.jinja_env.globals["autotag_url"] = down
    response = visited.app.test_client().get("/autotag/system", headers={USER: "ada"})
    assert response.status_code == 503
    assert "The database is not available now." in response.text
    assert "10.0.0.1" not in response.text


def test_an_authorizer_that_aborts(bare: Host) -> None:
    @bare.autotag.authorizer
    def may(action: str, instance: str | None) -> bool:
        abort(401, "Sign in first.")

    for path in PAGES:
        assert bare.app.test_client().get(path).status_code == 401
