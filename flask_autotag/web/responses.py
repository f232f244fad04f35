"""Limits of every form that is sent to the pages, and headers of every response."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Response, request

from .access import current_state
from .request_size import limit_body

#: The most bytes of a form's texts. Flask's own limit is below that and answers with an
#: error page; here a field that is too long gets a sentence beside it.
_FORM_BYTES = 2 * 2**20
#: The most bytes of a form without an image: its texts and a file of words.
_PAGE_BYTES = 2 * _FORM_BYTES
#: The views whose form may contain an image.
_WITH_IMAGE = {"system", "settings"}


def limit_form(endpoint: str | None, _values: object) -> None:
    """Limit the size of a form, but not of a single field in it."""
    most = _PAGE_BYTES
    if (endpoint or "").rpartition(".")[2] in _WITH_IMAGE:
        most = _FORM_BYTES + current_state().config.max_image_bytes
    size = request.content_length or 0
    # Werkzeug before 3.1.9 compares this limit with the size of a whole form without a
    # file, and refuses the form without a sentence.
    request.max_form_memory_size = size if size > most else _FORM_BYTES
    limit_body(most)


def forbid_storing(response: Response) -> Response:
    """Keep pages and JSON out of caches; style sheets and scripts may be cached."""
    if response.mimetype in ("text/html", "application/json"):
        response.cache_control.no_store = True
    return response


def wants_json() -> bool:
    """Whether the request comes from a script and not from a browser's page."""
    return request.accept_mimetypes.best == "application/json"


def local_path(target: str | None) -> str | None:
    """Return *target* if it is a path on this site, and ``None`` if it leads elsewhere.

    Backslashes and control characters are refused: browsers read a backslash as a slash
    and drop tabs and line breaks.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    if "\\" in target or not target.isprintable():
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc else target
