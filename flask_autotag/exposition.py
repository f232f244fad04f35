"""Where metrics are served: by the host, or by a worker."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import Response, current_app, request
from flask.typing import ResponseReturnValue

from .admin.access import VIEW_METRICS, admit
from .assets import SYSTEM
from .errors import ConfigurationError

if TYPE_CHECKING:
    from flask import Flask
    from prometheus_client import CollectorRegistry

logger = logging.getLogger(__name__)


def register_metrics(
    app: Flask, path: str | None, others: Mapping[str, str | None]
) -> None:
    """Serve metrics from the host, to whom its authorizer lets.

    :param path: ``None`` for not at all.
    :param others: what else is where, by the key that says so.
    :raises ConfigurationError: if both are at the same address, or the extra is
        missing.
    """
    if path is None:
        return
    for key, other in others.items():
        if path == other:
            raise ConfigurationError(
                f"AUTOTAG_METRICS must not be {path!r}, which is {key} too: use another"
                " path."
            )
    _require("AUTOTAG_METRICS is set.")
    app.add_url_rule(path, "autotag_metrics", _view, methods=["GET"])


@contextmanager
def serving(app: Flask, host: str, port: int) -> Iterator[None]:
    """Serve the metrics of this process during the block, to everybody who can connect.

    :param host: the address to listen at, such as ``127.0.0.1``.
    :param port: 0 for any that is free.
    :raises ConfigurationError: if that is not possible, or the extra is missing.
    """
    _require("--metrics was given.")
    from prometheus_client import ProcessCollector, start_http_server

    registry = _registry(app)
    ProcessCollector(registry=registry)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigurationError(
            f"Metrics cannot be served at {_address(host, port)}: {error.strerror}."
        ) from error
    logger.info("Metrics are at http://%s/metrics.", _address(host, server.server_port))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _view() -> ResponseReturnValue:
    refusal = admit(VIEW_METRICS, SYSTEM, "Your account may not see metrics.")
    if refusal is not None:
        return refusal
    from prometheus_client.exposition import choose_encoder

    app = current_app._get_current_object()  # type: ignore[attr-defined]
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    response = Response(encode(_registry(app)), content_type=content_type)
    response.cache_control.no_store = True
    return response


def _registry(app: Flask) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry

    from .metrics import AutoTagCollector

    registry = CollectorRegistry()
    registry.register(AutoTagCollector(app.extensions["autotag"], app))
    return registry


def _require(why: str) -> None:
    """Refuse to go on without the extra."""
    try:
        from . import metrics  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(f"{why} {error}") from None


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
