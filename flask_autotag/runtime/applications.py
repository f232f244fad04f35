"""The applications that one extension object serves."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING

from flask import Flask, has_app_context
from werkzeug.local import LocalProxy

from ..errors import ConfigurationError
from ..host.application import current_application

if TYPE_CHECKING:
    from .state import State

logger = logging.getLogger(__name__)


class Applications:
    """The state of each initialised application, for as long as the host keeps it."""

    def __init__(self) -> None:
        self._states: weakref.WeakKeyDictionary[Flask, State] = (
            weakref.WeakKeyDictionary()
        )
        self._reported: weakref.WeakSet[Flask] = weakref.WeakSet()

    def add(self, app: Flask, state: State) -> None:
        """Serve an application from now on."""
        self._states[app] = state

    def state_of(self, app: Flask) -> State:
        """Return the state of an application.

        :raises ConfigurationError: if ``init_app`` was not called for it.
        """
        try:
            return self._states[app]
        except KeyError:
            raise ConfigurationError(
                f"AutoTag was not initialised for the application {app.name!r}. Did"
                " you forget to call init_app?"
            ) from None

    def find(self, sender: object = None) -> Flask | None:
        """Return the application that a signal or event is about, if it is served.

        :param sender: the application or its proxy; anything else stands for the
            current application.
        """
        app = _unwrapped(sender)
        if not isinstance(app, Flask):
            if not has_app_context():
                return None
            app = current_application()
        return app if app in self._states else None

    def report_uninitialised(self, sender: object) -> None:
        """Log, once, that an upload came from an application without the extension."""
        app = _unwrapped(sender)
        if not isinstance(app, Flask) or "autotag" in app.extensions:
            return
        if app not in self._reported:
            logger.error(
                "image_uploaded was sent by the application %r, for which AutoTag was"
                " not initialised: nothing is tagged. Did you forget to call init_app?",
                app.name,
            )
        self._reported.add(app)


def _unwrapped(sender: object) -> object:
    if isinstance(sender, LocalProxy):
        return sender._get_current_object()
    return sender
