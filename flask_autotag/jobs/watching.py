"""Jobs for the objects of watched models that a flush inserts, updates or deletes.

``outbox`` and ``upload_errors`` are imported at the first event: a host that only
starts does not need them.
"""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, has_app_context
from sqlalchemy import Connection, event, inspect
from sqlalchemy.orm import object_session

from ..host.assets import DEFAULT_INSTANCE, Upload, mapper_of
from ..host.hooks import Hooks
from ..host.watches import Watch
from ..runtime.applications import Applications

logger = logging.getLogger(__name__)


class ModelEvents:
    """Listens to the mapper events of watched models, for several applications.

    A class that is listened to twice gets each event once: the listeners are methods
    of one object.
    """

    def __init__(self, applications: Applications, hooks: Hooks) -> None:
        self._applications = applications
        self._hooks = hooks
        self._reported: set[type[Any]] = set()

    def listen(self, model: type[Any]) -> None:
        """Listen to a mapped class, all its base classes and their subclasses.

        Of two watched classes of one hierarchy, none is listened to twice.
        """
        base = mapper_of(model).base_mapper.class_
        event.listen(base, "after_insert", self._on_insert, propagate=True)
        event.listen(base, "after_update", self._on_update, propagate=True)
        # Before: afterwards an expired attribute cannot tell the instance any more.
        event.listen(base, "before_delete", self._on_delete, propagate=True)

    def _on_insert(self, _mapper: Any, connection: Connection, target: Any) -> None:
        self._handle_all(target, connection, is_new=True)

    def _on_update(self, _mapper: Any, connection: Connection, target: Any) -> None:
        # SQLAlchemy updates the row if a flush deletes an object and adds another with
        # its key.
        is_new = not inspect(target).has_identity
        self._handle_all(target, connection, is_new=is_new)

    def _on_delete(self, _mapper: Any, connection: Connection, target: Any) -> None:
        from . import outbox

        watches = self._hooks.watches.of(target)
        app = self._find_application(watches[0]) if watches else None
        if app is not None:
            outbox.forget(app, self._applications.state_of(app), target, connection)

    def _handle_all(self, target: Any, connection: Connection, *, is_new: bool) -> None:
        """Queue the images of an object that are new, or that are ready now."""
        from . import outbox

        watches = self._hooks.watches.of(target)
        for watch in watches:
            self._handle(target, watch, connection, is_new=is_new)
        app = self._find_application(watches[0]) if is_new and watches else None
        if app is not None:
            state = self._applications.state_of(app)
            watched = [watch.asset_type for watch in watches]
            outbox.forget_former(app, state, target, watched, connection)

    def _handle(
        self, target: Any, watch: Watch, connection: Connection, *, is_new: bool
    ) -> None:
        """Queue an image of an object that is new, or that is ready now."""
        from . import outbox, upload_errors

        changed = is_new or _has_changed(target, watch)
        if not changed and watch.when is None:
            return
        app = self._find_application(watch)
        if app is None:
            return
        state, session = self._applications.state_of(app), object_session(target)
        with upload_errors.reporting(
            app, state, target, DEFAULT_INSTANCE, session, name=watch.name
        ):
            tenant = watch.instance(target)
            upload = Upload(target, instance=tenant, name=watch.name)
            if watch.is_ready(target):
                outbox.submit(
                    *(app, state, upload, session, connection),
                    unless_known=not changed,
                    is_new=is_new,
                )
            elif changed:
                outbox.hold_back(app, state, upload, connection, is_new=is_new)

    def _find_application(self, watch: Watch) -> Flask | None:
        """Return the current application, if it is served.

        Log, once for each model, that there is no application context.
        """
        if not has_app_context() and watch.model not in self._reported:
            self._reported.add(watch.model)
            logger.warning(
                "A session wrote a %s outside an application context: its image is not"
                " tagged, and the tags of a deleted one stay. Write inside 'with"
                " app.app_context():'; 'flask autotag tag-untagged' tags the images"
                " that were missed.",
                watch.model.__name__,
            )
        return self._applications.find()


def _has_changed(target: Any, watch: Watch) -> bool:
    """Return whether a flush has changed an attribute that identifies the image."""
    attributes = inspect(target).attrs
    return any(attributes[name].history.has_changes() for name in watch.columns)
