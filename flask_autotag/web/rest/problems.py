"""Errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from flask import Response
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """The cause for which a request is refused.

    :param status: the HTTP status.
    :param detail: a sentence for the client's developer.
    :param field: the wrong parameter or member of the body.
    :param headers: further headers of the response.
    """

    def __init__(
        self, status: int, detail: str, field: str | None = None, **headers: str
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers

    def response(self) -> Response:
        """Return the response."""
        body: dict[str, Any] = {
            # RFC 9457: the status tells everything about the type of the problem.
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.field is not None:
            body["field"] = self.field
        response = Response(json.dumps(body), self.status, mimetype=MEDIA_TYPE)
        response.headers.update(self.headers)
        response.cache_control.no_store = True
        return response


def response_to(error: HTTPException) -> BaseResponse:
    """Return the response to an error of Flask or of the host's authorizer.

    An error with a response of its own keeps it. Others keep their headers, such as
    ``WWW-Authenticate``.
    """
    if error.response is not None or error.code not in set(HTTPStatus):
        return error.get_response()
    response = Problem(error.code, error.description or error.name).response()
    for name, value in error.get_headers():
        if name.lower() != "content-type":
            response.headers[name] = value
    return response
