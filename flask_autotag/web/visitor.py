"""Identifies the users of the pages, to share limits fairly among them."""

from __future__ import annotations

from flask import current_app, request

from .access import current_state


def visitor() -> str:
    """Return the sender of the current request.

    :return: the user's name if the host knows it, else the session or the address.
    """
    name = current_state().hooks.user_name()
    if name is not None:
        return f"user {name}"
    cookie = current_app.session_interface.get_cookie_name(current_app)
    session = request.cookies.get(cookie)
    return f"session {session}" if session else f"address {request.remote_addr}"
