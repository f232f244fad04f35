"""A host whose pages are opened by users with different rights."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from flask import redirect, request
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from sqlalchemy import insert
from werkzeug.test import encode_multipart

from flask_autotag import AssetRef
from flask_autotag.tags.asset_rows import find_row
from flask_autotag.tags.queries.applied_tags import tags_for
from flask_autotag.web.admin.review.image_tags import ImageTags
from flask_autotag.web.signed_asset import sign

from ...hosts import Host, make_host, store_labels
from ...settings.desk import Desk

SYSTEM_URL, SHOP_URL, NEWS_URL = (
    "/autotag/system",
    "/autotag/instances/shop",
    "/autotag/instances/news",
)
#: Users with rights on settings, and users with rights on tags: in one instance, or
#: everywhere (``None``).
RIGHTS = {"ada": None, "mia": "shop", "nils": "news"}
EDITORS = {"ada": None, "erik": "shop"}
USER = "X-User"


def install_rights(host: Host) -> None:
    """Let the header of a request name the user."""

    @host.autotag.authorizer
    def may(action: str, instance: str | None) -> ResponseReturnValue | bool:
        user = request.headers.get(USER)
        if user not in (*RIGHTS, *EDITORS):
            return redirect("/sign-in")
        rights = EDITORS if action == "review_tags" else RIGHTS
        return user in rights and rights[user] in (None, instance)

    @host.autotag.instance_lister
    def instances() -> dict[str, str]:
        return {"news": "The newsroom", "shop": "The shop"}

    @host.autotag.user_namer
    def user() -> str | None:
        return request.headers.get(USER)


@dataclass
class Page:
    """A response, as a browser sees it."""

    status: int
    html: str
    location: str | None

    @cached_property
    def soup(self) -> BeautifulSoup:
        return BeautifulSoup(self.html, "html.parser")

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields that a browser would send; a test may change them."""
        return filled_in(self.soup)

    def text(self, selector: str) -> str:
        """The text of the first matching element."""
        return " ".join(self.one(selector).get_text().split())

    def texts(self, selector: str) -> list[str]:
        return [" ".join(one.get_text().split()) for one in self.soup.select(selector)]

    def one(self, selector: str) -> Tag:
        found = self.soup.select_one(selector)
        assert found is not None, f"no {selector} in {self.html}"
        return found

    def error(self, name: str) -> str:
        """The error beside a field of the form."""
        control = self.one(f'[name="{name}"]')
        assert control.get("aria-invalid") == "true"
        error = self.one(f"#{control['id']}-error")
        assert str(error["id"]) in str(control["aria-describedby"])
        return " ".join(error.get_text().split())

    def notes(self, name: str) -> str:
        """The origin of a field's value."""
        control = self.one(f'[name="{name}"]')
        return self.text(f"#{control['id']}-notes")


@dataclass
class Visitor:
    """A user with a browser."""

    client: FlaskClient
    name: str | None

    def request(self, method: str, path: str, **arguments: Any) -> Page:
        headers = {USER: self.name} if self.name else {}
        response = self.client.open(path, method=method, headers=headers, **arguments)
        page = Page(response.status_code, response.text, response.location)
        response.close()
        return page

    def get(self, path: str) -> Page:
        return self.request("GET", path)

    def send(self, path: str, page: Page | None = None, /, **typed: Any) -> Page:
        """Fill in the form of a page, or of the page at *path*, and send it."""
        page = page or self.get(path)
        data = {name: value for name, value in page.fields.items() if value is not None}
        for name, value in typed.items():
            data[name] = value
        data = {name: value for name, value in data.items() if value is not None}
        # The client would not close its temporary file.
        boundary, body = encode_multipart(data)
        return self.request(
            "POST",
            path,
            data=body,
            content_type=f'multipart/form-data; boundary="{boundary}"',
        )


def filled_in(soup: BeautifulSoup) -> dict[str, Any]:
    """The fields that a browser would send."""
    found: dict[str, Any] = {}
    for control in soup.select("form[data-autotag-form] [name], [data-review] [name]"):
        name = str(control["name"])
        if control.get("type") == "radio" and control.has_attr("checked"):
            found[name] = str(control["value"])
        elif control.name == "select":
            chosen = control.select_one("option[selected]")
            found[name] = str(chosen["value"]) if chosen else ""
        elif control.name == "input" and control.get("type") in (
            "text",
            "password",
            "hidden",
        ):
            found[name] = str(control.get("value", ""))
    return found


@dataclass
class Office:
    """The host and its visitors."""

    host: Host
    desk: Desk

    def visitor(self, name: str | None) -> Visitor:
        return Visitor(self.host.app.test_client(), name)

    def store(
        self, asset: str, *labels: tuple[str, float], instance: str = "shop"
    ) -> None:
        """Store labels of a provider for a photo."""
        with self.host.app.app_context():
            store_labels(self.host, AssetRef("photo", asset), labels, instance)

    def fail(
        self,
        instance: str = "shop",
        code: str = "image_missing",
        text: str = "It is gone.",
        **other: Any,
    ) -> int:
        """Store a failed job, and return its id."""
        now = time.time()
        values = {
            "instance": instance,
            "asset_type": "photo",
            "asset_id": "1",
            "state": "failed",
            "error_code": code,
            "error_text": text,
            "created_at": now - 60,
            "finished_at": now - 30,
            **other,
        }
        with self.host.app.app_context(), self.host.db.engine.begin() as connection:
            statement = insert(self.host.models.job.__table__).values(**values)
            key = connection.execute(statement).inserted_primary_key
        assert key is not None
        return int(key[0])

    def signed(self, asset: str, instance: str = "shop", user: str = "erik") -> str:
        """The signed name of a photo in a user's form."""
        ref = AssetRef("photo", asset)
        with self.host.app.test_request_context(headers={USER: user}):
            row = ImageTags(ref, instance, is_fresh=True).row
            assert row is not None
            return sign(row, instance)

    def row(self, asset: str, instance: str = "shop") -> int:
        ref = AssetRef("photo", asset)
        with self.host.app.app_context(), self.desk.state.database.begin() as session:
            found = find_row(session, self.host.models, ref, instance)
        assert found is not None, "no row"
        return found

    def tags(self, asset: str, state: str = "applied", instance: str = "shop") -> Any:
        """The tags of a photo in a state, with their person or provider."""
        ref = AssetRef("photo", asset)
        with self.host.app.app_context(), self.desk.state.database.begin() as session:
            found = tags_for(session, self.host.models, ref, instance, state)
        return {tag.name: tag.person or tag.provider for tag in found}


@contextmanager
def open_office(url: str, **config: Any) -> Iterator[Office]:
    """Run a host with pages, rights and visitors."""
    with make_host(url, **{"WTF_CSRF_ENABLED": False, **config}) as host:
        install_rights(host)
        yield Office(host, Desk(host))


@pytest.fixture
def office(sqlite_url: str) -> Iterator[Office]:
    with open_office(sqlite_url) as made:
        yield made


@pytest.fixture
def ada(office: Office) -> Visitor:
    """The system's administrator."""
    return office.visitor("ada")


@pytest.fixture
def erik(office: Office) -> Visitor:
    """The editor of the shop, without rights on settings."""
    return office.visitor("erik")


@pytest.fixture
def mia(office: Office) -> Visitor:
    """The administrator of the shop."""
    return office.visitor("mia")
