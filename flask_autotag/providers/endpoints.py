"""Checks the addresses to which images and keys are sent."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import SplitResult

from ..settings.checks import CheckError, shown, split_address, text


@dataclass(frozen=True)
class Endpoint:
    """The check of a field that holds a vendor's address; see :class:`.Field`.

    It accepts ``https`` without user, port, path or query. The host must be one of
    *hosts*, or a single label in front of one of *suffixes*. Without *hosts* and
    *suffixes* only the allowed origins are accepted.

    :param example: an address for the error message.
    :param hosts: such as ``vision.googleapis.com``.
    :param suffixes: such as ``.cognitiveservices.azure.com``.
    :param allowed: further origins, such as ``http://127.0.0.1:8080``; filled in from
        ``AUTOTAG_ALLOWED_ORIGINS``.
    """

    example: str
    hosts: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    allowed: frozenset[str] = frozenset()

    def allowing(self, origins: frozenset[str]) -> Endpoint:
        """Return a copy of the check that also accepts *origins*."""
        return replace(self, allowed=origins)

    def __call__(self, value: Any) -> str | None:
        """Check an address.

        :return: the address in lower case, without a slash at the end; ``None`` for
            ``None``.
        :raises CheckError: if the address is not accepted; it names the reason.
        """
        if value is None:
            return None
        address = text(value)
        if address.rstrip("/").lower() in self.allowed:
            return address.rstrip("/").lower()
        if not self.hosts and not self.suffixes:
            raise CheckError(
                "must be an address that AUTOTAG_ALLOWED_ORIGINS names, such as"
                " %(example)s, not %(value)s",
                example=self.example,
                value=shown(address),
            )
        parts = split_address(address)
        about = {"example": self.example}
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
        return f"https://{self._host(parts)}"

    def _host(self, parts: SplitResult) -> str:
        host = parts.hostname or ""
        if _is_ip_address(host):
            raise CheckError(
                "must name a host, such as %(example)s, and no IP address",
                example=self.example,
            )
        if host in self.hosts:
            return host
        for suffix in self.suffixes:
            label = host.removesuffix(suffix)
            if label != host and _is_label(label):
                return host
        raise CheckError(
            "must be a host of the vendor, such as %(example)s, not %(value)s",
            example=self.example,
            value=shown(host),
        )


def _port(parts: SplitResult) -> int | str | None:
    try:
        return parts.port
    except ValueError:
        # Any value refuses the address.
        return "invalid"


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
