"""Which addresses a provider may be told to send images and keys to."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..checks import Check, CheckError, shown, text


def vendor_endpoint(example: str, *suffixes: str) -> Check:
    """Accept the address of a host of a vendor.

    It is ``https``, without user, port, path or query, and its name is one label
    before one of *suffixes*: the rule that refused every hostile form tried.

    :param example: shown to who typed something else.
    :param suffixes: such as ``.cognitiveservices.azure.com``.
    :return: a check that gives the address in lower case, without a slash at the end,
        or ``None`` for ``None``.
    """

    def check(value: Any) -> str | None:
        if value is None:
            return None
        address = text(value)
        parts = _split(address)
        if parts.scheme != "https":
            raise CheckError("must begin with https://, such as %(example)s", **about)
        if parts.username is not None or parts.password is not None:
            raise CheckError("must not contain a user's name or password")
        if _port(parts) is not None:
            raise CheckError("must not contain a port")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise CheckError(
                "must end after the host's name, such as %(example)s", **about
            )
        return f"https://{_host(parts, suffixes, example)}"

    about = {"example": example}
    return check


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        raise CheckError(
            "must be an address, not %(value)s", value=shown(address)
        ) from (None)


def _port(parts: SplitResult) -> int | str | None:
    try:
        return parts.port
    except ValueError:
        return "nonsense"


def _host(parts: SplitResult, suffixes: tuple[str, ...], example: str) -> str:
    host = parts.hostname or ""
    if _is_ip_address(host):
        raise CheckError(
            "must name a host, such as %(example)s, and no IP address", example=example
        )
    for suffix in suffixes:
        label = host.removesuffix(suffix)
        if label != host and _is_label(label):
            return host
    raise CheckError(
        "must be a host of the vendor, such as %(example)s, not %(value)s",
        example=example,
        value=shown(host),
    )


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_label(label: str) -> bool:
    characters = label.replace("-", "a")
    return (
        characters.isascii()
        and characters.isalnum()
        and len(label) <= 63
        and not label.startswith("-")
        and not label.endswith("-")
    )
