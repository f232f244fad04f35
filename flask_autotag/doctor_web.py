"""Examines what an installation serves: the pages and the JSON API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jinja2 import TemplateNotFound

from .findings import ERROR, OK, WARNING, Finding
from .state import State

if TYPE_CHECKING:
    from flask import Flask


def check_pages(app: Flask, state: State) -> Iterator[Finding]:
    """Find out whether there are pages, and anybody to open them."""
    if state.config.url_prefix is None:
        yield Finding(OK, "pages", "AUTOTAG_URL_PREFIX is None: there are none.")
        return
    try:
        app.jinja_env.get_template(state.config.base_template)
    except TemplateNotFound:
        yield Finding(
            ERROR,
            "pages",
            f"There is no template {state.config.base_template!r}.",
            "Correct AUTOTAG_BASE_TEMPLATE.",
        )
        return
    if state.hooks.authorizer is None:
        yield Finding(
            WARNING,
            "pages",
            f"Nobody may open the settings pages at {state.config.url_prefix}/.",
            "Register an authorizer, or set AUTOTAG_URL_PREFIX = None.",
        )
    else:
        yield Finding(OK, "pages", f"They are at {state.config.url_prefix}/.")


def check_api(_app: Flask, state: State) -> Iterator[Finding]:
    """Find out whether anybody may use the API, if there is one."""
    if state.config.api is None:
        return
    if state.hooks.authorizer is None:
        yield Finding(
            WARNING,
            "API",
            f"Nobody may use the JSON API at {state.config.api}/.",
            "Register an authorizer, or set AUTOTAG_API = None.",
        )
    else:
        yield Finding(OK, "API", f"It is at {state.config.api}/.")
