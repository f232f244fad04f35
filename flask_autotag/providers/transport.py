"""Sessions of ``requests`` whose connections are cut when their time is over.

Timeouts of sockets begin anew with each packet, so a server that sends a byte of its
headers now and then would keep us for ever.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Any

from requests import Session
from requests.adapters import HTTPAdapter
from requests_hardened import Config, Manager
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.connectionpool import HTTPConnectionPool


class Deadline:
    """Cuts the connections of one exchange, from a thread that ends with the block.

    :param seconds: after which it does.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.name, self._timer.daemon = "flask-autotag-deadline", True
        self._sockets: list[socket.socket] = []
        self._over = False
        self._lock = threading.Lock()

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._timer.join()

    @property
    def is_over(self) -> bool:
        """Whether the time was over before the block was."""
        # A socket may notice before the thread is scheduled.
        return self._over or time.monotonic() >= self._end

    @property
    def has_connected(self) -> bool:
        """Whether any connection came about; before, nothing of a request is sent."""
        return bool(self._sockets)

    def watch(self, connected: socket.socket) -> None:
        """Cut this connection too; at once if the time is over."""
        with self._lock:
            self._sockets.append(connected)
            if self._over:
                _shut_down(connected)

    def _cut(self) -> None:
        with self._lock:
            self._over = True
            for connected in self._sockets:
                _shut_down(connected)


def _shut_down(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not the method of TLS, which changes what another thread is reading from.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Lets a deadline watch every connection."""

    def __init__(self, deadline: Deadline, **options: Any) -> None:
        self._deadline = deadline
        super().__init__(**options)

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Give the pool, which is made for this session alone."""
        pool = super().get_connection_with_tls_context(*args, **options)
        pool.ConnectionCls = _watched(pool, self._deadline)
        return pool


class _FilteringAdapter(_Adapter, IPFilterAdapter):  # type: ignore[misc]
    """The same, and refuses private addresses."""


def _watched(pool: HTTPConnectionPool, deadline: Deadline) -> type[Any]:
    made: type[Any] = pool.ConnectionCls

    class Watched(made):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            deadline.watch(self.sock)

    return Watched


def plain_session(deadline: Deadline) -> Session:
    """Make a session that may connect to anything."""
    session = Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(deadline))
    return session


def guarded_session(deadline: Deadline, timeout: tuple[float, float]) -> Session:
    """Make a session that connects with TLS to public addresses alone.

    :param timeout: seconds to connect, and between two packets.
    """
    session: Session = Manager(
        Config(
            default_timeout=timeout,
            never_redirect=True,
            ip_filter_enable=True,
            ip_filter_allow_loopback_ips=False,
        )
    ).get_session()
    session.mount("https://", _FilteringAdapter(deadline, is_https_proto=True))
    return session
