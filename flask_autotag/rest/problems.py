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
    """Why a request was refused.

    :param status: of HTTP.
    :param detail: a sentence for whoever wrote the request.
    :param field: the parameter, or the member of the body, that is wrong.
    :param headers: further ones of the answer.
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
        """Make the answer."""
        body: dict[str, Any] = {
            # What RFC 9457 calls a problem that its status says enough of.
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
    """Turn an error of Flask or of the host's authorizer into such an answer.

    One that brought its own response keeps it, and others keep their headers, such as
    ``WWW-Authenticate``.
    """
    if error.response is not None or error.code not in set(HTTPStatus):
        return error.get_response()
    response = Problem(error.code, error.description or error.name).response()
    for name, value in error.get_headers():
        if name.lower() != "content-type":
            response.headers[name] = value
    return response
