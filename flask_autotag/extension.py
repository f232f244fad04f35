"""The extension: what a host's code calls."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from blinker import Signal
from flask import Flask, current_app, has_app_context, request_started
from sqlalchemy import MetaData, event, inspect
from sqlalchemy.orm import Session
from werkzeug.local import LocalProxy

from .admin import register_pages
from .api import TagAPI
from .assets import (
    DEFAULT_INSTANCE,
    ImageSource,
    Upload,
    check_columns,
    mapper_of,
    type_of,
)
from .cli import autotag_cli
from .config import read_config, refuse_unknown
from .database import (
    Database,
    HostDatabase,
    OwnDatabase,
    track_writes,
)
from .errors import ConfigurationError
from .exposition import register_metrics
from .hooks import HookRegistry, Watch, checked_hook
from .jobs import outbox
from .jobs.runners import make_runner
from .models import Models, create_models, models_of
from .providers.registry import sections
from .rest import register_api
from .sandbox.pool import Pool
from .settings.resolution import check_choices, read_config_layer
from .signals import image_uploaded
from .state import State

logger = logging.getLogger(__name__)

T = TypeVar("T")
Adapter = Callable[..., Upload | Iterable[Upload] | None]

#: Child processes that decode and classify, in each process of the host.
_CHILDREN = 1


class AutoTag(HookRegistry, TagAPI):
    """Tags the images that are uploaded to an application.

    One object may serve several applications; each has its own configuration,
    tables and queue. Code that is registered on the object (:meth:`image_loader`,
    :meth:`watch`, :meth:`connect`) serves all of them.

    :param app: initialise this application at once; else call :meth:`init_app`.
    :param db: the host's Flask-SQLAlchemy or Flask-SQLAlchemy-Lite object. Found by
        itself where the host has registered one on the application before.
    :param models: what :func:`create_models` returned, where the host wants a
        schema, classes of its own, or uses Flask-SQLAlchemy-Lite.
    """

    def __init__(
        self, app: Flask | None = None, *, db: Any = None, models: Models | None = None
    ) -> None:
        super().__init__()
        self._db = db
        self._models = models
        self._states: weakref.WeakKeyDictionary[Flask, State] = (
            weakref.WeakKeyDictionary()
        )
        self._forgotten: weakref.WeakSet[Flask] = weakref.WeakSet()
        image_uploaded.connect(self._on_image_uploaded)
        if app is not None:
            self.init_app(app)

    def init_app(
        self, app: Flask, *, db: Any = None, models: Models | None = None
    ) -> None:
        """Prepare an application. Nothing is started, and no table is made.

        :param app: the application.
        :param db: overrides the constructor's.
        :param models: overrides the constructor's.
        :raises ConfigurationError: if the application has an extension of this name
            already, if an ``AUTOTAG_*`` key is unknown or wrong, or if the database
            is not there yet.
        """
        if "autotag" in app.extensions:
            raise ConfigurationError("AutoTag.init_app was called for this app before.")
        state = self._make_state(app, db or self._db, models or self._models)
        self._states[app] = state
        app.extensions["autotag"] = self
        state.runner.prepare(app, state)
        app.cli.add_command(autotag_cli)
        register_pages(app, state.config.url_prefix)
        register_api(app, state.config.api, state.config.url_prefix)
        register_metrics(
            app,
            state.config.metrics,
            {
                "AUTOTAG_URL_PREFIX": state.config.url_prefix,
                "AUTOTAG_API": state.config.api,
            },
        )
        request_started.connect(self._on_request_started, app)
        weakref.finalize(app, _shut_down, state)

    def connect(self, signal: Signal, adapter: Adapter) -> None:
        """Tag what another signal of the host tells of.

        :param signal: any blinker signal.
        :param adapter: called with the sender and the signal's arguments; returns an
            :class:`Upload`, several, or ``None`` if there is nothing to tag. It is
            called in an application context. What it raises is logged; the host does
            not notice.
        """

        def receive(sender: Any, **arguments: Any) -> None:
            app = self._app_of(sender)
            if app is None:
                return
            with (
                outbox.reporting(app, sender, DEFAULT_INSTANCE),
                outbox.context_of(app),
            ):
                for upload in _uploads(adapter(sender, **arguments)):
                    outbox.submit(app, self._states[app], upload)

        # Nothing else holds the function.
        signal.connect(receive, weak=False)

    def watch(
        self,
        model: type[T],
        image: Callable[[T], ImageSource],
        instance: Callable[[T], str] | str = DEFAULT_INSTANCE,
        *,
        columns: Iterable[str] = (),
    ) -> None:
        """Tag every object of a model once it is committed, without any signal.

        Objects that are inserted through a session are seen; those of a bulk
        INSERT, which makes no objects, are not. When one is deleted through a
        session, its tags go with it.

        :param model: a mapped class; its subclasses are watched too.
        :param image: gets the object, in a worker, and returns its image: a path,
            bytes or a binary file, which is closed afterwards.
        :param instance: the tenant, or a function of the object that finds it.
        :param columns: the attributes that say which image it is. When one of them
            changes, the object is tagged again; without any, an image that replaces
            another has to be told by :data:`image_uploaded`.
        :raises AssetError: if *model* is not mapped, or has no such attribute.
        :raises ConfigurationError: if *image* or *instance* cannot be called so.
        """
        checked_hook("image", image, "photo")
        if not isinstance(instance, str):
            checked_hook("instance", instance, "photo")
        find_instance = instance if callable(instance) else lambda _: instance
        mapper = mapper_of(model)
        watch = Watch(model, image, find_instance, check_columns(mapper, columns))
        self._hooks.watches[type_of(mapper)] = watch
        event.listen(model, "after_insert", self._on_insert, propagate=True)
        event.listen(model, "after_update", self._on_update, propagate=True)
        event.listen(model, "after_delete", self._on_delete, propagate=True)

    def create_tables(self) -> None:
        """Create those of the extension's tables that do not exist, and no others.

        The same as ``flask autotag init-db``.
        """
        self._state().database.create_tables()

    @property
    def models(self) -> Models:
        """The mapped classes of the current application."""
        return self._state().database.models

    def state_of(self, app: Flask) -> State:
        """Give what is kept for an application; for the extension's own parts.

        :raises ConfigurationError: if :meth:`init_app` was not called for it.
        """
        try:
            return self._states[app]
        except KeyError:
            raise ConfigurationError(
                f"AutoTag was not initialised for the application {app.name!r}. Did"
                " you forget to call init_app?"
            ) from None

    def _make_state(self, app: Flask, db: Any, models: Models | None) -> State:
        refuse_unknown(app.config, sections())
        config = read_config(app.config)
        all_sections = sections(config.allowed_origins)
        config_layer = read_config_layer(all_sections, app.config)
        check_choices(all_sections, config_layer, config.model_dir)
        return State(
            config=config,
            sections=all_sections,
            config_layer=config_layer,
            database=_make_database(app, db, models),
            hooks=self._hooks,
            children=Pool(_CHILDREN, config.timeout, config.memory_limit),
            runner=make_runner(config.runner),
        )

    def _app_of(self, sender: Any) -> Flask | None:
        """Find the application that a signal is about, if it is one of ours."""
        if isinstance(sender, LocalProxy):
            sender = sender._get_current_object()
        if not isinstance(sender, Flask):
            if not has_app_context():
                return None
            sender = current_app._get_current_object()  # type: ignore[attr-defined]
        return sender if sender in self._states else None

    def _on_image_uploaded(
        self,
        sender: Any,
        asset: object = None,
        image: ImageSource | None = None,
        instance: str | None = None,
        session: Session | None = None,
        bulk: bool = False,
        **other: Any,
    ) -> None:
        app = self._app_of(sender)
        if app is None:
            self._tell_forgotten(sender)
        else:
            if other:
                logger.warning(
                    "image_uploaded was sent with %s, which it does not know: it takes"
                    " asset, image, instance, session and bulk.",
                    ", ".join(sorted(other)),
                )
            upload = Upload(asset, image, instance or DEFAULT_INSTANCE, bulk)
            outbox.submit(app, self._states[app], upload, session)

    def _tell_forgotten(self, sender: Any) -> None:
        """Log, once, that an upload came from an application without the extension."""
        if isinstance(sender, LocalProxy):
            sender = sender._get_current_object()
        if isinstance(sender, Flask) and "autotag" not in sender.extensions:
            if sender not in self._forgotten:
                logger.error(
                    "image_uploaded was sent by the application %r, for which AutoTag"
                    " was not initialised: nothing is tagged. Did you forget to call"
                    " init_app?",
                    sender.name,
                )
            self._forgotten.add(sender)

    def _on_request_started(self, app: Flask, **_other: Any) -> None:
        self._states[app].runner.start(app, self._states[app])

    def _on_insert(self, _mapper: Any, _connection: Any, target: Any) -> None:
        self._submit_watched(target, lambda _: True)

    def _on_update(self, _mapper: Any, _connection: Any, target: Any) -> None:
        attributes = inspect(target).attrs
        self._submit_watched(
            target,
            lambda watch: any(
                attributes[name].history.has_changes() for name in watch.columns
            ),
        )

    def _submit_watched(self, target: Any, concerns: Callable[[Watch], bool]) -> None:
        app = self._app_of(target)
        if app is None:
            return
        state = self._states[app]
        with outbox.reporting(app, target, DEFAULT_INSTANCE):
            watch = self._hooks.watches[type_of(inspect(target).mapper)]
            if concerns(watch):
                upload = Upload(target, instance=watch.instance(target))
                outbox.submit(app, state, upload)

    def _on_delete(self, _mapper: Any, _connection: Any, target: Any) -> None:
        app = self._app_of(target)
        if app is None:
            return
        with outbox.reporting(app, target, DEFAULT_INSTANCE):
            self.forget(target)


def _make_database(app: Flask, db: Any, models: Models | None) -> Database:
    db = db or app.extensions.get("sqlalchemy")
    if db is None:
        path = os.path.join(app.instance_path, "autotag.sqlite")
        if models is not None:
            return OwnDatabase(path, models)
        return OwnDatabase(path, create_models(MetaData()), _refuse_late(app))
    database = HostDatabase(db, models or models_of(_metadata(db)))
    try:
        with app.app_context():
            track_writes(database.engine)
    except (KeyError, RuntimeError) as error:
        raise ConfigurationError(
            "The database is not set up for this app yet: call db.init_app(app) before"
            " AutoTag.init_app(app)."
        ) from error
    return database


def _refuse_late(app: Flask) -> Callable[[], None]:
    """Make what refuses a file of our own in a host that has a database after all."""
    held = weakref.ref(app)

    def check() -> None:
        late = held()
        if late is not None and "sqlalchemy" in late.extensions:
            raise ConfigurationError(
                "SQLAlchemy was initialised for this app after AutoTag, which therefore"
                " knows nothing of the host's database: call AutoTag(app) or"
                " autotag.init_app(app) after db.init_app(app)."
            )

    return check


def _metadata(db: Any) -> MetaData:
    metadata = getattr(db, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise ConfigurationError(
            f"{type(db).__name__} has no metadata to put the tables on: pass"
            " AutoTag(models=create_models(Base.metadata))."
        )
    return metadata


def _uploads(adapted: Upload | Iterable[Upload] | None) -> Iterable[Upload]:
    if adapted is None:
        return ()
    return (adapted,) if isinstance(adapted, Upload) else adapted


def _shut_down(state: State) -> None:
    state.runner.stop()
    state.children.close()
