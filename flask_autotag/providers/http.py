"""Posting to a provider elsewhere: where it may be, how long, and how much."""

from __future__ import annotations

import email.utils
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import (
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    ProviderRejected,
    ProviderUnreachable,
)

if TYPE_CHECKING:
    from requests import Response, Session

    from .transport import Deadline

#: Seconds to connect, and between two packets.
_CONNECT, _READ = 5.0, 15.0
#: Seconds for all of an exchange, which some server might make byte by byte.
TOTAL = 30.0
#: Bytes of the largest answer: one of 50 labels for 16 images has some 100 KB.
LARGEST = 2 * 2**20
#: Seconds to wait where a provider is busy and does not say for how long.
BUSY = 60.0
#: Characters of a vendor's own words that are passed on.
_WORDS = 200


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    :param headers: found by their names in any case.
    :param body: the JSON; ``None`` if it was none.
    """

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Http:
    """Posts, within limits, and only to where a provider may be.

    No redirect is followed, no proxy of the environment is used, and a name that is,
    or becomes, a private address is refused at the moment of connecting.

    :param allowed: origins that may be private and without TLS, because the
        application's configuration names them.
    :param total: seconds for the whole of a request and its answer, but for the time
        in which the system looks up a name.
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

        :param provider: what people call it, for messages.
        :param url: where to; see the class.
        :param headers: such as the key, and the ``Content-Type``.
        :param data: the body.
        :return: whatever its status; :func:`check_status` reads that.
        :raises ProviderUnreachable: if no connection came about.
        :raises ProviderError: if it breaks off, is too slow, or says too much.
        :raises ProviderRefused: if its address is not one to connect to.
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
                    # Never its own words: they may hold the address.
                    sent = deadline.has_connected
                    kind = ProviderError if sent else ProviderUnreachable
                    raise kind(
                        f"{provider} cannot be reached ({type(error).__name__})."
                    ) from None
        if deadline.is_over:
            # What was cut short may look like a whole answer.
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
        # Else requests reads all of a redirecting answer, however much it is.
        session.get_redirect_target = lambda _response: None  # type: ignore[assignment, method-assign]
        session.headers["User-Agent"] = "Flask-AutoTag"
        return session


def check_status(provider: str, reply: Reply, secret: str, message: str) -> None:
    """Raise what an answer means that is no success.

    :param provider: what people call it.
    :param secret: what must not be repeated; may be empty.
    :param message: the vendor's own words.
    :raises ProviderRefused: if the key or the endpoint is wrong.
    :raises ProviderBusy: if it asks to wait.
    :raises ProviderRejected: if it does not take the image.
    :raises ProviderError: if it failed.
    """
    if reply.status == 200:
        return
    words = printable(message, secret)
    sentence = f"{provider} answered {reply.status}" + (f": {words}" if words else ".")
    wait = _retry_after(reply.headers)
    if reply.status == 429 or (reply.status in (500, 502, 503, 504) and wait):
        raise ProviderBusy(sentence, wait or BUSY)
    if reply.status in (401, 403, 404) or 300 <= reply.status < 400:
        raise ProviderRefused(sentence)
    if reply.status in (400, 413, 415, 422):
        raise ProviderRejected(sentence)
    raise ProviderError(sentence)


def printable(text: str, secret: str) -> str:
    """Write a vendor's words as one short line.

    :param secret: what must not be repeated; may be empty.
    """
    if secret:
        text = text.replace(secret, "…")
    line = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(line.split())[:_WORDS]


def confidence(value: Any) -> float:
    """Read a confidence.

    :raises ValueError: if it is no number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a confidence is no number")
    number = float(value)
    if not math.isfinite(number) or not 0.0 <= number <= 1.0:
        raise ValueError("a confidence is not between 0 and 1")
    return number


def _read(response: Response, provider: str) -> bytes:
    parts, size = [], 0
    while part := response.raw.read1(2**16, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise ProviderError(f"{provider} answered with more than {LARGEST} bytes.")
    return b"".join(parts)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (RecursionError, ValueError):
        return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how long to wait: seconds, or a date (RFC 9110)."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(1.0, date.timestamp() - time.time())
