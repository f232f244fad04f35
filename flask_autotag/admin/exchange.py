"""What holds for every request to the pages, and every answer."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Response, request

#: Bytes that the texts of a form may have. The sum is refused at the field, with a
#: sentence, while Flask's own limit would make an error page of it.
_FORM_BYTES = 2 * 2**20


def accept_large_fields(_endpoint: str | None, _values: object) -> None:
    """Let a form be read that has a field which is far too long."""
    request.max_form_memory_size = _FORM_BYTES


def forbid_storing(response: Response) -> Response:
    """Keep pages, and what scripts ask, out of caches; styles and scripts may stay."""
    if response.mimetype in ("text/html", "application/json"):
        response.cache_control.no_store = True
    return response


def wants_json() -> bool:
    """Whether a script asks, and not somebody who looks at pages."""
    return request.accept_mimetypes.best == "application/json"


def local_path(target: str | None) -> str | None:
    """Give *target* back if it is a path on this site, so that no form leads off it.

    Browsers read a backslash as a slash and drop tabs and line breaks, so neither is
    let through.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    if "\\" in target or not target.isprintable():
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc else target
