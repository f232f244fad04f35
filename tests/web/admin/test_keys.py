"""To which endpoints keys go, and within which limits, whatever a form says."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from flask import request
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from werkzeug.datastructures import FileStorage

from flask_autotag.classification import circuit_breaker
from flask_autotag.errors import ProviderRefused

from ...providers.clouds import answer_each, photo
from ...providers.vendors import Answer, Recorded, Vendor, vendor
from .conftest import SHOP_URL, SYSTEM_URL, USER, Office, Page, Visitor, open_office

VIEW, TRY, CHANGE = "view_settings", "try_image", "change_settings"
#: The rights of each user, everywhere.
ROLES = {
    "nobody": set[str](),
    "viewer": {VIEW},
    "tryer": {VIEW, TRY},
    "changer": {VIEW, CHANGE},
    "admin": {VIEW, TRY, CHANGE},
}
SYSTEMS, SHOPS, TYPED = "AIza-of-the-system", "AIza-of-the-shop-0", "AIza-just-typed-1"
MICROSOFTS = "azure-of-the-system"
HOME, OTHER = "home", "other"
#: As the form has it; and not sent at all.
STAYS, MISSING = None, "missing"
NUMBERS = iter(range(10**6))


def answer_any(recorded: Recorded) -> Answer:
    if recorded.path.startswith("/v1/"):
        return answer_each(recorded)
    return Answer(body={"tagsResult": {"values": []}})


@pytest.fixture
def home() -> Iterator[Vendor]:
    with vendor() as running:
        running.answer = answer_any
        yield running


@pytest.fixture
def other() -> Iterator[Vendor]:
    with vendor() as running:
        running.answer = answer_any
        yield running


@pytest.fixture
def office(sqlite_url: str, home: Vendor, other: Vendor) -> Iterator[Office]:
    with open_office(
        sqlite_url,
        AUTOTAG_ALLOWED_ORIGINS=[home.url, other.url],
        AUTOTAG_GOOGLE_ENDPOINT=home.url,
        AUTOTAG_MICROSOFT_ENDPOINT=home.url,
        AUTOTAG_TENSORFLOW_ENABLED=False,
    ) as made:

        @made.host.autotag.authorizer
        def may(action: str, _instance: str | None) -> bool:
            return action in ROLES[request.headers[USER]]

        save_keys(made, own=False)
        yield made


def save_keys(office: Office, *, own: bool) -> None:
    """Let the settings be as they were; and nobody have tested a connection.

    :param own: whether the shop has a key of its own.
    """
    models = office.desk.state.database.models
    tables = (models.setting, models.provider_state, models.usage)
    office.desk.execute(*(delete(table.__table__) for table in tables))
    google: dict[Any, Any] = {
        ("google", "enabled"): True,
        ("google", "api_key"): SYSTEMS,
        ("microsoft", "enabled"): True,
        ("microsoft", "api_key"): MICROSOFTS,
    }
    office.desk.save(google)
    if own:
        office.desk.save({("google", "api_key"): SHOPS}, "shop")


def try_new(visitor: Visitor, path: str, page: Page | None = None, **form: Any) -> Page:
    """Try an image that nobody tried before."""
    image = FileStorage(io.BytesIO(photo(next(NUMBERS))), "cup.png")
    return visitor.send(path, page, command="try", image=image, **form)


def keys_at(server: Vendor) -> set[str]:
    names = ("x-goog-api-key", "ocp-apim-subscription-key")
    return {
        recorded.headers[name]
        for recorded in server.requests
        for name in names
        if name in recorded.headers
    }


COMMANDS: dict[str, dict[str, str]] = {
    "save": {"command": "save"},
    "apply": {"command": "save", "apply": "1"},
    "preview": {"command": "preview"},
    "try": {"command": "try"},
    "test google": {"test": "google"},
    "test microsoft": {"test": "microsoft"},
    "resume": {"resume": "google"},
    "reset the endpoint": {"reset": "google.endpoint"},
    "reset the key": {"reset": "google.api_key"},
    "reset Google": {"reset_section": "google"},
    "unknown": {"command": "steal"},
}
FORMS = st.fixed_dictionaries(
    {
        "google.endpoint": st.sampled_from(
            [STAYS, HOME, OTHER, OTHER, "http://127.0.0.1:1", "x", "", MISSING]
        ),
        "google.api_key": st.sampled_from(["", "not valid", TYPED, MISSING]),
        "google.enabled": st.sampled_from([STAYS, "on", "off", "perhaps"]),
        "google.confidence_threshold": st.sampled_from([STAYS, "0.4", "7"]),
        "google.monthly_limit": st.sampled_from([STAYS, "5", "-1"]),
        "microsoft.endpoint": st.sampled_from([STAYS, OTHER, "x", MISSING]),
        "microsoft.api_key": st.sampled_from(["", "not valid", TYPED]),
        "microsoft.language": st.sampled_from([STAYS, "de", "?!"]),
        "max_tags": st.sampled_from([STAYS, "3", "many"]),
    }
)
#: The form with which a key was once sent to an endpoint of the visitor's choice.
STEAL = {
    "google.endpoint": OTHER,
    "google.api_key": "not valid",
    "google.enabled": STAYS,
    "google.confidence_threshold": STAYS,
    "google.monthly_limit": STAYS,
    "microsoft.endpoint": OTHER,
    "microsoft.api_key": "not valid",
    "microsoft.language": STAYS,
    "max_tags": STAYS,
}


def test_no_key_goes_to_another_endpoint(
    office: Office, home: Vendor, other: Vendor
) -> None:
    urls = {HOME: home.url, OTHER: other.url}

    @settings(
        max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(
        form=FORMS,
        command=st.sampled_from([*COMMANDS]),
        role=st.sampled_from([*ROLES]),
        path=st.sampled_from([SYSTEM_URL, SHOP_URL]),
        own=st.booleans(),
        removed=st.booleans(),
    )
    @example(STEAL, "try", "tryer", SHOP_URL, True, False)
    @example(STEAL, "try", "admin", SYSTEM_URL, False, False)
    @example({**STEAL, "google.api_key": TYPED}, "try", "admin", SHOP_URL, True, False)
    @example(STEAL, "test google", "admin", SHOP_URL, True, False)
    @example(STEAL, "save", "admin", SYSTEM_URL, False, False)
    def check(
        form: dict[str, str | None],
        command: str,
        role: str,
        path: str,
        own: bool,
        removed: bool,
    ) -> None:
        save_keys(office, own=own)
        home.requests.clear()
        other.requests.clear()
        admin = office.visitor("admin")
        page = admin.get(path)
        sent: dict[str, Any] = {
            f"setting.{name}": urls.get(value or "", value)
            for name, value in form.items()
            if value is not STAYS
        }
        for name, value in sent.items():
            if value == MISSING:
                page.fields.pop(name, None)
        sent = {name: value for name, value in sent.items() if value != MISSING}
        if removed:
            sent["remove.google.api_key"] = "1"
        image = FileStorage(io.BytesIO(photo(next(NUMBERS))), "cup.png")
        if command == "try":
            sent["image"] = image
        answer = office.visitor(role).send(path, page, **sent, **COMMANDS[command])
        if answer.status == 303:
            for each in (SYSTEM_URL, SHOP_URL):
                try_new(admin, each)

        # A key that was typed goes where the same form says, if that was accepted.
        endpoints = {form["google.endpoint"], form["microsoft.endpoint"]}
        meant = {TYPED} if OTHER in endpoints else set()
        assert keys_at(other) <= meant
        assert keys_at(home) <= {SYSTEMS, SHOPS, MICROSOFTS, TYPED}
        if CHANGE not in ROLES[role]:
            assert TYPED not in keys_at(home) | keys_at(other)
        if command not in ("save", "apply", "try", "test google", "test microsoft"):
            assert home.requests == other.requests == []
        told = " ".join((answer.html, answer.location or ""))
        assert not any(key in told for key in (SYSTEMS, SHOPS, MICROSOFTS, TYPED))

    check()


def test_typed_keys_of_one_section_stay_there(
    office: Office, home: Vendor, other: Vendor
) -> None:
    """Google's typed key is not sent where only Microsoft's endpoint leads."""
    form = {
        "setting.google.api_key": TYPED,
        "setting.microsoft.endpoint": other.url,
        "setting.microsoft.api_key": "another-typed-key",
    }
    for name in ("google", "microsoft"):
        office.visitor("admin").send(SHOP_URL, test=name, **form)
    assert keys_at(home) == {TYPED}
    assert keys_at(other) == {"another-typed-key"}


def test_a_refused_endpoint_takes_its_key_along(office: Office, home: Vendor) -> None:
    form = {"setting.google.api_key": TYPED, "setting.google.endpoint": "x"}
    page = office.visitor("admin").send(SYSTEM_URL, test="google", **form)
    assert "must begin with https://" in page.error("setting.google.endpoint")
    assert page.soup.select("[name='setting.google.api_key'][aria-invalid=true]") == []
    try_new(office.visitor("admin"), SYSTEM_URL, **form)
    assert keys_at(home) == {SYSTEMS, MICROSOFTS}


class TestSavedSettings:
    """Saved settings hold for images that are tried, typed ones do not."""

    @pytest.mark.parametrize("role", ["tryer", "admin"])
    def test_limits(self, office: Office, home: Vendor, role: str) -> None:
        limits = {("google", "monthly_limit"): 2, ("microsoft", "enabled"): False}
        office.desk.save(limits, "shop")
        for _ in range(4):
            page = try_new(
                office.visitor(role), SHOP_URL, **{"setting.google.monthly_limit": "99"}
            )
        assert len(home.requests) == 2
        assert "The images of this month are used up." in page.html

    def test_limits_of_a_test_of_the_connection(
        self, office: Office, home: Vendor
    ) -> None:
        office.desk.save({("google", "monthly_limit"): 2}, "shop")
        form = {"setting.google.monthly_limit": "99", "setting.google.api_key": TYPED}
        table = office.desk.state.database.models.provider_state.__table__
        for _ in range(4):
            office.desk.execute(delete(table))
            office.visitor("admin").send(SHOP_URL, test="google", **form)
        assert len(home.requests) == 2

    def test_switches(self, office: Office, home: Vendor, other: Vendor) -> None:
        office.desk.save({("google", "enabled"): False})
        form = {
            "setting.google.enabled": "on",
            "setting.google.endpoint": other.url,
            "setting.google.api_key": TYPED,
        }
        page = try_new(office.visitor("admin"), SHOP_URL, **form)
        assert keys_at(home) == {MICROSOFTS}
        assert other.requests == []
        assert page.texts(".at-notice") == [
            "Google Cloud Vision is tried with its saved settings: save your changes"
            " first."
        ]

    def test_pauses(self, office: Office, home: Vendor) -> None:
        state = office.desk.state
        with office.host.app.app_context(), state.database.begin() as session:
            error = ProviderRefused("Google Cloud Vision answered 403.")
            circuit_breaker.record_failure(
                session, state.database.models, "shop", "google", error
            )
        form = {"setting.google.api_key": TYPED}
        page = try_new(office.visitor("admin"), SHOP_URL, **form)
        assert "It is paused: Google Cloud Vision answered 403." in page.html
        assert keys_at(home) == {MICROSOFTS}

    def test_a_typed_key_pauses_nothing(self, office: Office, home: Vendor) -> None:
        home.answer = lambda each: (
            Answer(403) if TYPED in each.headers.values() else answer_any(each)
        )
        form = {"setting.google.api_key": TYPED}
        try_new(office.visitor("admin"), SHOP_URL, **form)
        office.visitor("admin").send(SHOP_URL, test="google", **form)
        page = try_new(office.visitor("admin"), SHOP_URL)
        assert "is paused" not in page.html

    def test_who_may_not_change_them_tries_the_saved_ones(self, office: Office) -> None:
        form = {
            "setting.google.confidence_threshold": "0.95",
            "setting.tensorflow.enabled": "on",
            "setting.max_tags": "many",
        }
        page = try_new(office.visitor("tryer"), SHOP_URL, **form)
        assert page.text("[data-trial-summary]") == "Would apply: Cup"
        assert page.texts(".at-notice") == [
            "Your account may not change these settings: the image was tried with the"
            " saved ones."
        ]
        assert page.texts(".at-alert") == []
        page = try_new(office.visitor("admin"), SHOP_URL, **form)
        assert page.text("[data-trial-summary]").startswith("Would apply: drink, espre")

    def test_a_browser_does_not_send_what_is_disabled(self, office: Office) -> None:
        page = office.visitor("tryer").get(SHOP_URL)
        assert page.one("[name='setting.max_tags']").has_attr("disabled")
        page.fields = {
            name: value
            for name, value in page.fields.items()
            if not name.startswith("setting.")
        }
        page = try_new(office.visitor("tryer"), SHOP_URL, page)
        assert page.text("[data-trial-summary]") == "Would apply: Cup"
        assert page.texts(".at-alert") == page.texts(".at-notice") == []
