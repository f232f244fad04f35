"""The limits of a request on time, size and address."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from flask_autotag import ProviderError
from flask_autotag.errors import ProviderRefused
from flask_autotag.providers.http import Http

from .vendors import Answer, Vendor, dripping, listening, silent, vendor

KEY = "AIza-secret-0123"


@pytest.fixture
def server() -> Iterator[Vendor]:
    with vendor() as running:
        yield running


HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODY = HEADER + b"Content-Length: 100000\r\n\r\n{"


class TestDeadline:
    """One deadline applies to the whole exchange."""

    def ask(self, address: str, scheme: str = "http", size: int = 1) -> str:
        """Return the message of the error."""
        url = f"{scheme}://{address}"
        with pytest.raises(ProviderError) as caught:
            Http(frozenset({url}), total=0.5).post(
                "Google", url, headers={}, data=b"x" * size
            )
        assert type(caught.value) is ProviderError
        return str(caught.value)

    @pytest.mark.parametrize(
        "serve",
        [
            dripping(b"HTTP/1.1 20", b"0"),
            dripping(HEADER + b"X-Long: ", b"x"),
            dripping(HEADER, b"X-Many: x\r\n"),
            dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            dripping(BODY, b" "),
            silent,
        ],
        ids=["status", "header", "headers", "continue", "body", "silence"],
    )
    def test_a_server_that_drips(self, serve: Any) -> None:
        with listening(serve) as address:
            assert self.ask(address) == "Google took too long to answer."

    def test_one_that_does_not_read(self) -> None:
        with listening(silent) as address:
            assert self.ask(address, size=2**25) == "Google took too long to answer."

    @pytest.mark.parametrize(
        "serve", [silent, dripping(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", b"x")]
    )
    def test_one_that_does_not_end_its_handshake(self, serve: Any) -> None:
        with listening(serve) as address:
            message = self.ask(address, "https")
        assert message.startswith(
            ("Google took too long to answer.", "Google cannot be reached (")
        )

    def test_no_thread_is_left(self, server: Vendor) -> None:
        Http(frozenset({server.url})).post("Google", server.url, headers={}, data=b"")
        with listening(silent) as address:
            self.ask(address)
        names = {thread.name for thread in threading.enumerate()}
        assert "flask-autotag-deadline" not in names


@pytest.mark.parametrize(
    "answer",
    [
        BODY,
        HEADER + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnot!",
        HEADER + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEADER + b"X-Long: " + b"x" * 2**17,
        HEADER + b"X-Many: x\r\n" * 1000,
        b"nonsense\r\n\r\n",
        b"",
    ],
    ids=["short", "no gzip", "no chunk", "long", "many", "no HTTP", "nothing"],
)
def test_an_answer_that_breaks_off_or_is_none(answer: bytes) -> None:
    def serve(visitor: socket.socket) -> None:
        visitor.recv(2**16)
        visitor.sendall(answer)

    with listening(serve) as address:
        url = f"http://{address}"
        with pytest.raises(ProviderError) as caught:
            Http(frozenset({url})).post("Google", url, headers={}, data=b"x")
    assert str(caught.value).startswith("Google cannot be reached (")


class TestAddresses:
    def ask(self, url: str) -> None:
        Http().post("Google", url, headers={"X-Goog-Api-Key": KEY}, data=b"x")

    def test_nobody_is_there(self, caplog: pytest.LogCaptureFixture) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(ProviderError) as caught:
                Http(frozenset({url})).post("Google", url, headers={}, data=b"")
        assert str(caught.value) == "Google cannot be reached (ConnectionError)."

    @pytest.mark.parametrize(
        "url",
        [
            "https://127.0.0.1/",
            "https://localhost/",
            "https://169.254.169.254/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://10.1.2.3/",
            "https://192.168.1.1/",
            "https://172.16.0.1/",
            "https://100.64.0.1/",
        ],
    )
    def test_private_addresses(
        self, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.CRITICAL, "requests_hardened")
        with pytest.raises(ProviderRefused) as caught:
            self.ask(url)
        assert str(caught.value) == "Google's endpoint leads to a private address."

    def test_plain_http(self) -> None:
        with pytest.raises(ProviderRefused):
            self.ask("http://vision.googleapis.com/")

    def test_a_name_that_becomes_private(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The name is resolved once, for the connection."""
        hosts = []

        def lookup(host: str, port: int, **_: Any) -> list[Any]:
            hosts.append(host)
            address = "93.184.216.34" if len(hosts) > 1 else "10.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        with pytest.raises(ProviderRefused):
            self.ask("https://vision.googleapis.com/")
        assert hosts == ["vision.googleapis.com"]

    def test_a_name_that_becomes_private_later(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The connection goes to the address that was checked."""
        public, names, connected = "93.184.216.34", [], []

        def lookup(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
            if host != public:
                names.append(host)
            address = "10.0.0.1" if len(names) > 1 else public
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        def connect(_: socket.socket, address: Any) -> None:
            connected.append(address)
            raise ConnectionRefusedError

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        monkeypatch.setattr(socket.socket, "connect", connect)
        with pytest.raises(ProviderError):
            self.ask("https://vision.googleapis.com/")
        assert names == ["vision.googleapis.com"]
        assert connected == [(public, 443)]

    def test_an_origin_that_is_allowed_is_only_that_one(self, server: Vendor) -> None:
        http = Http(frozenset({server.url}))
        http.post("Google", f"{server.url}/x", headers={}, data=b"")
        with pytest.raises(ProviderError):
            http.post(
                "Google", server.url.replace("http", "https"), headers={}, data=b""
            )
        with pytest.raises(ProviderError):
            http.post(
                "Google",
                server.url.replace("//", "//u:p@"),
                headers={},
                data=b"",
            )
        assert len(server.requests) == 1

    def test_no_proxy_of_the_environment_gets_it(
        self, server: Vendor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        server.answer = Answer(body=json.loads("{}"))
        reply = Http(frozenset({server.url})).post(
            "Google", server.url, headers={}, data=b""
        )
        assert reply.status == 200
