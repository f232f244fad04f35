"""Answers 503 when the database is unavailable or lacks the extension's tables."""

from __future__ import annotations

from flask import Blueprint, make_response, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import ServiceUnavailable

from ..db.errors import UNAVAILABLE_ERRORS, is_missing_table
from .access import current_state, is_admitted
from .layout import base_context
from .responses import wants_json
from .translation import gettext

#: Seconds after which clients should try again.
RETRY_AFTER = 10


def answer_unavailable(blueprint: Blueprint) -> None:
    """Let the pages of *blueprint* answer 503 when the database is unavailable."""
    for kind in UNAVAILABLE_ERRORS:
        blueprint.register_error_handler(kind, _answer)


def unavailable_sentence(error: Exception) -> str:
    """Return the cause in the user's language; only admitted users learn of tables."""
    if is_admitted() and is_missing_table(error):
        return gettext(
            "The tables of auto tagging are missing or belong to another release."
            ' "flask autotag init-db" creates them, "flask autotag upgrade-db" updates'
            " them."
        )
    return gettext("The database is not available now. Try again in a moment.")


def _answer(error: Exception) -> ResponseReturnValue:
    current_state().throttled_log.log("A page could not be rendered.", error)
    sentence = unavailable_sentence(error)
    headers = {"Retry-After": str(RETRY_AFTER)}
    if wants_json():
        return {"error": sentence}, 503, headers
    plain = ServiceUnavailable(sentence, retry_after=RETRY_AFTER).get_response()
    if not is_admitted():
        return plain
    try:
        page = render_template(
            "autotag/unavailable.html", autotag_sentence=sentence, **base_context()
        )
    except UNAVAILABLE_ERRORS:
        # The host's layout queries the database too, such as for the user's name.
        return plain
    return make_response(page, 503, headers)
