"""The limit of a request's size, where the application sets none."""

from __future__ import annotations

import gc
import io
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from flask import request, request_started
from flask_wtf.csrf import CSRFProtect

from flask_autotag.monitoring.doctor.finding import Finding
from flask_autotag.monitoring.doctor.web import check_requests

from .conftest import SHOP_URL, SYSTEM_URL, USER, Office, open_office

MIB = 2**20
#: Bytes of a request.
SENT = 40 * MIB
PAGES = {SHOP_URL: 3 * MIB, SYSTEM_URL: 3 * MIB, "/autotag/tags/shop": 4 * MIB}
API = "/api/autotag/instances/shop/jobs"
#: The environment of a body without a declared length.
CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
MULTIPART = "multipart/form-data; boundary=x"
FORM = "application/x-www-form-urlencoded"
HEAD = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'


class Endless(io.RawIOBase):
    """A body that is generated while it is read."""

    def __init__(self, head: bytes = b"") -> None:
        self.read_bytes = 0
        self._head = head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        made = (self._head + b"a" * len(buffer))[: min(len(buffer), 2**16)]
        made = made[: SENT - self.read_bytes]
        self._head = self._head[len(made) :]
        buffer[: len(made)] = made
        self.read_bytes += len(made)
        return len(made)


@pytest.fixture
def office(sqlite_url: str) -> Iterator[Office]:
    with open_office(
        sqlite_url, AUTOTAG_MAX_IMAGE_BYTES=MIB, AUTOTAG_API="/api/autotag"
    ) as made:
        yield made


def send(
    office: Office, path: str, kind: str, user: str = "ada", *, known: bool = False
) -> tuple[int, str, int]:
    """Send 40 MiB, and return the response and the number of bytes that were read.

    :param known: whether the size is told before.
    """
    body = Endless(HEAD if kind == MULTIPART else b"")
    size = {"CONTENT_LENGTH": str(SENT)} if known else CHUNKED
    with warnings.catch_warnings():
        # Werkzeug does not close its temporary file if reading fails.
        warnings.simplefilter("ignore", ResourceWarning)
        response = office.host.app.test_client().post(
            path,
            headers={USER: user, "X-Requested-With": "test"},
            environ_overrides={"wsgi.input": body, "CONTENT_TYPE": kind, **size},
        )
        gc.collect()
    text = response.text
    response.close()
    return response.status_code, text, body.read_bytes


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("kind", [MULTIPART, FORM])
@pytest.mark.parametrize("path", PAGES)
def test_a_form(office: Office, path: str, kind: str, known: bool) -> None:
    status, text, read = send(office, path, kind, known=known)
    assert status == 413
    assert f"The body must have at most {PAGES[path]:,} bytes." in text
    assert read <= (0 if known else PAGES[path] + 1)


@pytest.mark.parametrize("known", [True, False])
def test_who_may_not_come_in_sends_nothing(office: Office, known: bool) -> None:
    status, _, read = send(office, SHOP_URL, MULTIPART, "nobody", known=known)
    assert (status, read) == (302, 0)


@pytest.mark.parametrize("known", [True, False])
def test_json(office: Office, known: bool) -> None:
    status, text, read = send(office, API, "application/json", known=known)
    assert status == 413
    assert "The body must have at most 16,384 bytes." in text
    assert '"status": 413' in text
    assert read <= 16_385


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("path", [SHOP_URL, API])
def test_before_the_hooks_of_the_application(
    office: Office, path: str, known: bool
) -> None:
    """Flask-WTF, for example, looks for a token in each form."""
    CSRFProtect(office.host.app)
    office.host.app.config["WTF_CSRF_ENABLED"] = True
    office.host.app.before_request(read_form)
    status, text, read = send(office, path, MULTIPART, known=known)
    most = PAGES.get(path, 2**14)
    assert status == 413
    assert f"The body must have at most {most:,} bytes." in text
    assert read <= (0 if known else most + 1)
    assert told(office) == []


def test_a_lower_limit_of_the_application_holds(office: Office) -> None:
    office.host.app.config["MAX_CONTENT_LENGTH"] = MIB
    assert send(office, SHOP_URL, MULTIPART, known=True)[::2] == (413, 0)
    status, _, read = send(office, SHOP_URL, MULTIPART)
    assert status == 413
    assert read <= MIB


def test_a_body_at_the_limit_is_read(office: Office) -> None:
    body = io.BytesIO(b"a" * 2**14)
    response = office.host.app.test_client().post(
        API,
        content_type="application/json",
        headers={USER: "ada", "X-Requested-With": "test"},
        environ_overrides={"wsgi.input": body, **CHUNKED},
    )
    assert response.status_code == 400
    assert "The body must be JSON" in response.text


def told(office: Office) -> list[Finding]:
    app = office.host.app
    with app.app_context():
        return list(check_requests(app, office.desk.state))


def read_form(*_: Any, **__: Any) -> None:
    assert request.form is not None


def test_doctor_tells_of_hooks_that_come_first(office: Office) -> None:
    app = office.host.app
    assert told(office) == []
    with request_started.connected_to(read_form, app):
        [found] = told(office)
    assert found.level == "warning"
    assert found.fix == (
        "Set MAX_CONTENT_LENGTH to a little more than AUTOTAG_MAX_IMAGE_BYTES."
    )
    # Not by the method, which must not be called after the first request.
    app.url_value_preprocessors[None].append(read_form)
    assert told(office) == [found]
    app.config["MAX_CONTENT_LENGTH"] = 30 * MIB
    assert told(office) == []
    app.config["MAX_CONTENT_LENGTH"] = None
    assert told(office) == [found]


def test_doctor_tells_of_a_middleware(office: Office) -> None:
    app, inner = office.host.app, office.host.app.wsgi_app

    def outer(environ: Any, start_response: Any) -> Any:
        environ["wsgi.input"].read()
        return inner(environ, start_response)

    app.wsgi_app = outer  # type: ignore[method-assign]
    assert len(told(office)) == 1


def test_the_mark_of_doctor_is_no_header(office: Office) -> None:
    client = office.host.app.test_client()
    response = client.post(SHOP_URL, headers={"flask_autotag.probe": "1"})
    assert response.status_code == 302
