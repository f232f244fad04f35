"""The application of the present context."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app


def current_application() -> Flask:
    """Return the application itself, not the proxy, which has another identity.

    :raises RuntimeError: outside an application context.
    """
    return cast(Flask, current_app._get_current_object())  # type: ignore[attr-defined]
