"""Serves metrics from the host or from a worker."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import Response, request
from flask.typing import ResponseReturnValue

from ..errors import ConfigurationError
from ..host.application import current_application
from ..host.assets import SYSTEM
from .access import VIEW_METRICS, check_access

if TYPE_CHECKING:
    from flask import Flask
    from prometheus_client import CollectorRegistry

logger = logging.getLogger(__name__)


def register_metrics(
    app: Flask, name: str, path: str | None, others: Mapping[str, str | None]
) -> None:
    """Serve metrics from the host to the users that its authorizer admits.

    :param name: the beginning of the endpoint's name.
    :param path: ``None`` to serve none.
    :param others: the paths of the pages and the API, by configuration key.
    :raises ConfigurationError: if the path is used already, or the extra ``metrics`` is
        not installed.
    """
    if path is None:
        return
    for key, other in others.items():
        if path == other:
            raise ConfigurationError(
                f"AUTOTAG_METRICS must not be {path!r}, which is also {key}: use"
                " another path."
            )
    _require("AUTOTAG_METRICS is set.")
    app.add_url_rule(path, f"{name}_metrics", _view, methods=["GET"])


@contextmanager
def serving(app: Flask, host: str, port: int) -> Iterator[None]:
    """Serve the metrics of this process during the block, without authorization.

    :param host: the address to listen at, such as ``127.0.0.1``.
    :param port: 0 for any free port.
    :raises ConfigurationError: if the address cannot be listened at, or the extra
        ``metrics`` is not installed.
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
    refusal = check_access(VIEW_METRICS, SYSTEM, "Your account may not see metrics.")
    if refusal is not None:
        return refusal
    from prometheus_client.exposition import choose_encoder

    app = current_application()
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    response = Response(encode(_registry(app)), content_type=content_type)
    response.cache_control.no_store = True
    return response


def _registry(app: Flask) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry

    from ..monitoring.metrics import AutoTagCollector

    registry = CollectorRegistry()
    registry.register(AutoTagCollector(app.extensions["autotag"], app))
    return registry


def _require(why: str) -> None:
    """Raise a :exc:`.ConfigurationError` if the extra is not installed."""
    try:
        from ..monitoring import metrics  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(f"{why} {error}") from None


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
