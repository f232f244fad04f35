"""What holds for all pages: headers, CSRF, errors, words for templates."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from flask import (
    Flask,
    Response,
    current_app,
    g,
    render_template,
    request,
    send_from_directory,
)
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException

csrf = CSRFProtect()

HEADERS = {
    # No script or style inside a page: what a title smuggles in is inert.
    # blob: shows photos that are about to be uploaded.
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

#: Headings of errors; HTTP's own words are not everybody's.
HEADINGS = {
    400: "That did not work",
    403: "Not for this account",
    404: "Not found",
    413: "Too large",
    500: "Sorry",
}

#: What a page says where the one who raised the error said nothing of his own.
SENTENCES = {
    403: "Your account may not see this page.",
    404: "There is nothing at this address. It may have been deleted.",
    413: "That was too much at once. Upload fewer or smaller photos.",
    500: "Something went wrong here, and it was not your fault. Try again later.",
}


def init_app(app: Flask) -> None:
    """Install them."""
    csrf.init_app(app)
    app.after_request(_add_headers)
    app.register_error_handler(HTTPException, _show_error)
    app.add_template_filter(date_and_time)
    app.add_url_rule("/photo-credits", "photo_credits", _photo_credits)


def wants_json() -> bool:
    """Whether a script asks, and not somebody who looks at pages."""
    return request.accept_mimetypes.best == "application/json"


def date_and_time(moment: datetime) -> str:
    """Write a time in UTC, such as 3 May 2026, 14:05 UTC."""
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    # Pages and photos are for the one who is signed in.
    response.cache_control.private = True
    if response.cache_control.max_age is None:
        response.cache_control.no_cache = True
    return response


def _show_error(error: HTTPException) -> ResponseReturnValue:
    code = error.code or 500
    sentence = _sentence(error, code)
    if wants_json():
        return {"error": sentence}, code
    if code == 500:
        # The database may be what is broken: nothing on this page asks it.
        g.bare = True
    heading = HEADINGS.get(code, error.name)
    page = render_template("error.html", code=code, heading=heading, sentence=sentence)
    return page, code


def _sentence(error: HTTPException, code: int) -> str:
    if isinstance(error, CSRFError):
        return "The form was too old to be trusted. Go back, reload, and send it again."
    own = error.description != type(error).description
    return (error.description if own else SENTENCES.get(code, error.description)) or ""


def _photo_credits() -> ResponseReturnValue:
    """Name the authors of the example's photos, as their licences ask."""
    folder = Path(current_app.root_path) / "photos"
    return send_from_directory(folder, "LICENSES.rst", mimetype="text/plain")
