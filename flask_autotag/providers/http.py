"""HTTP requests to remote providers: limits on address, time and size."""

from __future__ import annotations

import email.utils
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..characters import one_line
from ..errors import (
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    ProviderRejected,
    ProviderUnreachable,
)
from .redaction import WITHHELD, Redactor

if TYPE_CHECKING:
    from requests import Response, Session

    from .transport import Deadline

#: Seconds to connect, and between two packets.
_CONNECT, _READ = 5.0, 15.0
#: Seconds for a whole exchange, in case a server sends byte by byte.
TOTAL = 30.0
#: Bytes of the largest response. 50 labels for each of 16 images take about 100 KB.
MAX_RESPONSE_SIZE = 2 * 2**20
#: Seconds to wait if a busy provider names no time.
BUSY = 60.0
#: Characters of a vendor's message that are shown.
_MESSAGE_SHOWN = 200
#: Characters of a vendor's message that are read.
_MESSAGE_READ = 4000


@dataclass(frozen=True)
class Reply:
    """A server's response.

    :param status: the HTTP status code.
    :param headers: looked up without regard to case.
    :param body: the decoded JSON; ``None`` if the body is not JSON.
    """

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Http:
    """Sends POST requests to public addresses over TLS, within limits.

    Redirects are not followed, and proxies of the environment are not used. Private
    addresses are refused when the connection is made, whatever the name resolved to
    earlier.

    :param allowed: origins that may be private and may lack TLS, from
        ``AUTOTAG_ALLOWED_ORIGINS``.
    :param total: seconds for a request and its response, 30 by default. The system's
        lookup of the host name is not included.
    """

    allowed: frozenset[str] = field(default_factory=frozenset)
    total: float = TOTAL

    def post(
        self,
        provider: str,
        url: str,
        *,
        headers: Mapping[str, str],
        data: bytes,
    ) -> Reply:
        """Send one request.

        :param provider: the provider's title, for messages.
        :param url: an ``https`` URL, or one of an allowed origin.
        :param headers: request headers, such as the key and ``Content-Type``.
        :param data: the request body.
        :return: the response, whatever its status: pass it to :func:`check_status`.
        :raises ProviderUnreachable: if no connection was made; nothing was sent.
        :raises ProviderError: if the connection breaks, the time is over, or the
            response has more than 2 MB.
        :raises ProviderRefused: if the address is private or without TLS.
        """
        import requests
        from requests_hardened.ip_filter import InvalidIPAddress
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        from .transport import Deadline

        too_slow = ProviderError(f"{provider} took too long to answer.")
        with Deadline(self.total) as deadline:
            try:
                reply = self._exchange(provider, url, headers, data, deadline)
            except InvalidIPAddress:
                raise ProviderRefused(
                    f"{provider}'s endpoint leads to a private address."
                ) from None
            except (requests.ReadTimeout, ReadTimeoutError):
                raise too_slow from None
            except (requests.RequestException, HTTPError, OSError) as error:
                if not deadline.is_over:
                    # Leave out the error's message, which may hold the URL.
                    connected = deadline.has_connected
                    error_class = ProviderError if connected else ProviderUnreachable
                    raise error_class(
                        f"{provider} cannot be reached ({type(error).__name__})."
                    ) from None
        if deadline.is_over:
            # A response that was cut short may look complete.
            raise too_slow
        return reply

    def _exchange(
        self,
        provider: str,
        url: str,
        headers: Mapping[str, str],
        data: bytes,
        deadline: Deadline,
    ) -> Reply:
        timeout = (min(_CONNECT, self.total), min(_READ, self.total))
        with (
            self._session(url, deadline, timeout) as session,
            session.post(
                url,
                headers=dict(headers),
                data=data,
                timeout=timeout,
                stream=True,
                allow_redirects=False,
            ) as response,
        ):
            body = _parse(_read(response, provider))
            return Reply(response.status_code, response.headers, body)

    def _session(
        self, url: str, deadline: Deadline, timeout: tuple[float, float]
    ) -> Session:
        from .transport import guarded_session, plain_session

        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" in self.allowed:
            session = plain_session(deadline)
        elif parts.scheme != "https":
            raise ProviderRefused("The provider's endpoint is not https.")
        else:
            session = guarded_session(deadline, timeout)
        session.trust_env = False
        # Otherwise requests reads the body of a redirect without a limit.
        session.get_redirect_target = lambda _response: None  # type: ignore[assignment, method-assign]
        session.headers["User-Agent"] = "Flask-AutoTag"
        return session


def check_status(provider: str, reply: Reply, secret: str, message: str) -> None:
    """Raise the error for a status other than 200.

    :param provider: the provider's title, for the message.
    :param secret: the key, which the message must not repeat; may be empty.
    :param message: the vendor's message, of which one short line is shown.
    :raises ProviderRefused: for 401, 403, 404 and redirects: a wrong key or endpoint.
    :raises ProviderBusy: for 429, and for 500, 502, 503 and 504 with ``Retry-After``.
    :raises ProviderRejected: for 400, 413, 415 and 422: the image is not accepted.
    :raises ProviderError: for any other status.
    """
    if reply.status == 200:
        return
    reason = vendor_message(message, secret)
    sentence = f"{provider} answered {reply.status}"
    sentence += f": {reason}" if reason else "."
    wait = _retry_after(reply.headers)
    if reply.status == 429 or (reply.status in (500, 502, 503, 504) and wait):
        raise ProviderBusy(sentence, wait or BUSY)
    if reply.status in (401, 403, 404) or 300 <= reply.status < 400:
        raise ProviderRefused(sentence)
    if reply.status in (400, 413, 415, 422):
        raise ProviderRejected(sentence)
    raise ProviderError(sentence)


def vendor_message(text: str, secret: str) -> str:
    """Shorten a vendor's message to one line without the secret.

    :param secret: the key, which must not be repeated; may be empty.
    :return: at most 200 characters, with an ellipsis for the secret; or
        :data:`.redaction.WITHHELD` if the message repeats a part of the secret, or
        another form of it that :class:`.redaction.Redactor` finds.
    """
    text = text[:_MESSAGE_READ]
    if secret:
        text = text.replace(secret, "…")
    if Redactor([secret]).repeats(text):
        return WITHHELD
    return " ".join(one_line(text, _MESSAGE_READ).split())[:_MESSAGE_SHOWN]


def confidence(value: Any) -> float:
    """Read the confidence of a label.

    :raises ValueError: if *value* is not a number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a confidence is not a number")
    number = float(value)
    if not math.isfinite(number) or not 0.0 <= number <= 1.0:
        raise ValueError("a confidence is not between 0 and 1")
    return number


def _read(response: Response, provider: str) -> bytes:
    parts, size = [], 0
    while part := response.raw.read1(2**16, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > MAX_RESPONSE_SIZE:
            raise ProviderError(
                f"{provider} answered with more than {MAX_RESPONSE_SIZE} bytes."
            )
    return b"".join(parts)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (RecursionError, ValueError):
        return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read the seconds to wait from ``Retry-After``: seconds or a date (RFC 9110)."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(1.0, date.timestamp() - time.time())
