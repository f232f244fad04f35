"""For all pages: headers, CSRF, errors, template filters."""

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
    # No inline scripts or styles, so that HTML in a title cannot run code.
    # blob: shows photos during the upload.
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

#: Headings of error pages.
HEADINGS = {
    400: "The request failed",
    403: "No access",
    404: "Not found",
    413: "Too large",
    500: "Sorry",
}

#: Messages of error pages, if the error has no description of its own.
SENTENCES = {
    403: "Your account may not see this page.",
    404: "There is no such page. It may have been deleted.",
    413: "The upload is too large. Upload fewer or smaller photos.",
    500: "An error occurred on the server. Try again later.",
}


def init_app(app: Flask) -> None:
    """Install headers, CSRF protection, error pages and filters."""
    csrf.init_app(app)
    app.after_request(_add_headers)
    app.register_error_handler(HTTPException, _show_error)
    app.add_template_filter(date_and_time)
    app.add_url_rule("/photo-credits", "photo_credits", _photo_credits)


def wants_json() -> bool:
    """Return whether the client is a script that accepts JSON."""
    return request.accept_mimetypes.best == "application/json"


def date_and_time(moment: datetime) -> str:
    """Format a time in UTC, such as 3 May 2026, 14:05 UTC."""
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    # Shared caches must not store pages and photos of a user.
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
        # The database may be broken, so this page does not use it.
        g.bare = True
    heading = HEADINGS.get(code, error.name)
    page = render_template("error.html", code=code, heading=heading, sentence=sentence)
    return page, code


def _sentence(error: HTTPException, code: int) -> str:
    if isinstance(error, CSRFError):
        return "The form has expired. Go back, reload the page, and send it again."
    own = error.description != type(error).description
    return (error.description if own else SENTENCES.get(code, error.description)) or ""


def _photo_credits() -> ResponseReturnValue:
    """Show the authors of the example's photos, as their licences require."""
    folder = Path(current_app.root_path) / "photos"
    return send_from_directory(folder, "LICENSES.rst", mimetype="text/plain")
