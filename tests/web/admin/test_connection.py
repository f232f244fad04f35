"""How a provider elsewhere fares, on the page; and whether it answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import update

from flask_autotag.classification import circuit_breaker, quota
from flask_autotag.errors import ProviderRefused

from ...providers.vendors import Answer, Vendor, vendor
from ...servers import free_port
from .conftest import SHOP_URL, SYSTEM_URL, Office, Page, Visitor, open_office

ENDPOINT, KEY = "setting.google.endpoint", "setting.google.api_key"
SECRET = "AIza-secret-0123"
WORKS = {"responses": [{"labelAnnotations": [{"description": "Grey", "score": 0.9}]}]}


@pytest.fixture
def google() -> Iterator[Vendor]:
    with vendor() as running:
        running.answer = Answer(body=WORKS)
        yield running


@pytest.fixture
def office(sqlite_url: str, google: Vendor) -> Iterator[Office]:
    with open_office(sqlite_url, AUTOTAG_ALLOWED_ORIGINS=[google.url]) as made:
        yield made


def told(page: Page) -> str:
    return page.text("[aria-labelledby=autotag-section-google] [role=status]")


@pytest.mark.parametrize("path", [SHOP_URL, SYSTEM_URL])
def test_a_key_is_tried_before_it_is_saved(
    office: Office, ada: Visitor, google: Vendor, path: str
) -> None:
    page = ada.send(path, test="google", **{ENDPOINT: google.url, KEY: SECRET})
    assert told(page) == "It answers, and accepts the key."
    assert google.requests[0].headers["x-goog-api-key"] == SECRET
    assert page.fields[ENDPOINT] == google.url
    assert SECRET not in page.html
    assert office.desk.changes() == office.desk.changes("shop") == []


def test_what_the_vendor_says_is_told_without_the_key(
    ada: Visitor, google: Vendor
) -> None:
    google.answer = Answer(403, {"error": {"message": f"<b>{SECRET}</b> is bad"}})
    page = ada.send(SHOP_URL, test="google", **{ENDPOINT: google.url, KEY: SECRET})
    assert told(page) == "Google Cloud Vision answered 403: <b>…</b> is bad"


def test_it_is_no_port_scanner(office: Office, ada: Visitor, google: Vendor) -> None:
    typed = {ENDPOINT: google.url, KEY: SECRET}
    ada.send(SHOP_URL, test="google", **typed)
    page = ada.send(SHOP_URL, test="google", **typed)
    assert told(page) == "It was tried just now. Wait ten seconds."
    assert len(google.requests) == 1
    table = office.desk.state.database.models.provider_state.__table__
    office.desk.execute(update(table).values(tested_at=1))
    page = ada.send(SHOP_URL, test="google", **typed)
    assert len(google.requests) == 2
    assert "Images sent this month: 2." in page.html
    page = ada.send(
        SHOP_URL, test="google", **{ENDPOINT: "http://127.0.0.1:22", KEY: SECRET}
    )
    assert "must begin with https://" in page.error(ENDPOINT)
    assert (
        page.soup.select("[aria-labelledby=autotag-section-google] [role=status]") == []
    )


def test_what_was_not_sent_does_not_count(sqlite_url: str) -> None:
    closed = f"http://127.0.0.1:{free_port()}"
    with open_office(sqlite_url, AUTOTAG_ALLOWED_ORIGINS=[closed]) as office:
        page = office.visitor("ada").send(
            SHOP_URL, test="google", **{ENDPOINT: closed, KEY: SECRET}
        )
    assert told(page) == (
        "Google Cloud Vision cannot be reached (ConnectionError). Can this machine"
        " connect to it? Proxies of the environment are not used."
    )
    assert "Images sent this month: 0" in page.html


def test_none_is_sent_over_the_limit(
    office: Office, ada: Visitor, google: Vendor
) -> None:
    office.desk.save({("google", "monthly_limit"): 1}, "shop")
    typed = {ENDPOINT: google.url, KEY: SECRET, "setting.google.monthly_limit": "9"}
    ada.send(SHOP_URL, test="google", **typed)
    table = office.desk.state.database.models.provider_state.__table__
    office.desk.execute(update(table).values(tested_at=1))
    page = ada.send(SHOP_URL, test="google", **typed)
    assert told(page) == (
        "The images of this month are used up; a test would be one more."
    )
    assert len(google.requests) == 1


def test_without_a_key_there_is_nothing_to_try(ada: Visitor) -> None:
    page = ada.send(SHOP_URL, test="google")
    assert told(page) == "Type the key, and what else it needs, first."
    assert ada.send(SHOP_URL, test="tensorflow").status == 200
    assert ada.send(SHOP_URL, test="nobody").status == 200


def test_a_pause_is_shown_until_somebody_resumes(office: Office, ada: Visitor) -> None:
    state = office.desk.state
    models = state.database.models
    with office.host.app.app_context(), state.database.begin() as session:
        error = ProviderRefused("Google Cloud Vision answered 403.")
        circuit_breaker.record_failure(session, models, "shop", "google", error)
        circuit_breaker.reserve_calls(
            session, models, "shop", "microsoft", 1234, quota.NO_LIMITS
        )
    overview = ada.get("/autotag/")
    assert overview.html.count("is paused") == 1
    assert "Same as the system Google Cloud Vision is paused" in overview.text(
        "li:has(a[href='/autotag/instances/shop'])"
    )
    page = ada.get(SHOP_URL)
    section = "[aria-labelledby=autotag-section-google]"
    assert "Google Cloud Vision answered 403." in page.text(f"{section} .at-error")
    assert page.text(f"{section} .at-error").startswith("Paused since 2")
    assert "Images sent this month: 1,234." in page.html
    page = ada.send(SHOP_URL, resume="google")
    assert "is paused" not in ada.get("/autotag/").html
    assert page.text(".at-notice") == (
        "The provider will be asked again for the next image."
    )
    assert "Paused since" not in page.html
    with office.host.app.app_context(), state.database.begin() as session:
        assert (
            circuit_breaker.reserve_calls(
                session, models, "shop", "google", 1, quota.NO_LIMITS
            )
            == 1
        )


@pytest.mark.parametrize(
    ("price", "limit", "sentence"),
    [
        (None, 0, "Images sent this month: 1,240."),
        (
            "$1.50",
            0,
            "Images sent this month: 1,240, about $1.86 at the list price.",
        ),
        (
            "$0.001",
            0,
            "Images sent this month: 1,240, less than $0.01 at the list price.",
        ),
        (None, 5000, "Images sent this month: 1,240 of 5,000; left: 3,760."),
        (
            "1.50 €",
            1000,
            "Images sent this month: 1,240 of 1,000, about 1.86 € at the list price;"
            " left: 0.",
        ),
    ],
)
def test_what_was_sent_and_what_that_cost(
    office: Office, ada: Visitor, price: str | None, limit: int, sentence: str
) -> None:
    state = office.desk.state
    with office.host.app.app_context(), state.database.begin() as session:
        circuit_breaker.reserve_calls(
            session, state.database.models, "shop", "google", 1240, quota.NO_LIMITS
        )
    office.desk.save({("google", "price"): price, ("google", "monthly_limit"): limit})
    section = "[aria-labelledby=autotag-section-google]"
    assert sentence in ada.get(SHOP_URL).texts(f"{section} p.at-notes")


def test_the_systems_page_says_for_whom_the_limit_is(ada: Visitor) -> None:
    hint = "The limit applies to each instance separately."
    assert ada.get(SYSTEM_URL).text("#autotag-google-monthly-limit-help").endswith(hint)
    assert hint not in ada.get(SHOP_URL).html


def test_the_limit_of_all_together_is_the_systems_alone(
    office: Office, ada: Visitor
) -> None:
    path = ("google", "total_limit")
    name = "setting.google.total_limit"
    saved = ada.send(SYSTEM_URL, **{name: "50"})
    assert saved.status == 303
    assert office.desk.settings("shop").value(path) == 50
    assert 'name="setting.google.total_limit"' in ada.get(SYSTEM_URL).html
    assert "Images per month, all instances together" not in ada.get(SHOP_URL).html
    page = ada.send(SHOP_URL, **{name: "500"})
    assert page.status == 400
    assert "a field that does not belong to it: setting.google.total_limit" in page.html
    assert office.desk.settings("shop").value(path) == 50


def test_a_test_of_the_system_counts_towards_the_limit_of_all(
    office: Office, ada: Visitor
) -> None:
    state = office.desk.state
    office.desk.save({("google", "total_limit"): 1, ("google", "monthly_limit"): 1})
    with office.host.app.app_context(), state.database.begin() as session:
        models = state.database.models
        assert quota.count(session, models, "shop", "google", 1) == 1
        limits = quota.Limits.of("", office.desk.settings()["google"])
        assert quota.count(session, models, "", "google", 1, limits) == 0
    used = "Images sent this month: 1 of 1; left: 0."
    assert used in ada.get(SYSTEM_URL).text("[aria-labelledby=autotag-section-google]")


def test_a_price_that_is_none_is_refused(ada: Visitor) -> None:
    page = ada.send(SHOP_URL, **{"setting.google.price": "cheap"})
    assert page.status == 422
    assert page.error("setting.google.price") == (
        "Price of 1,000 images must be a price such as 1.50, $1.50, 1.50 € or EUR 1.50,"
        " not 'cheap'."
    )
