"""Limits the body of a request, with and without a Content-Length."""

from __future__ import annotations

import io
from typing import IO, Any

from flask import abort, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.wrappers import Response

from ..monitoring.probe import PROBE
from .translation import gettext


class LimitedBody(io.RawIOBase):
    """The body of a request, which refuses to be read beyond a limit.

    It replaces the server's stream, because Flask before 3.1 cannot limit a single one.

    :param most: the limit, in bytes.
    """

    def __init__(self, most: int) -> None:
        self._body: IO[bytes] = request.environ["wsgi.input"]
        self._most = most
        # A body whose declared length is too large is not read at all. Any other body
        # is too large as soon as one more byte than the limit was read.
        self._left = 0 if (request.content_length or 0) > most else most + 1

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next part of the body.

        :raises werkzeug.exceptions.RequestEntityTooLarge: if it exceeds the limit.
        :raises werkzeug.exceptions.ClientDisconnected: if the client ends it too early.
        """
        try:
            part = self._body.read(min(len(buffer), self._left))
        except (OSError, ValueError) as error:
            raise ClientDisconnected() from error
        self._left -= len(part)
        if self._left <= 0:
            raise RequestEntityTooLarge(
                gettext(
                    "The body must have at most %(most)s bytes.", most=f"{self._most:,}"
                )
            )
        buffer[: len(part)] = part
        return len(part)


def limit_body(most: int) -> None:
    """Limit the body of the current request.

    Call this from a ``url_value_preprocessor``, which runs before the application's
    ``before_request`` functions. A body that is too large is refused when it is read,
    after the authorizer was asked.

    :param most: the limit, in bytes.
    """
    if PROBE in request.environ:
        abort(Response(status=204))
    request.environ["wsgi.input"] = LimitedBody(most)
