"""The extension: what a host's code calls."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from blinker import Signal
from flask import Flask, current_app, has_app_context, request_started
from sqlalchemy import Connection, MetaData, Select, event, inspect
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper, Session
from werkzeug.local import LocalProxy

from . import query, store
from .admin import register_pages
from .assets import DEFAULT_INSTANCE, AssetRef, ImageSource, Upload, ref_of, type_of
from .cli import autotag_cli
from .config import read_config, refuse_unknown
from .database import (
    Database,
    HostDatabase,
    OwnDatabase,
    track_writes,
    writing_connection,
)
from .errors import AssetError, ConfigurationError, TransactionError
from .hooks import HookRegistry, Watch
from .jobs import outbox, queue
from .jobs.loading import load_asset
from .jobs.runners import make_runner
from .models import Models, create_models, models_of
from .providers.registry import sections
from .query import AppliedTag, TagCount
from .sandbox.pool import Pool
from .settings.resolution import check_choices, read_config_layer
from .signals import image_uploaded
from .sources import read
from .state import State

T = TypeVar("T")
Adapter = Callable[..., Upload | Iterable[Upload] | None]

#: Child processes that decode and classify, in each process of the host.
_CHILDREN = 1


class AutoTag(HookRegistry):
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
        request_started.connect(self._on_request_started, app)
        weakref.finalize(app, _shut_down, state)

    def connect(self, signal: Signal, adapter: Adapter) -> None:
        """Tag what another signal of the host tells of.

        :param signal: any blinker signal.
        :param adapter: called with the sender and the signal's arguments; returns an
            :class:`Upload`, several, or ``None`` if there is nothing to tag. What it
            raises is logged; the host does not notice.
        """

        def receive(sender: Any, **arguments: Any) -> None:
            app = self._app_of(sender)
            if app is None:
                return
            with outbox.reporting(app, sender, DEFAULT_INSTANCE):
                for upload in _uploads(adapter(sender, **arguments)):
                    outbox.submit(app, self._states[app], upload)

        # Nothing else holds the function.
        signal.connect(receive, weak=False)

    def watch(
        self,
        model: type[T],
        image: Callable[[T], ImageSource],
        instance: Callable[[T], str] | str = DEFAULT_INSTANCE,
    ) -> None:
        """Tag every object of a model once it is committed, without any signal.

        Objects that are inserted through a session are seen; those of a bulk
        INSERT, which makes no objects, are not. When one is deleted through a
        session, its tags go with it.

        :param model: a mapped class; its subclasses are watched too.
        :param image: gets the object, in a worker, and returns its image: a path,
            bytes or a binary file.
        :param instance: the tenant, or a function of the object that finds it.
        :raises AssetError: if *model* is not mapped.
        """
        find_instance = instance if callable(instance) else lambda _: instance
        watch = Watch(model, image, find_instance)
        self._hooks.watches[type_of(_mapper(model))] = watch
        event.listen(model, "after_insert", self._on_insert, propagate=True)
        event.listen(model, "after_delete", self._on_delete, propagate=True)

    def tags_for(self, asset: object, instance: str | None = None) -> list[AppliedTag]:
        """Give the tags of an asset: those that people added, then the surest first.

        Like the other questions, it is asked in the host's session, and sees what
        the transaction of that sees.

        :param asset: a model instance, or an :class:`AssetRef`.
        :param instance: the tenant; ``None`` for any.
        :raises AssetError: if *asset* cannot be named.
        """
        state = self._state()
        with _reading(state.database) as session:
            return query.tags_for(
                session, state.database.models, _saved(asset), instance
            )

    def tag_counts(
        self, instance: str | None = None, limit: int | None = None
    ) -> list[TagCount]:
        """Count the assets of each tag, the most used tags first.

        :param instance: the tenant; ``None`` for all.
        :param limit: how many tags at most.
        """
        state = self._state()
        with _reading(state.database) as session:
            return query.tag_counts(session, state.database.models, instance, limit)

    def select(
        self,
        model: type[T],
        all_of: Iterable[str] = (),
        any_of: Iterable[str] = (),
        none_of: Iterable[str] = (),
        instance: str | None = None,
    ) -> Select[T]:
        """Select the objects of a model by their tags.

        Case does not matter. The result is a SQLAlchemy ``Select`` for the host to
        filter, order and page on.

        :param model: a mapped class.
        :param all_of: tags that an object must have.
        :param any_of: tags of which it must have one.
        :param none_of: tags that it must not have.
        :param instance: the tenant whose tags count; ``None`` for any.
        :raises AssetError: if *model* is not mapped or has a composite key.
        """
        _mapper(model)
        database = self._state().database
        return query.select_tagged(
            database.models,
            model,
            database.engine.dialect.name,
            all_of=all_of,
            any_of=any_of,
            none_of=none_of,
            instance=instance,
        )

    def tag_now(
        self,
        asset: object,
        image: ImageSource | None = None,
        instance: str = DEFAULT_INSTANCE,
    ) -> list[AppliedTag]:
        """Tag an asset before returning. It takes the time of a classification.

        :param asset: a model instance that is committed, or an :class:`AssetRef`.
        :param image: its image; by default found by :meth:`watch`'s function or the
            image loader.
        :param instance: the tenant.
        :return: its tags, as :meth:`tags_for` gives them.
        :raises TaggingError: if it could not be tagged.
        :raises TransactionError: if the host's session has uncommitted writes, which
            would be locked while the image is classified.
        """
        state, ref = self._state(), _saved(asset)
        database, models = state.database, state.database.models
        _refuse_open_writes(database)
        if image is None:
            data = load_asset(state, ref)
        else:
            data = read(image, state.config.max_image_bytes)
        settings = state.settings_for(instance)
        # Here and not above: a host that starts asks nobody yet.
        from . import remote

        classified = remote.classify(self._app(), state, instance, data, settings)
        with database.begin() as session:
            entry = store.Entry(ref, instance, classified, settings)
            store.store(session, models, [entry])
            return query.tags_for(session, models, ref, instance)

    def forget(self, asset: object) -> None:
        """Delete what is stored of an asset, and its jobs, in every instance.

        Like a job, it joins the host's transaction if that has uncommitted writes.

        :param asset: a model instance, or an :class:`AssetRef`.
        """
        ref, database = _saved(asset), self._state().database
        connection = writing_connection(
            database.host_session(), database.models.job.__table__
        )
        if connection is not None:
            _forget(connection, database, ref)
        else:
            with database.begin() as own:
                _forget(own.connection(), database, ref)

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

    def _app(self) -> Flask:
        return current_app._get_current_object()  # type: ignore[attr-defined, no-any-return]

    def _state(self) -> State:
        return self.state_of(self._app())

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
            pool=Pool(_CHILDREN, config.timeout, config.memory_limit),
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
        **_other: Any,
    ) -> None:
        app = self._app_of(sender)
        if app is not None:
            upload = Upload(asset, image, instance or DEFAULT_INSTANCE, bulk)
            outbox.submit(app, self._states[app], upload, session)

    def _on_request_started(self, app: Flask, **_other: Any) -> None:
        self._states[app].runner.start(app, self._states[app])

    def _on_insert(self, _mapper: Any, _connection: Any, target: Any) -> None:
        app = self._app_of(target)
        if app is None:
            return
        state = self._states[app]
        with outbox.reporting(app, target, DEFAULT_INSTANCE):
            watch = self._hooks.watches[type_of(inspect(target).mapper)]
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
        return OwnDatabase(path, models or create_models(MetaData()))
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


def _metadata(db: Any) -> MetaData:
    metadata = getattr(db, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise ConfigurationError(
            f"{type(db).__name__} has no metadata to put the tables on: pass"
            " AutoTag(models=create_models(Base.metadata))."
        )
    return metadata


def _mapper(model: type[Any]) -> Mapper[Any]:
    try:
        mapper = inspect(model)
    except NoInspectionAvailable:
        mapper = None
    if not isinstance(mapper, Mapper):
        raise AssetError(f"{model!r:.80} is no mapped class.")
    return mapper


def _saved(asset: object) -> AssetRef:
    ref = ref_of(asset)
    if ref is None:
        raise AssetError(
            f"The {type(asset).__name__} was not saved yet: flush it first."
        )
    return ref


def _uploads(adapted: Upload | Iterable[Upload] | None) -> Iterable[Upload]:
    if adapted is None:
        return ()
    return (adapted,) if isinstance(adapted, Upload) else adapted


@contextlib.contextmanager
def _reading(database: Database) -> Iterator[Session]:
    """Give the host's session, so that a request needs no second connection."""
    session = database.host_session()
    if session is not None:
        yield session
    else:
        with database.begin() as own:
            yield own


def _refuse_open_writes(database: Database) -> None:
    table = database.models.job.__table__
    if writing_connection(database.host_session(), table) is not None:
        raise TransactionError(
            "The session has uncommitted writes: commit the upload before tag_now."
        )


def _forget(connection: Connection, database: Database, ref: AssetRef) -> None:
    queue.forget(connection, database.models, ref)
    store.forget(connection, database.models, ref)


def _shut_down(state: State) -> None:
    state.runner.stop()
    state.pool.close()
