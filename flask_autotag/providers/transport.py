"""Sessions of ``requests`` whose connections are cut at a deadline.

The timeout of a socket starts again with each packet, so a server that sends its
headers byte by byte could hold a worker for ever.
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
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.connectionpool import HTTPConnectionPool

from .addresses import is_special


class Deadline:
    """Cuts the connections of one exchange when its time is over.

    A context manager; its thread ends with the block.

    :param seconds: the time, counted from the creation of the object.
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
        """Whether the time ran out before the block ended."""
        # A socket may time out before the timer thread is scheduled.
        return self._over or time.monotonic() >= self._end

    @property
    def has_connected(self) -> bool:
        """Whether a connection was made; without one, nothing was sent."""
        return bool(self._sockets)

    def watch(self, connected: socket.socket) -> None:
        """Cut this connection at the deadline, or at once if that is over."""
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
        # The TLS method would change the object that another thread reads from.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Passes every new connection to a deadline."""

    def __init__(self, deadline: Deadline, **options: Any) -> None:
        self._deadline = deadline
        super().__init__(**options)

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Return the connection pool, which belongs to this session alone."""
        pool = super().get_connection_with_tls_context(*args, **options)
        pool.ConnectionCls = _watched(pool, self._deadline)
        return pool


class _FilteringAdapter(_Adapter, IPFilterAdapter):  # type: ignore[misc]
    """Also refuses every address that is not public."""

    def build_connection_pool_key_attributes(
        self, *args: Any, **options: Any
    ) -> tuple[Any, Any]:
        """Resolve the host, so that the pool connects to the checked address.

        :raises InvalidIPAddress: if the address is not public.
        """
        host, pool = super().build_connection_pool_key_attributes(*args, **options)
        if is_special(host["host"]):
            raise InvalidIPAddress(host["host"])
        return host, pool


def _watched(pool: HTTPConnectionPool, deadline: Deadline) -> type[Any]:
    base: type[Any] = pool.ConnectionCls

    class Watched(base):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            deadline.watch(self.sock)

    return Watched


def plain_session(deadline: Deadline) -> Session:
    """Return a session that may connect to any address."""
    session = Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(deadline))
    return session


def guarded_session(deadline: Deadline, timeout: tuple[float, float]) -> Session:
    """Return a session that connects only to public addresses, with TLS.

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
