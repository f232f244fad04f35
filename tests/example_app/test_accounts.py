"""Access to pages, and redirects after signing in."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from example_app.auth import local_path

from .conftest import PASSWORDS, Browser, MakeApp, SignIn, espresso, photos_of


@pytest.mark.parametrize(
    "path",
    [
        "/news/",
        "/news/upload",
        "/news/photos/1",
        "/news/photos/1/delete",
        "/news/files/x.jpg",
    ],
)
def test_pages_ask_to_sign_in(app: Flask, path: str) -> None:
    response = app.test_client().get(path)
    assert response.status_code == 302
    assert response.location == f"/sign-in?next={path}"


def test_scripts_are_told_to_sign_in(app: Flask) -> None:
    response = app.test_client().get(
        "/news/photos/tags?ids=1", headers={"Accept": "application/json"}
    )
    assert response.status_code == 401
    assert response.json is not None
    assert "Sign in" in response.json["error"]


def test_the_page_to_sign_in_shows_the_demo_accounts(app: Flask) -> None:
    page = app.test_client().get("/sign-in").text
    for name, password in PASSWORDS.items():
        assert name in page
        assert password in page
    assert "demonstration" in page


@pytest.mark.parametrize(
    ("name", "password"), [("nora", "wrong"), ("nobody", "x"), ("nora", "sam-demo")]
)
def test_wrong_passwords_are_refused(app: Flask, name: str, password: str) -> None:
    client = app.test_client()
    response = client.post("/sign-in", data={"name": name, "password": password})
    assert response.status_code == 401
    assert "The name or the password is wrong." in response.text
    assert client.get("/news/").status_code == 302


def test_an_empty_form_says_what_is_missing(app: Flask) -> None:
    page = app.test_client().post("/sign-in", data={}).text
    assert "Type your name." in page
    assert "Type your password." in page


def test_passwords_are_not_stored(make_app: MakeApp) -> None:
    from sqlalchemy import select

    from example_app.models import User, db

    with make_app().app_context():
        for user in db.session.scalars(select(User)):
            assert PASSWORDS[user.name] not in user.password_hash


def test_signing_out(nora: Browser) -> None:
    assert nora.post("/sign-out").status_code == 302
    assert nora.get("/news/").status_code == 302


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("nora", {"news"}), ("sam", {"shop"}), ("ada", {"news", "shop"})],
)
def test_instances(app: Flask, sign_in: SignIn, name: str, allowed: set[str]) -> None:
    browser = sign_in(name, app)
    for instance in ("news", "shop"):
        response = browser.get(f"/{instance}/")
        assert response.status_code == (200 if instance in allowed else 403)
    page = browser.get("/", follow_redirects=True).text
    for instance in ("news", "shop"):
        assert (f'href="/{instance}/"' in page) is (instance in allowed)


def test_photos_of_another_instance_are_out_of_reach(
    app: Flask, nora: Browser, sam: Browser, sign_in: SignIn
) -> None:
    nora.upload((espresso(), "espresso.jpg"))
    (photo,) = photos_of(app)
    places = [
        f"photos/{photo.id}",
        f"files/{photo.filename}",
        f"photos/{photo.id}/delete",
    ]
    for place in places:
        assert nora.get(f"/news/{place}").status_code == 200
        assert sam.get(f"/news/{place}").status_code == 403
        assert sam.get(f"/shop/{place}").status_code == 404
        # Even users of both: a gallery links only to its own photos.
        assert sign_in("ada", app).get(f"/shop/{place}").status_code == 404
    assert sam.post(f"/shop/photos/{photo.id}/delete").status_code == 404
    assert sam.post(f"/news/photos/{photo.id}/delete").status_code == 403
    assert sam.upload((espresso(), "mine.jpg"), instance="news").status_code == 403
    assert sam.get(f"/shop/photos/tags?ids={photo.id}").json["photos"] == []
    assert "espresso" not in sam.page("/shop/")
    assert len(photos_of(app)) == 1


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\/evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "///evil.example",
        " //evil.example",
        "news/",
        "",
        None,
    ],
)
def test_no_link_leads_off_the_site(app: Flask, target: str | None) -> None:
    assert local_path(target) is None
    query: dict[str, Any] = {} if target is None else {"next": target}
    response = app.test_client().post(
        "/sign-in",
        query_string=query,
        data={"name": "nora", "password": PASSWORDS["nora"]},
    )
    assert response.location == "/news/"


def test_signing_in_leads_to_the_page_that_was_asked_for(app: Flask) -> None:
    client = app.test_client()
    asked = client.get("/news/?tag=espresso&tag=cup&page=2")
    response = client.post(
        asked.location, data={"name": "nora", "password": PASSWORDS["nora"]}
    )
    assert response.location == "/news/?tag=espresso&tag=cup&page=2"


def test_forms_without_a_token_are_refused(make_app: MakeApp) -> None:
    app = make_app(WTF_CSRF_ENABLED=True)
    client = app.test_client()
    token = _token(client.get("/sign-in").text)
    account = {"name": "nora", "password": PASSWORDS["nora"]}
    assert client.post("/sign-in", data=account).status_code == 400
    signed = client.post("/sign-in", data={**account, "csrf_token": token})
    assert signed.status_code == 302
    browser = Browser(client)
    assert browser.post("/sign-out").status_code == 400
    assert browser.upload((espresso(), "espresso.jpg")).status_code == 400
    assert browser.post("/news/photos/1/delete").status_code == 400
    assert "reload" in browser.post("/news/photos/1/delete").text
    assert photos_of(app) == []
    token = _token(browser.page("/news/"))
    assert browser.post("/sign-out", data={"csrf_token": token}).status_code == 302


def _token(page: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert found
    return found[1]
