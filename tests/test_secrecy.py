"""No key is in a log, an error, an address, a row or a page, whatever goes wrong."""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select

from flask_autotag import AssetRef, TaggingError
from flask_autotag.classification import circuit_breaker
from flask_autotag.settings.stored import SYSTEM

from .providers.clouds import answer_each, be_due, drain, let_it_in, photo, upload
from .providers.vendors import Answer, Vendor, vendor
from .web.admin.conftest import NEWS_URL, SHOP_URL, SYSTEM_URL, Office, open_office

KEY = "AIza-secret-0123-of-the-shop"
#: A part that no page may show; pages show the last four characters.
SECRET = KEY[:-4]

WORDS = {"error": {"code": 3, "message": f"{KEY}: no. {KEY}!", "status": KEY}}
WRONG_KEY = {
    "error": {
        "message": f"API key {KEY} not valid.",
        "details": [{"reason": "API_KEY_INVALID", "metadata": {"key": KEY}}],
    }
}


#: Other forms of a key that reveal it.
WRITTEN = {
    "lower case": KEY.lower(),
    "zero-width spaces": "\u200b".join(KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "percent-encoded": "".join(f"%{ord(each):02X}" for each in KEY),
    "half of it": KEY[: len(KEY) // 2],
}


def broken_off(file: Any) -> None:
    file.write(b'{"responses": [')


FAILURES = {
    "400": Answer(400, WORDS),
    "wrong key": Answer(400, WRONG_KEY),
    "401": Answer(401, WORDS),
    "403": Answer(403, WORDS),
    "404": Answer(404, WORDS),
    "413": Answer(413, WORDS),
    "415": Answer(415, WORDS),
    "429": Answer(429, WORDS),
    "429 with a wait": Answer(429, WORDS, {"Retry-After": KEY}),
    "500": Answer(500, WORDS),
    "503": Answer(503, WORDS, {"Retry-After": "20"}),
    "redirect": Answer(302, WORDS, {"Location": f"http://169.254.169.254/?key={KEY}"}),
    "broken off": Answer(write=broken_off),
    "nonsense": Answer(body={"responses": [{"labelAnnotations": KEY}]}),
    "no JSON": Answer(body=KEY.encode()),
    "one image": Answer(body={"responses": [WORDS]}),
    **{
        f"written otherwise: {way}": Answer(400, {"error": {"message": f"No {key}!"}})
        for way, key in WRITTEN.items()
    },
    "another image": Answer(body={"responses": [{"error": {"message": KEY}}]}),
}


def set_up(office: Office, url: str) -> None:
    """A host whose shop uses only Google, with a key that was typed on its page."""
    page = office.visitor("ada").send(
        SHOP_URL,
        **{
            "setting.google.enabled": "true",
            "setting.google.endpoint": url,
            "setting.google.api_key": KEY,
            "setting.tensorflow.enabled": "false",
        },
    )
    assert page.status == 303


@pytest.fixture
def office(sqlite_url: str, google: Vendor) -> Iterator[Office]:
    with open_office(sqlite_url, AUTOTAG_ALLOWED_ORIGINS=[google.url]) as made:
        set_up(made, google.url)
        yield made


def let_it_be_asked(office: Office) -> None:
    """Change the rows as if a day had passed and somebody had resumed the provider."""
    state = office.desk.state
    with office.host.app.app_context():
        state.database.transact(
            lambda session: circuit_breaker.resume(
                session, state.database.models, SYSTEM, ["google"]
            )
        )


def everything_that_tells(office: Office) -> Iterator[str]:
    """Return the rows, the pages and the output of the commands."""
    host, ada = office.host, office.visitor("ada")
    with host.app.app_context():
        for table in host.models.tables:
            for row in host.db.session.execute(select(table)):
                yield repr(tuple(row))
    yield repr(host.failures)
    for path in (SYSTEM_URL, SHOP_URL, NEWS_URL, "/autotag/"):
        yield ada.get(path).html
    for path in ("/autotag/system/history", "/autotag/history/shop"):
        page = ada.get(path)
        assert page.status == 200
        yield page.html
    runner = host.app.test_cli_runner()
    for command in (
        "doctor",
        "status",
        "status --json",
        "settings show",
        "settings show --instance shop",
        "settings export -",
    ):
        told = runner.invoke(args=["autotag", *command.split()])
        assert told.output
        yield told.output + repr(told.exception)


@pytest.mark.parametrize("failure", FAILURES)
def test_no_key_is_anywhere(
    office: Office, google: Vendor, caplog: pytest.LogCaptureFixture, failure: str
) -> None:
    caplog.set_level(logging.DEBUG)
    google.answer = FAILURES[failure]
    host, ada = office.host, office.visitor("ada")

    upload(host, 1)
    drain(host)
    assert len(google.requests) == 1
    told = [*everything_that_tells(office)]

    let_it_be_asked(office)
    with host.app.app_context(), pytest.raises(TaggingError) as caught:
        host.autotag.tag_now(AssetRef("photo", "2"), photo(2), "shop")
    told += traceback.format_exception(caught.value)

    let_it_be_asked(office)
    told.append(ada.send(SHOP_URL, test="google").html)
    assert len(google.requests) == 3

    told.append(caplog.text)
    told += [request.path + repr(request.query) for request in google.requests]
    assert all(request.headers["x-goog-api-key"] == KEY for request in google.requests)
    assert repeating(told) == []


@pytest.mark.parametrize("key", [KEY, *WRITTEN.values()], ids=["as it is", *WRITTEN])
def test_no_label_repeats_it(office: Office, google: Vendor, key: str) -> None:
    labels = [{"description": name, "score": 0.9} for name in (key, "Cup")]
    labels.append({"mid": key, "description": "Drink", "score": 0.9})
    google.answer = Answer(body={"responses": [{"labelAnnotations": labels}]})
    upload(office.host, 1)
    drain(office.host)
    assert list(office.tags("1")) == ["Cup"]
    assert repeating(everything_that_tells(office)) == []


def repeating(told: Iterable[str]) -> list[str]:
    """Return the texts that repeat the key, or a form of it."""
    secrets = {SECRET, *WRITTEN.values(), *map(quote, WRITTEN.values())}
    return [each for each in told if any(secret in each for secret in secrets)]


def test_nor_if_nobody_is_there(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with vendor() as gone:
        url = gone.url
    with open_office(sqlite_url, AUTOTAG_ALLOWED_ORIGINS=[url]) as office:
        set_up(office, url)
        upload(office.host, 1)
        drain(office.host)
        [job] = office.host.jobs()
        assert "cannot be reached (ConnectionError)" in job.error_text
        told = [*everything_that_tells(office), caplog.text]
    assert [each for each in told if SECRET in each] == []


def test_it_is_found_where_it_is(office: Office, google: Vendor) -> None:
    """The test above can fail: each source of texts holds a text."""
    google.answer = answer_each
    upload(office.host, 1)
    drain(office.host)
    be_due(office.host)
    let_it_in(office.host)
    told = "\n".join(everything_that_tells(office))
    for seen in ("Cup", "google.api_key", "Asset Auto Tagging", "due job", KEY[-4:]):
        assert seen in told
