"""How long somebody waits who tries an image, while others do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from flask import Flask

from flask_autotag import AssetRef
from flask_autotag.classification import remote
from flask_autotag.classification.request import question
from flask_autotag.errors import ClassifierBusy, ClassifierTimeout
from flask_autotag.runtime.one_at_a_time import OneAtATime
from flask_autotag.web.visitor import visitor

from ...hosts import ESPRESSO
from ...providers.clouds import drain, photo, tags, upload
from ...providers.vendors import dripping, listening
from .conftest import NEWS_URL, SHOP_URL, USER, Office, Visitor, open_office
from .test_trial import try_file

#: Seconds that a request waits for a child in these tests.
WAIT = 0.3
#: Seconds by which a loaded machine may be late.
LATE = 20.0
OWN = "You are already trying another image. Wait until it is done."
OTHERS = "Other images are being tried just now. Try again in a moment."


@contextmanager
def busy(office: Office) -> Iterator[None]:
    """Keep the child process for requests busy, as with a slow image."""
    with office.desk.state.request_pool.slot():
        yield


def let_wait(monkeypatch: pytest.MonkeyPatch, wait: float, total: float = 25.0) -> None:
    monkeypatch.setattr(remote, "TRIAL", remote.Patience(wait, total))


def test_others_are_told_to_come_back(
    office: Office, mia: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_wait(monkeypatch, WAIT)
    begun = time.monotonic()
    with busy(office):
        page = try_file(mia, ESPRESSO.read_bytes())
    assert WAIT <= time.monotonic() - begun < WAIT + LATE
    assert page.status == 503
    assert page.text("[data-trial] .at-error") == OTHERS
    page = try_file(mia, ESPRESSO.read_bytes())
    assert page.status == 200
    assert page.text("[data-trial-summary]") == "Would apply: drink, espresso, food"


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_when_to_come_back(
    office: Office, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    let_wait(monkeypatch, 0.01)
    page = office.visitor("mia").get(SHOP_URL)
    with busy(office), ESPRESSO.open("rb") as image:
        response = office.host.app.test_client().post(
            SHOP_URL,
            data={**page.fields, "command": "try", "image": (image, "cup.jpg")},
            headers={USER: "mia", "Accept": accept},
        )
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    if accept == "application/json":
        assert response.json == {"error": OTHERS}
    else:
        assert OTHERS in response.text


def test_six_slow_images_of_one_user_delay_nobody_beyond_the_bound(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_wait(monkeypatch, WAIT)
    data = ESPRESSO.read_bytes()
    mias = threading.Event()
    enter = OneAtATime.enter

    @contextmanager
    def told(trials: OneAtATime, person: str) -> Iterator[bool]:
        with enter(trials, person) as is_free:
            if person == "user mia" and is_free:
                mias.set()
                # As if her image took long.
                with busy(office):
                    release.wait(30)
            yield is_free

    release = threading.Event()
    monkeypatch.setattr(OneAtATime, "enter", told)
    with ThreadPoolExecutor(6) as executor:
        first = executor.submit(try_file, office.visitor("mia"), data)
        try:
            assert mias.wait(30)
            more = [
                executor.submit(try_file, office.visitor("mia"), data) for _ in range(5)
            ]
            pages = [each.result(30) for each in more]
            begun = time.monotonic()
            nils = try_file(office.visitor("nils"), data, NEWS_URL)
            waited = time.monotonic() - begun
        finally:
            release.set()
        assert first.result(30).status == 200
    assert [page.status for page in pages] == [429] * 5
    assert {page.text("[data-trial] .at-error") for page in pages} == {OWN}
    assert nils.status == 503
    assert waited < WAIT + LATE
    assert try_file(office.visitor("mia"), data).status == 200


def test_the_background_has_children_of_its_own(office: Office) -> None:
    with busy(office):
        upload(office.host, 1)
        drain(office.host)
    assert tags(office.host, 1) != {}
    with (
        office.desk.state.pool.slot(),
        office.host.app.test_request_context(),
    ):
        office.host.autotag.tag_now(AssetRef("photo", "2"), photo(2), "shop")
    assert tags(office.host, 2) != {}


def test_tag_now_waits_no_longer_in_a_request(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "TAG_NOW", remote.Patience(WAIT))
    asset = AssetRef("photo", "1")
    with busy(office):
        with office.host.app.test_request_context(), pytest.raises(ClassifierBusy) as e:
            office.host.autotag.tag_now(asset, photo(1), "shop")
        assert e.value.seconds == 5
        assert str(e.value) == (
            "Other images are being classified just now; try again in a few seconds."
        )
        # Nobody waits for a command: it shares the children of the background.
        with office.host.app.app_context():
            assert office.host.autotag.tag_now(asset, photo(1), "shop")


def test_an_image_that_takes_too_long(
    office: Office, mia: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No child has started in so short a time.
    let_wait(monkeypatch, WAIT, WAIT + 0.001)
    page = try_file(mia, ESPRESSO.read_bytes())
    assert page.status == 200
    assert page.text("[data-trial] .at-error").startswith(
        "Decoding and classifying took longer than 0.00"
    )
    monkeypatch.undo()
    page = try_file(mia, ESPRESSO.read_bytes())
    assert page.text("[data-trial-summary]") == "Would apply: drink, espresso, food"


def test_a_slow_provider_gets_what_is_left(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with listening(dripping(head, b" ")) as address:
        url = f"http://{address}"
        with open_office(
            sqlite_url,
            AUTOTAG_ALLOWED_ORIGINS=[url],
            AUTOTAG_GOOGLE_ENABLED=True,
            AUTOTAG_GOOGLE_ENDPOINT=url,
            AUTOTAG_GOOGLE_API_KEY="AIza-secret-0123",
        ) as office:
            try_file(office.visitor("mia"), b"no image, for the child to be warm")
            let_wait(monkeypatch, 1, 4)
            begun = time.monotonic()
            page = try_file(office.visitor("mia"), ESPRESSO.read_bytes())
    assert time.monotonic() - begun < 4 + LATE
    assert "Google Cloud Vision took too long to answer." in page.html
    assert page.text("[data-trial-summary]") == "Would apply: drink, espresso, food"


def test_a_limit_concerns_one_image_alone(office: Office) -> None:
    state = office.desk.state
    asked = question(
        ESPRESSO.read_bytes(), office.desk.settings("shop"), state.config.machine
    )
    pool = state.request_pool
    with pytest.raises(ClassifierTimeout):
        pool.classify(asked, limit=0.001)
    assert pool.classify(asked, wait=0, limit=25).predictions
    assert pool.classify(asked).predictions


class TestWho:
    def test_the_user_is_known(self, office: Office) -> None:
        with office.host.app.test_request_context(headers={USER: "mia"}):
            assert visitor() == "user mia"

    def test_the_session_or_the_address(self) -> None:
        app = Flask("host")
        app.config["AUTOTAG_RUNNER"] = "none"
        from flask_autotag import AutoTag

        AutoTag(app)
        with app.test_request_context(headers={"Cookie": "session=abc"}):
            assert visitor() == "session abc"
        with app.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.1"}):
            assert visitor() == "address 192.0.2.1"

    def test_each_person_enters_once(self) -> None:
        trials = OneAtATime()
        with (
            trials.enter("a") as first,
            trials.enter("a") as again,
            trials.enter("b") as b,
        ):
            assert (first, again, b) == (True, False, True)
        with trials.enter("a") as is_free:
            assert is_free

    def test_an_error_lets_the_person_enter_again(self) -> None:
        trials = OneAtATime()
        with suppress(LookupError), trials.enter("a"), trials.enter("a"):
            raise LookupError
        with trials.enter("a") as is_free:
            assert is_free
