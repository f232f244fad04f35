"""A host whose API is used by programs with different rights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from flask import abort, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_autotag import AssetRef

from ...hosts import Host, make_host, store_labels

PREFIX = "/api/autotag"
SHOP = f"{PREFIX}/instances/shop"
NEWS = f"{PREFIX}/instances/news"
USER = "X-User"
#: The header that each change needs.
HEADERS = {"X-Requested-With": "fetch"}
PHOTO = AssetRef("photo", "7")

#: The actions of each user with an account, and the instance (``None`` for all).
RIGHTS: dict[str, tuple[set[str], str | None]] = {
    "ada": ({"view_tags", "review_tags", "enqueue"}, None),
    "mia": ({"view_tags", "review_tags", "enqueue"}, "shop"),
    "nils": ({"view_tags", "review_tags", "enqueue"}, "news"),
    "rita": ({"view_tags"}, "shop"),
    "edna": ({"review_tags"}, "shop"),
    "quinn": ({"enqueue"}, "shop"),
}


def install_rights(host: Host) -> None:
    """Let the header of a request name the user."""

    @host.autotag.authorizer
    def may(action: str, instance: str | None) -> bool:
        user = request.headers.get(USER)
        if user not in RIGHTS:
            abort(401, "Sign in first.")
        actions, where = RIGHTS[user]
        return action in actions and where in (None, instance)

    @host.autotag.instance_lister
    def instances() -> list[str]:
        return ["news", "shop", "a/b c"]

    @host.autotag.user_namer
    def user() -> str | None:
        return request.headers.get(USER)


@dataclass
class Program:
    """A program that uses the API for a user."""

    client: FlaskClient
    name: str | None

    def ask(self, method: str, path: str, **arguments: Any) -> TestResponse:
        headers = {**arguments.pop("headers", {})}
        if self.name:
            headers[USER] = self.name
        return self.client.open(path, method=method, headers=headers, **arguments)

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.ask("GET", path, query_string=query)

    def post(self, path: str, **body: Any) -> TestResponse:
        return self.ask("POST", path, json=body, headers=HEADERS)

    def decide(self, decision: str, tag: str, asset: AssetRef = PHOTO) -> TestResponse:
        return self.post(
            f"{SHOP}/decisions",
            type=asset.type,
            id=asset.id,
            tag=tag,
            decision=decision,
        )

    def tags(self, asset: AssetRef = PHOTO) -> list[str]:
        found = self.get(f"{SHOP}/tags", type=asset.type, id=asset.id)
        assert found.status_code == 200, found.text
        return [tag["name"] for tag in found.json["tags"]]  # type: ignore[index]


def refusal(response: TestResponse) -> tuple[int, str, str | None]:
    """Return the status, the sentence and the field of a problem."""
    assert response.mimetype == "application/problem+json", response.text
    problem = json.loads(response.text)
    assert problem["status"] == response.status_code
    assert problem["title"]
    return response.status_code, problem["detail"], problem.get("field")


@dataclass
class Service:
    """The host and the users of its API."""

    host: Host

    def program(self, name: str | None) -> Program:
        return Program(self.host.app.test_client(), name)

    def store(
        self,
        labels: list[tuple[str, float]],
        asset: AssetRef = PHOTO,
        instance: str = "shop",
    ) -> None:
        with self.host.app.app_context():
            store_labels(self.host, asset, labels, instance)


@contextmanager
def open_service(url: str, **config: Any) -> Iterator[Service]:
    """Run a host with an API, rights, and one photo of the shop."""
    with make_host(url, AUTOTAG_API=PREFIX, **config) as host:
        install_rights(host)
        service = Service(host)
        service.store([("dog", 0.9), ("wolf", 0.8)])
        yield service


@pytest.fixture
def service(sqlite_url: str) -> Iterator[Service]:
    with open_service(sqlite_url) as made:
        yield made


@pytest.fixture
def any_service(host_database_url: str) -> Iterator[Service]:
    """The host on each kind of database."""
    with open_service(host_database_url) as made:
        yield made


@pytest.fixture(scope="module")
def read_service(module_database_url: str) -> Iterator[Service]:
    """The host on each kind of database, for those tests of a module that only read."""
    with open_service(module_database_url) as made:
        yield made


@pytest.fixture
def ada(service: Service) -> Program:
    """A user with all rights."""
    return service.program("ada")
