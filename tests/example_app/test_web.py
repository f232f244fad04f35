"""Headers, errors and markup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

import example_app

from .conftest import EXAMPLE_PHOTOS, Browser, MakeApp, SignIn, espresso

FOLDER = Path(example_app.__file__).parent


@pytest.mark.parametrize("path", ["/sign-in", "/static/style.css", "/missing", "/"])
def test_headers(app: Flask, path: str) -> None:
    response = app.test_client().get(path)
    policy = response.headers["Content-Security-Policy"]
    for rule in (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ):
        assert rule in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert "private" in response.headers["Cache-Control"]
    response.close()


def test_the_session_cookie_is_kept_from_scripts(app: Flask) -> None:
    cookie = app.test_client().get("/sign-in").headers.get("Set-Cookie", "")
    if cookie:
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie


def test_errors_are_pages(nora: Browser) -> None:
    for path, status, words in (
        ("/missing", 404, "There is no such page."),
        ("/news/photos/5", 404, "no such photo in News"),
        ("/shop/", 403, "no access to Shop"),
    ):
        response = nora.get(path)
        assert response.status_code == status
        assert words in response.text
        assert "Picture Desk" in response.text
    assert nora.get("/missing", headers={"Accept": "application/json"}).json


def test_an_unexpected_error_does_not_ask_the_database(
    make_app: MakeApp, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(TESTING=False)
    nora = sign_in("nora", app)

    def fail(*_arguments: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("example_app.library.page_of", fail)
    response = nora.get("/news/")
    assert response.status_code == 500
    assert "An error occurred on the server." in response.text
    assert "secret detail" not in response.text
    assert "Sign out" not in response.text


def test_pages_have_no_script_or_style_inside(nora: Browser) -> None:
    nora.upload((espresso(), "espresso.jpg"))
    for path in ("/news/", "/news/photos/1", "/news/upload", "/news/photos/1/delete"):
        page = nora.page(path)
        assert not re.search(r"<style|style=|\son\w+=|javascript:", page), path
        for script in re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL):
            assert script == ""
        assert page.count("<h1") == 1
        assert 'href="#content"' in page


def test_nothing_is_fetched_from_elsewhere() -> None:
    for file in [*FOLDER.rglob("templates/**/*.*"), *FOLDER.rglob("static/*.*")]:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text.lower().replace("xmlhttprequest", ""), file.name


def test_authors_of_the_photos_are_named(app: Flask) -> None:
    response = app.test_client().get("/photo-credits")
    assert response.mimetype == "text/plain"
    named = re.findall(r"^   \* - ``(.+\.jpg)``$", response.text, re.MULTILINE)
    assert named == sorted(file.name for file in EXAMPLE_PHOTOS.glob("*.jpg"))
    response.close()
