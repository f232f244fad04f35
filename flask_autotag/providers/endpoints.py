"""Which addresses a provider may be told to send images and keys to."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..checks import CheckError, shown, text


@dataclass(frozen=True)
class Endpoint:
    """Checks the address of a host of a vendor.

    It is ``https``, without user, port, path or query, and its name is one of
    *hosts*, or one label before one of *suffixes*: the rule that refused every
    hostile form tried.

    :param example: shown to who typed something else.
    :param hosts: such as ``vision.googleapis.com``.
    :param suffixes: such as ``.cognitiveservices.azure.com``.
    :param allowed: further origins, such as ``http://127.0.0.1:8080``, which the
        application's configuration allows.
    """

    example: str
    hosts: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    allowed: frozenset[str] = frozenset()

    def allowing(self, origins: frozenset[str]) -> Endpoint:
        """Give the same check, which accepts *origins* too."""
        return replace(self, allowed=origins)

    def __call__(self, value: Any) -> str | None:
        """Check an address.

        :return: it in lower case, without a slash at the end; ``None`` for ``None``.
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
        parts = _split(address)
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


def origins(value: Any) -> frozenset[str]:
    """Accept a list of origins, or a text with commas: scheme, host and port."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple | set | frozenset):
        raise CheckError("must be a list of texts, or a text with commas")
    return frozenset(_origin(word) for word in words)


def _origin(word: Any) -> str:
    address = text(word).rstrip("/").lower()
    parts = _split(address)
    plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise CheckError(
            "must name origins such as http://127.0.0.1:8501, not %(value)s",
            value=shown(word),
        )
    return address


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
