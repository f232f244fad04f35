"""No host name of a provider leads to an address that is not public."""

from __future__ import annotations

import logging
import socket
from typing import Any

import pytest

from flask_autotag.errors import ProviderError, ProviderRefused, ProviderUnreachable
from flask_autotag.providers.http import Http

#: Addresses that a name server may answer with.
REFUSED = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "this host": ["0.0.0.0", "0.1.2.3", "::"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1"],
    "shared (RFC 6598), Alibaba's metadata": ["100.64.0.1", "100.100.100.200"],
    "link-local, metadata of most clouds": [
        "169.254.169.254",
        "169.254.0.23",
        "fe80::1",
        "fe80::1%lo",
        "fe80::a9fe:a9fe",
    ],
    "IETF's, Oracle's metadata": ["192.0.0.1", "192.0.0.192"],
    "Azure's metadata and wire server": ["168.63.129.16"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"],
    "documentation (RFC 9637)": ["3fff::1"],
    "benchmarks": ["198.18.0.1", "198.19.255.254", "2001:2::1"],
    "6to4 relays": ["192.88.99.1"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "reserved, broadcast": ["240.0.0.1", "255.255.255.255"],
    "unique local, Amazon's, Google's metadata": [
        "fc00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
    ],
    "site-local": ["fec0::1", "feff::1"],
    "IPv4-compatible": ["::127.0.0.1", "::10.0.0.1", "::8.8.8.8"],
    "IPv4-mapped": [
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:168.63.129.16",
        "::ffff:100.100.100.200",
    ],
    "IPv4-translated": ["::ffff:0:127.0.0.1"],
    "NAT64": ["64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::a00:1"],
    "6to4": ["2002:7f00:1::1", "2002:a9fe:a9fe::1", "2002:808:808::1"],
    "Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:80ff:fffe"],
    "ORCHID": ["2001:10::1", "2001:20::1"],
    "discard, segment routing": ["100::1", "5f00::1"],
    "not allocated": ["4000::1", "8000::1", "e000::1"],
}
#: Texts that the system reads as an address, and an attacker may write.
FORMS = [
    "127.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0",
    "0xa9fea9fe",
    "169.254.43518",
    "0250.077.0201.020",
    "[::1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[fec0::1]",
    "[fe80::1%25lo]",
    "[64:ff9b::a9fe:a9fe]",
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "168.63.129.17", "::ffff:8.8.8.8"]
PUBLIC += ["2606:4700:4700::1111", "2a00:1450:4001:829::200e", "2001:4860:4860::8888"]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the addresses of connections, without connecting."""
    addresses: list[str] = []

    def connect(_: socket.socket, address: Any) -> None:
        addresses.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr("urllib3.util.connection.HAS_IPV6", True)
    return addresses


def post(host: str) -> None:
    Http().post("Google", f"https://{host}/", headers={"X-Key": "k"}, data=b"x")


def resolve(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Let the name server answer with an address."""
    real = socket.getaddrinfo

    def lookup(host: str, port: int, *further: Any, **options: Any) -> list[Any]:
        if host != "vision.googleapis.com":
            return list(real(host, port, *further, **options))
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        where: tuple[Any, ...] = (address, port)
        where += (0, 0) if ":" in address else ()
        return [(family, socket.SOCK_STREAM, 6, "", where)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


@pytest.mark.parametrize(
    "address", [each for some in REFUSED.values() for each in some]
)
def test_a_name_that_leads_to_an_address_that_is_not_public(
    monkeypatch: pytest.MonkeyPatch,
    connected: list[str],
    caplog: pytest.LogCaptureFixture,
    address: str,
) -> None:
    caplog.set_level(logging.CRITICAL, "requests_hardened")
    resolve(monkeypatch, address)
    with pytest.raises(ProviderRefused) as caught:
        post("vision.googleapis.com")
    assert str(caught.value) == "Google's endpoint leads to a private address."
    assert connected == []


@pytest.mark.parametrize("form", FORMS)
def test_an_address_in_an_unusual_form(
    connected: list[str], caplog: pytest.LogCaptureFixture, form: str
) -> None:
    caplog.set_level(logging.CRITICAL, "requests_hardened")
    with pytest.raises((ProviderRefused, ProviderUnreachable)):
        post(form)
    assert connected == []


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_connected_to(
    monkeypatch: pytest.MonkeyPatch, connected: list[str], address: str
) -> None:
    resolve(monkeypatch, address)
    with pytest.raises(ProviderError):
        post("vision.googleapis.com")
    assert connected == [address.removeprefix("::ffff:")]


def test_the_configuration_may_name_an_address_that_is_not_public(
    connected: list[str],
) -> None:
    origin = "https://168.63.129.16"
    with pytest.raises(ProviderUnreachable):
        Http(frozenset({origin})).post("Google", f"{origin}/", headers={}, data=b"")
    assert connected == ["168.63.129.16"]
