"""Photos that are managed with Flask-Admin, and the settings in its layout."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from bs4 import BeautifulSoup
from flask import Flask
from flask.testing import FlaskClient

from ..hosts import ESPRESSO, ESPRESSO_TAGS, jpeg
from ..servers import serve
from .photo_admin import library, send, visitor

SYSTEM_URL = "/admin/tagging/system"
PHOTOS, NEW = "/admin/photo/", "/admin/photo/new/"
PHOTO = ESPRESSO.read_bytes()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    with library(tmp_path) as made:
        yield made


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    return visitor(app, 1)


def soup(client: FlaskClient, path: str) -> BeautifulSoup:
    response = client.get(path, buffered=True)
    assert response.status_code == 200
    return BeautifulSoup(response.text, "html.parser")


def rows(client: FlaskClient, query: str = "") -> dict[str, str]:
    """Return the tags of each photo in the list, by its title."""
    page = soup(client, PHOTOS + query)
    return {
        title.get_text(strip=True): tags.get_text(strip=True)
        for title, tags in zip(
            page.select("td.col-title"), page.select("td.col-tags"), strict=True
        )
    }


class TestPhotos:
    def test_the_list_shows_their_tags(self, admin: FlaskClient) -> None:
        assert send(admin, NEW, title="Cup", file=PHOTO).status_code == 302
        assert rows(admin) == {"Cup": ", ".join(ESPRESSO_TAGS)}

    def test_the_list_is_filtered_by_tag(self, admin: FlaskClient) -> None:
        send(admin, NEW, title="Cup", file=PHOTO)
        send(admin, NEW, title="Wall", file=jpeg("white"))
        assert rows(admin, "?flt0_0=drink") == {"Cup": ", ".join(ESPRESSO_TAGS)}
        assert rows(admin, "?flt0_0=wolf") == {}

    def test_a_photo_that_replaces_another(self, admin: FlaskClient) -> None:
        send(admin, NEW, title="Cup", file=PHOTO)
        edit = "/admin/photo/edit/?id=1"
        assert send(admin, edit, title="Wall", file=jpeg("white")).status_code == 302
        assert rows(admin) == {"Wall": ""}

    def test_a_new_title_changes_no_tags(self, app: Flask, admin: FlaskClient) -> None:
        send(admin, NEW, title="Cup", file=PHOTO)
        send(admin, "/admin/photo/edit/?id=1", title="Mug")
        assert rows(admin) == {"Mug": ", ".join(ESPRESSO_TAGS)}

    def test_a_deleted_photo_is_forgotten(self, app: Flask, admin: FlaskClient) -> None:
        send(admin, NEW, title="Cup", file=PHOTO)
        page = soup(admin, PHOTOS)
        [form] = page.select("form.icon")
        fields = {str(one["name"]): str(one["value"]) for one in form.select("input")}
        assert admin.post(str(form["action"]), data=fields).status_code == 302
        assert rows(admin) == {}
        with app.app_context():
            assert app.extensions["autotag"].tag_counts() == []

    def test_several_are_deleted_at_once(self, app: Flask, admin: FlaskClient) -> None:
        for title in ("Cup", "Mug"):
            send(admin, NEW, title=title, file=PHOTO)
        fields: dict[str, Any] = {"action": "delete", "rowid": ["1", "2"]}
        [token] = soup(admin, PHOTOS).select("#action_form [name=csrf_token]")
        fields["csrf_token"] = token["value"]
        assert admin.post("/admin/photo/action/", data=fields).status_code == 302
        assert rows(admin) == {}
        with app.app_context():
            assert app.extensions["autotag"].tag_counts() == []


class TestSettings:
    def test_they_are_inside_of_it(self, admin: FlaskClient) -> None:
        page = soup(admin, SYSTEM_URL)
        assert page.select_one("title").text == (  # type: ignore[union-attr]
            "System settings \u2013 Auto tagging - Photos"
        )
        assert page.select_one(".container .autotag h1")
        links = {link["href"] for link in page.select("nav a")}
        assert {"/admin/photo/", "/admin/tagging/"} <= links

    def test_a_change_is_saved(self, admin: FlaskClient) -> None:
        form = {"setting.max_tags": "1", "command": "save"}
        assert send(admin, SYSTEM_URL, **form).status_code == 303
        send(admin, NEW, title="Cup", file=PHOTO)
        assert rows(admin) == {"Cup": "espresso"}

    @pytest.mark.parametrize("user", [None, 2])
    def test_nobody_else_gets_in(self, app: Flask, user: int | None) -> None:
        somebody = visitor(app, user)
        for path in ("/admin/tagging/", SYSTEM_URL, "/admin/", PHOTOS):
            assert somebody.get(path).status_code == 403


def test_with_a_server_and_its_thread(tmp_path: Path) -> None:
    with (
        library(tmp_path, AUTOTAG_RUNNER="thread") as app,
        serve(app) as url,
        requests.Session() as ada,
    ):
        ada.get(f"{url}/sign-in/1")
        token = BeautifulSoup(ada.get(url + NEW).text, "html.parser").select_one(
            "[name=csrf_token]"
        )
        fields: dict[str, Any] = {"title": "Cup", "csrf_token": token["value"]}  # type: ignore[index]
        ada.post(url + NEW, fields, files={"file": ("cup.jpg", PHOTO)})
        end = time.monotonic() + 60
        while ", ".join(ESPRESSO_TAGS) not in ada.get(url + PHOTOS).text:
            assert time.monotonic() < end
            time.sleep(0.1)
