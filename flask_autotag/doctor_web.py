"""Examines what an installation serves: the pages, the JSON API and metrics."""

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
    address = f"{state.config.url_prefix}/."
    yield _for_whom(
        state,
        "pages",
        f"They are at {address}",
        f"Nobody may open the settings pages at {address}",
        "AUTOTAG_URL_PREFIX",
    )


def check_api(_app: Flask, state: State) -> Iterator[Finding]:
    """Find out whether anybody may use the API, if there is one."""
    if state.config.api is None:
        return
    address = f"{state.config.api}/."
    yield _for_whom(
        state,
        "API",
        f"It is at {address}",
        f"Nobody may use the JSON API at {address}",
        "AUTOTAG_API",
    )


def check_metrics(_app: Flask, state: State) -> Iterator[Finding]:
    """Find out whether anybody may read the metrics, if the host serves them."""
    if state.config.metrics is None:
        return
    address = f"{state.config.metrics}."
    yield _for_whom(
        state,
        "metrics",
        f"They are at {address}",
        f"Nobody may read the metrics at {address}",
        "AUTOTAG_METRICS",
    )


def _for_whom(state: State, subject: str, where: str, nobody: str, key: str) -> Finding:
    """Tell where something is, or that nobody may open it."""
    if state.hooks.authorizer is not None:
        return Finding(OK, subject, where)
    fix = f"Register an authorizer, or set {key} = None."
    return Finding(WARNING, subject, nobody, fix)
