"""Checks of the pages, the JSON API and the metrics endpoint."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flask.testing import EnvironBuilder
from jinja2 import TemplateNotFound
from werkzeug.test import run_wsgi_app

from ...runtime.state import State
from ..probe import PROBE
from .finding import ERROR, OK, WARNING, Finding

if TYPE_CHECKING:
    from flask import Flask


def check_pages(app: Flask, state: State) -> Iterator[Finding]:
    """Check that the pages have a base template and an authorizer."""
    if state.config.url_prefix is None:
        yield Finding(OK, "pages", "Turned off: AUTOTAG_URL_PREFIX is None.")
        return
    try:
        app.jinja_env.get_template(state.config.base_template)
    except TemplateNotFound:
        yield Finding(
            ERROR,
            "pages",
            f"The template {state.config.base_template!r} does not exist.",
            "Correct AUTOTAG_BASE_TEMPLATE.",
        )
        return
    address, closed = f"{state.config.url_prefix}/", "open the settings pages"
    yield _check_authorizer(state, "pages", address, closed, "AUTOTAG_URL_PREFIX")


def check_api(_app: Flask, state: State) -> Iterator[Finding]:
    """Check that the JSON API, if it is on, has an authorizer."""
    if state.config.api is not None:
        address, closed = f"{state.config.api}/", "use the JSON API"
        yield _check_authorizer(state, "API", address, closed, "AUTOTAG_API")


def check_metrics(_app: Flask, state: State) -> Iterator[Finding]:
    """Check that the metrics endpoint, if it is on, has an authorizer."""
    address = state.config.metrics
    if address is not None:
        closed, key = "read the metrics", "AUTOTAG_METRICS"
        yield _check_authorizer(state, "metrics", address, closed, key)


def check_requests(app: Flask, state: State) -> Iterator[Finding]:
    """Check whether the application reads forms before the extension limits them.

    A test request ends where the limits apply; then its body must not have been read.
    """
    pages, api = state.config.url_prefix, state.config.api
    path = f"{pages}/system" if pages else f"{api}/" if api else None
    if path is None or app.config["MAX_CONTENT_LENGTH"] is not None:
        return
    body = _Body()
    environ = EnvironBuilder(
        app,
        path,
        method="POST",
        content_type="application/x-www-form-urlencoded",
        environ_overrides={PROBE: True, "wsgi.input": body, "CONTENT_LENGTH": "1"},
    ).get_environ()
    # Exceptions of the application are not the subject of this check.
    with contextlib.suppress(Exception):
        run_wsgi_app(app.wsgi_app, environ)
    if body.was_read:
        yield Finding(
            WARNING,
            "requests",
            "The application reads forms before the pages and the JSON API can limit"
            " them.",
            "Set MAX_CONTENT_LENGTH to a little more than AUTOTAG_MAX_IMAGE_BYTES.",
        )


class _Body(io.BytesIO):
    """A body of one byte that records whether it was read."""

    def __init__(self) -> None:
        super().__init__(b"x")

    @property
    def was_read(self) -> bool:
        return self.tell() > 0


def _check_authorizer(
    state: State, subject: str, address: str, closed: str, key: str
) -> Finding:
    """Check that an authorizer opens an address.

    :param closed: the action that is forbidden to everybody without one.
    :param key: the configuration key that turns the address off.
    """
    if state.hooks.authorizer is not None:
        return Finding(OK, subject, f"Served at {address}.")
    fix = f"Register an authorizer, or set {key} = None."
    return Finding(WARNING, subject, f"Nobody may {closed} at {address}.", fix)
