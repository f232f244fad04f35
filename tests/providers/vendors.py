"""A server on this machine that answers like a vendor and records requests."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Recorded:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """A response of the server."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Writes the body itself, such as slowly.
    write: Callable[[Any], None] | None = None


@dataclass
class Vendor:
    """The server."""

    url: str
    answer: Answer | Callable[[Recorded], Answer] = field(default_factory=Answer)
    requests: list[Recorded] = field(default_factory=list)


@contextmanager
def vendor() -> Iterator[Vendor]:
    """Run a server on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            recorded = Recorded(
                "POST",
                parts.path,
                dict(parse_qsl(parts.query)),
                {name.lower(): value for name, value in self.headers.items()},
                self._body(),
            )
            served.requests.append(recorded)
            answer = served.answer
            self._send(answer(recorded) if callable(answer) else answer)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _send(self, answer: Answer) -> None:
            body = answer.body
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.write is None:
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                else:
                    self.send_header("Connection", "close")
                    self.end_headers()
                    answer.write(self.wfile)
                    self.close_connection = True
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    served = Vendor(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def drip(file: Any) -> None:
    """Write a byte at intervals, for ever."""
    while True:
        file.write(b" ")
        file.flush()
        time.sleep(0.05)


def flood(file: Any) -> None:
    """Write for as long as the client reads."""
    while True:
        file.write(b" " * 2**16)


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that calls *serve* for its first connection.

    :return: its host and port.
    """
    server = socket.create_server(("127.0.0.1", 0))
    opened = [server]

    def run() -> None:
        with suppress(OSError):
            visitor, _ = server.accept()
            opened.append(visitor)
            with visitor:
                serve(visitor)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        for each in opened:
            # Wake up a blocked accept().
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


def dripping(beginning: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    """Send *beginning*, and then a byte at intervals, for ever."""

    def serve(visitor: socket.socket) -> None:
        visitor.sendall(beginning)
        while True:
            visitor.sendall(drop)
            time.sleep(0.05)

    return serve


def silent(visitor: socket.socket) -> None:
    """Neither read nor write until the client disconnects."""
    poll = select.poll()
    poll.register(visitor, select.POLLRDHUP | select.POLLHUP)
    poll.poll()
