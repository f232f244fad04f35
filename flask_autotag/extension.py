"""The extension: the object that a host's code calls.

Methods import the functions that they call: a host that starts needs few of them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask, request_started

from .cli.group import autotag_cli
from .db.host_database import find_database
from .errors import ConfigurationError
from .host.application import current_application
from .host.assets import (
    DEFAULT_INSTANCE,
    ByAsset,
    ImageSource,
    mapper_of,
)
from .host.hooks import Hooks, HookT
from .host.images import images_by_asset, images_of
from .host.signals import image_uploaded
from .jobs.runners import make_runner
from .jobs.watching import ModelEvents
from .providers.startup import read_app_config
from .runtime.applications import Applications
from .runtime.state import State
from .settings.config import Config
from .web.admin.registration import register_pages
from .web.metrics_endpoint import register_metrics
from .web.rest.registration import register_api

if TYPE_CHECKING:
    from blinker import Signal
    from sqlalchemy import ColumnElement, Connection, Select
    from sqlalchemy.orm import Mapper, Session

    from .classification.sandbox.pool import Pool
    from .db.models import Models
    from .jobs.many_assets import BulkResult
    from .jobs.receivers import Adapter
    from .settings.fields import Section
    from .tags.decisions import Source
    from .tags.explanation import Explanation
    from .tags.queries.applied_tags import AppliedTag, Preloaded
    from .tags.queries.progress import Progress
    from .tags.queries.tag_counts import TagCount

T = TypeVar("T")


class AutoTag:
    """Tags the images that are uploaded to an application.

    One object may serve several applications; each has its own configuration,
    tables and queue. Functions that are registered on the object
    (:meth:`image_loader`, :meth:`watch`, :meth:`connect`) serve all of them.

    **Setting up:** :meth:`init_app`, :meth:`connect`, :meth:`watch`,
    :meth:`create_tables` and the decorators from :meth:`image_loader` to
    :meth:`hidden_fields`. A decorator raises :exc:`ConfigurationError` for a function
    that cannot be called with the arguments it documents.

    **Reading,** from :meth:`tags_for` to :meth:`explain`, inside an application
    context. Queries run in *session*, by default the host's current one, and see what
    its transaction sees. In an asynchronous host, call them in
    ``AsyncSession.run_sync``. Names are found whatever their case, and under the name
    that the vocabulary gives them now.

    **Writing,** from :meth:`tag_now` to :meth:`forget`, inside an application context.
    Writes join the host's transaction if that has uncommitted writes, and are
    committed alone otherwise.

    :param app: initialise this application at once; otherwise call :meth:`init_app`.
    :param db: the host's Flask-SQLAlchemy or Flask-SQLAlchemy-Lite object; by default
        the one that is registered on the application.
    :param models: what :func:`create_models` returned, for a host that wants a schema
        or classes of its own, or uses Flask-SQLAlchemy-Lite.
    """

    def __init__(
        self, app: Flask | None = None, *, db: Any = None, models: Models | None = None
    ) -> None:
        self._db = db
        self._models = models
        self._hooks = Hooks()
        self._applications = Applications()
        self._model_events = ModelEvents(self._applications, self._hooks)
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
        self._applications.add(app, state)
        self._hooks.watches.allow_again()
        app.extensions["autotag"] = self
        state.runner.prepare(app, state)
        _register_web(app, state)
        app.cli.add_command(autotag_cli)
        request_started.connect(self._on_request_started, app)
        weakref.finalize(app, _shut_down, state)

    def connect(self, signal: Signal, adapter: Adapter) -> None:
        """Tag the uploads that another signal of the host reports.

        :param signal: any blinker signal.
        :param adapter: called in an application context with the sender and the
            signal's arguments; returns an :class:`Upload`, several, or ``None`` if
            there is nothing to tag. Its exceptions are logged and not raised, except an
            error of the database in a transaction that has uncommitted writes.
        """

        def receive(sender: Any, **arguments: Any) -> None:
            from .jobs.receivers import receive_other_signal

            receive_other_signal(self._applications, adapter, sender, **arguments)

        # Nothing else holds the function.
        signal.connect(receive, weak=False)

    def watch(
        self,
        model: type[T],
        image: Callable[[T], ImageSource | None],
        instance: Callable[[T], str] | str = DEFAULT_INSTANCE,
        *,
        columns: Iterable[str] = (),
        when: Callable[[T], object] | None = None,
        name: str | None = None,
    ) -> None:
        """Tag every object of a model once it is committed, without any signal.

        Only objects that a session inserts are tagged: a bulk INSERT creates no
        objects. If a session deletes an object, its tags in the tenant that *instance*
        names are deleted too. If a session inserts one whose key had another image,
        what is stored there for that image is deleted first. ``flask autotag
        forget-orphans`` finds the images of rows that were deleted otherwise.

        An object belongs to the watch of its class, or of the nearest base class that
        is watched. Several images of one row are watched by one call for each, with
        *name*; see :doc:`recipes/several_images`.

        :param model: a mapped class; its subclasses are watched too, but not those with
            concrete inheritance, which have a table of their own.
        :param image: takes the object, in a worker, and returns its image: a path,
            bytes or a binary file, which is closed afterwards; or ``None`` if it has no
            image now: then its tags of providers are deleted, and people's tags stay.
            ``LookupError`` means that the image should be there and is gone.
        :param instance: the tenant, or a function of the object that finds it.
        :param columns: the attributes that identify the image. If one of them changes,
            the object is tagged again. Without them, send :data:`image_uploaded` for a
            replaced image.
        :param when: takes the object, in the flush that writes it, and returns whether
            its image may be tagged. If it returns ``False``, nothing is queued, and
            existing tags stay. The image is tagged by the first update of the row for
            which it returns ``True``. By default all images are tagged at once.
        :param name: which image of the row, such as ``"cover"``: up to 40 letters,
            digits, underscores and hyphens. Its asset type is that of the model with
            ``#`` and the name, such as ``photo#cover``. The other functions of a named
            image are those of its own call.
        :raises AssetError: if *model* is not mapped, or has no such attribute, if the
            type of its primary key has no canonical text, if *name* is no name, or if
            another watch is about the same images: of another table with the same asset
            type, of another class of the table if ``polymorphic_on`` does not tell
            which class a row has, or of the same class with other arguments.
        :raises ConfigurationError: if *image*, *instance* or *when* cannot be called
            with an object.
        """
        self._hooks.watch(model, image, instance, columns, when, name)
        self._model_events.listen(model)

    def create_tables(self) -> None:
        """Create the tables of the extension that do not exist, and no others.

        The same as ``flask autotag init-db``.
        """
        self._state().database.create_tables()

    @property
    def models(self) -> Models:
        """The mapped classes of the current application."""
        return self._state().database.models

    def state_of(self, app: Flask) -> State:
        """Return the state of an application; for the extension's own packages.

        :raises ConfigurationError: if :meth:`init_app` was not called for it.
        """
        return self._applications.state_of(app)

    def image_loader(self, loader: HookT) -> HookT:
        """Register the function by which a worker, on any machine, reads an image.

        With a loader, no upload's bytes are kept in the database.

        :param loader: takes an :class:`AssetRef`; returns a path, bytes or a binary
            file, which is closed afterwards; or ``None`` if the asset has no image now,
            as for :meth:`watch`; raises ``LookupError`` if the asset is gone. It is
            called in an application context.
        :return: *loader*, so that this can decorate it.
        """
        return self._hooks.register("image_loader", loader, "asset")

    def authorizer(self, may: HookT) -> HookT:
        """Register the function that decides who may open the pages.

        Without it, nobody may.

        :param may: takes an action and an instance, and returns ``True`` if the user of
            the current request may do that. A response, such as a redirect to a page to
            sign in, is sent to the user. Anything else refuses. The instance is
            ``None`` for the system's own settings, which hold for all instances. The
            pages ask about ``"view_settings"``, ``"change_settings"``, ``"try_image"``
            and, for the tags of images, ``"review_tags"``, which implies none of the
            others; the JSON API asks about ``"view_tags"``, ``"review_tags"`` and
            ``"enqueue"``; the metrics endpoint asks about ``"view_metrics"``, of the
            system.
        :return: *may*.
        """
        return self._hooks.register("authorizer", may, "action", "instance")

    def instance_lister(self, lister: HookT) -> HookT:
        """Register the function that lists the instances.

        Without it, these are the instances with images.

        :param lister: returns their names; or a dictionary from names to the titles
            that people read.
        :return: *lister*.
        """
        return self._hooks.register("instance_lister", lister)

    def asset_lister(self, lister: HookT) -> HookT:
        """Register the function that lists all images, for commands that need them.

        Without it, these are the objects of watched models, read page by page.

        :param lister: yields one image after the other, best as a generator that reads
            some hundred at a time: an asset (a model instance or an
            :class:`AssetRef`), a pair of an asset and its instance, or an
            :class:`Upload`, which also holds the image. An asset alone belongs to the
            instance that :meth:`watch` finds for its model, otherwise to ``"default"``.
            A model instance, alone or in a pair, stands for all images that it is
            watched for.
            It is called in an application context of its own.
        :return: *lister*.
        """
        return self._hooks.register("asset_lister", lister)

    def user_namer(self, namer: HookT) -> HookT:
        """Register the function that names the current user, for the history.

        :param namer: returns a name, or ``None``.
        :return: *namer*.
        """
        return self._hooks.register("user_namer", namer)

    def image_url(self, find: HookT) -> HookT:
        """Register the function that returns the URL of a small picture of an asset.

        :param find: takes an :class:`AssetRef`; returns a URL of the host, or ``None``.
            The view at that URL decides who may see the picture.
        :return: *find*.
        """
        return self._hooks.register("image_url", find, "asset")

    def hidden_fields(self, make: HookT) -> HookT:
        """Register the function that returns hidden fields for every form.

        :param make: returns names and values, such as a token of the host. The host
            checks them before the extension gets the request.
        :return: *make*.
        """
        return self._hooks.register("hidden_fields", make)

    def tags_for(
        self,
        asset: object,
        instance: str | None = None,
        *,
        name: str | None = None,
        session: Session | None = None,
    ) -> list[AppliedTag]:
        """Return the tags of an asset: pinned ones, people's, then by confidence.

        :param asset: a model instance, or an :class:`AssetRef`.
        :param instance: the tenant; ``None`` for any.
        :param name: which image of the instance, if :meth:`watch` named several;
            ``None`` for all of them. A tag of several images is returned once, as its
            surest image has it.
        :param session: runs the query; by default the host's.
        :raises AssetError: if *asset* cannot be named, or has no image of that name.
        """
        from .tags.rules import APPLIED

        return self._tags_for(asset, instance, name, APPLIED, session)

    def suggestions_for(
        self,
        asset: object,
        instance: str | None = None,
        *,
        name: str | None = None,
        session: Session | None = None,
    ) -> list[AppliedTag]:
        """Return the tags that are suggested for an asset, by falling confidence.

        The parameters are those of :meth:`tags_for`.
        """
        from .tags.rules import SUGGESTED

        return self._tags_for(asset, instance, name, SUGGESTED, session)

    def preload(
        self,
        assets: object,
        instance: str | None = None,
        *,
        name: str | None = None,
        session: Session | None = None,
    ) -> Preloaded:
        """Return the tags of several assets, such as those of a page, by one query.

        ::

            tags = autotag.preload(photos)
            tags[photos[0]]

        :param assets: model instances or :class:`AssetRef`; or one of these alone.
        :param instance: as in :meth:`tags_for`, and so are the others.
        :return: the result of :meth:`tags_for` for each asset.
        :raises AssetError: if one of *assets* cannot be named, or has no image of that
            name.
        """
        from .tags.queries import applied_tags

        images = images_by_asset(assets, name)
        with self._reading(session) as (connection, models):
            return applied_tags.preload(connection, models, images, instance)

    def progress(
        self,
        assets: object,
        instance: str | None = None,
        *,
        name: str | None = None,
        session: Session | None = None,
    ) -> ByAsset[Progress]:
        """Return how far the tagging of several assets is, by one query.

        ::

            progress = autotag.progress(photos)
            progress[photos[0]].state       # "pending", "tagged", "failed", "untagged"

        :param assets: as in :meth:`preload`, and so are the others.
        :return: for each asset its :class:`Progress`.
        :raises AssetError: if one of *assets* cannot be named, or has no image of that
            name.
        """
        from .tags.queries import progress

        images = images_by_asset(assets, name)
        with self._reading(session) as (connection, models):
            return progress.progress(connection, models, images, instance)

    def select(
        self,
        model: type[T],
        all_of: Iterable[str] = (),
        any_of: Iterable[str] = (),
        none_of: Iterable[str] = (),
        instance: str | None = None,
        *,
        min_confidence: float | None = None,
        source: Source | None = None,
        narrower: bool = False,
        name: str | None = None,
        session: Session | None = None,
    ) -> Select[T]:
        """Select the objects of a model by their tags.

        The host can filter, order and page the returned ``Select`` of SQLAlchemy. Tags
        are looked up by this call: call it for each use.

        :param model: a mapped class, whatever its primary key.
        :param all_of: tags that an object must have.
        :param any_of: tags of which an object must have one.
        :param none_of: tags that an object must not have.
        :param instance: the tenant whose tags count; ``None`` for any.
        :param min_confidence: from 0 to 1, the least confidence of a provider in each
            tag; a person's decision counts as sure.
        :param source: ``"provider"`` or ``"person"``, to count only tags that were
            applied in this way.
        :param narrower: whether a tag also matches narrower tags, as *dog* matches
            *beagle*.
        :param name: the image that must have the tags, if :meth:`watch` named several
            for each object; ``None`` for any of them.
        :param session: runs the query for the tags; by default the host's.
        :raises AssetError: if *model* is not mapped, has no image of that name, is in
            another database than the tables of the extension, or has a primary key of a
            type without canonical text.
        :raises TypeError: if a single text is passed instead of several tags.
        :raises ValueError: if a name cannot be a tag, or if *min_confidence* or
            *source* has another value.
        """
        from sqlalchemy import select

        has_tags = self.tagged(
            model,
            all_of,
            any_of,
            none_of,
            instance,
            min_confidence=min_confidence,
            source=source,
            narrower=narrower,
            name=name,
            session=session,
        )
        # Afterwards: for a class that is not mapped, tagged() raises an AssetError.
        return select(model).where(has_tags)

    def tagged(
        self,
        model: type[Any],
        all_of: Iterable[str] = (),
        any_of: Iterable[str] = (),
        none_of: Iterable[str] = (),
        instance: str | None = None,
        *,
        min_confidence: float | None = None,
        source: Source | None = None,
        narrower: bool = False,
        name: str | None = None,
        session: Session | None = None,
    ) -> ColumnElement[bool]:
        """Return the condition of :meth:`select`, for the ``where`` of any statement.

        The parameters are the same.
        """
        from .tags.queries import selection

        criteria = selection.Criteria(
            all_of, any_of, none_of, min_confidence, source, instance, narrower, name
        )
        with self._reading(session, mapper_of(model)) as (connection, models):
            return selection.condition(connection, models, model, criteria)

    def tag_counts(
        self,
        instance: str | None = None,
        limit: int | None = None,
        within: Select[Any] | None = None,
        *,
        name: str | None = None,
        session: Session | None = None,
    ) -> list[TagCount]:
        """Count the assets of each tag, the most used tags first.

        :param instance: the tenant; ``None`` for all.
        :param limit: the most tags to return; ``None`` for all.
        :param within: selects the objects whose tags are counted; by default all. Each
            of them is read: add a ``limit`` if there may be very many. An object with
            several images counts once for each tag.
        :param name: with *within*, which image of each object; ``None`` for all.
        :param session: runs the query; by default the host's.
        :raises AssetError: if *within* does not select objects of a mapped class, or
            as :meth:`select` does.
        """
        from .tags.queries import tag_counts

        mapper = None if within is None else tag_counts.selected_mapper(within)
        with self._reading(session, mapper) as (connection, models):
            if within is None:
                return tag_counts.tag_counts(connection, models, instance, limit)
            return tag_counts.facets(connection, models, within, instance, limit, name)

    def related_tags(
        self,
        names: Iterable[str],
        instance: str | None = None,
        limit: int | None = 10,
        *,
        session: Session | None = None,
    ) -> list[TagCount]:
        """Count the other tags of assets that have some tags, most frequent first.

        They are counted on the latest 1,000 assets that have all of *names*.

        :param names: names of tags.
        :param instance: as in :meth:`tag_counts`, and so are the others.
        :raises TypeError: if *names* is a single text.
        :raises ValueError: if a name cannot be a tag.
        """
        from .tags.queries import tag_counts

        with self._reading(session) as (connection, models):
            return tag_counts.related_tags(connection, models, names, instance, limit)

    def complete(
        self,
        text: str,
        instance: str | None = None,
        limit: int = 10,
        *,
        session: Session | None = None,
    ) -> list[TagCount]:
        """Find the tags that begin with a text, or have an alias that does.

        The most used tags come first.

        :param text: the typed beginning of a name.
        :param instance: as in :meth:`tag_counts`, and so are the others.
        """
        from .tags.queries import autocomplete

        with self._reading(session) as (connection, models):
            return autocomplete.complete(connection, models, text, instance, limit)

    def explain(
        self, asset: object, *, instance: str | None = None, name: str | None = None
    ) -> Explanation:
        """Explain why each label of an asset did or did not become a tag.

        :param asset: a model instance, or an :class:`AssetRef`.
        :param instance: as in :meth:`add_tag`, and so is *name*.
        """
        from .jobs import asset_actions

        return asset_actions.explain(self._state(), asset, instance, name)

    def tag_now(
        self,
        asset: object,
        image: ImageSource | None = None,
        instance: str | None = None,
        *,
        name: str | None = None,
    ) -> list[AppliedTag]:
        """Tag an asset before returning, which takes as long as a classification.

        :param asset: a model instance that is committed, or an :class:`AssetRef`.
        :param image: its image; by default found by :meth:`watch`'s function or the
            image loader.
        :param instance: as in :meth:`add_tag`, and so is *name*.
        :return: its tags, as :meth:`tags_for` returns them; only people's tags if the
            function or loader returned ``None``.
        :raises ClassifierBusy: in a request, if no child process was free for five
            seconds.
        :raises TaggingError: if it could not be tagged.
        :raises TransactionError: if the host's session has uncommitted writes, which
            would be locked while the image is classified.
        """
        from .jobs import asset_actions

        app = current_application()
        return asset_actions.tag_now(
            app, self.state_of(app), asset, image, instance, name
        )

    def add_tag(
        self,
        assets: object,
        tag: str,
        *,
        instance: str | None = None,
        person: str | None = None,
        name: str | None = None,
    ) -> BulkResult:
        """Add a tag to an asset or to many, in the name of a person.

        No provider removes it, and it has precedence in the maximum number of tags. A
        tag that was rejected before is applied again. The same transaction applies the
        rules to the other tags. ``accept_tag`` is the same method, for a suggested tag.

        Many assets are decided on in one transaction, and are one bulk action in the
        history of each tenant, where it can be undone. Those that cannot be decided on
        are left out and returned with the reason; for a single asset, it is raised.

        :param assets: a model instance that was flushed, or an :class:`AssetRef`; or
            several; or a ``Select`` of a mapped class, such as ``select(Photo)``.
        :param tag: the tag's name. A word that the vocabulary renames is stored under
            its new name.
        :param instance: the tenant; by default the one that :meth:`watch` finds for a
            watched model, otherwise ``"default"``. If that tenant does not know an
            asset, but exactly one does, that one is used.
        :param person: the person's name, for the history; by default the name that
            :meth:`user_namer` returns.
        :param name: which image of the instance, if :meth:`watch` named several; by
            default the one without a name, or the only one.
        :return: the assets whose tag has changed, and the others.
        :raises AssetError: if a single asset cannot be named, has several images of
            which none is chosen, or has no image of that name, or if several tenants
            know it and none of them is the default; or if a ``Select`` selects no
            objects of a mapped class.
        :raises ValueError: if *tag* cannot be a tag.
        """
        from .jobs import many_assets
        from .tags.rules import APPLIED

        return many_assets.decide(
            self._state(), assets, tag, APPLIED, instance, person, name
        )

    accept_tag = add_tag

    def reject_tag(
        self,
        assets: object,
        tag: str,
        *,
        instance: str | None = None,
        person: str | None = None,
        name: str | None = None,
    ) -> BulkResult:
        """Reject a tag of an asset or of many: no provider can apply it again.

        Only a person can. The same transaction applies the rules to the other tags: a
        broader tag may appear. ``remove_tag`` is the same method, for an applied tag.

        :param assets: as in :meth:`add_tag`, and so are the others.
        """
        from .jobs import many_assets
        from .tags.rules import REJECTED

        return many_assets.decide(
            self._state(), assets, tag, REJECTED, instance, person, name
        )

    remove_tag = reject_tag

    def pin_tags(
        self,
        asset: object,
        tags: Iterable[str],
        *,
        instance: str | None = None,
        person: str | None = None,
        name: str | None = None,
    ) -> None:
        """Pin tags to the front of an asset, in the name of a person.

        :meth:`tags_for` returns them first, in this order. Each counts as added by the
        person, as by :meth:`add_tag`. Tags that were pinned before and are not named
        now stay as a person's tags, without a place at the front.

        :param asset: a model instance that was flushed, or an :class:`AssetRef`.
        :param tags: the names of tags; none to unpin all.
        :param instance: as in :meth:`add_tag`, and so are the others.
        :raises AssetError: as :meth:`add_tag` does.
        :raises TypeError: if *tags* is a single text.
        :raises ValueError: if a name cannot be a tag.
        """
        from .jobs import asset_actions

        asset_actions.pin_tags(self._state(), asset, tags, instance, person, name)

    def untag(
        self, asset: object, *, instance: str | None = None, name: str | None = None
    ) -> None:
        """Delete the predictions for an asset, and the tags that providers applied.

        People's decisions stay. Afterwards the asset counts as untagged.

        :param asset: a model instance that was flushed, or an :class:`AssetRef`.
        :param instance: as in :meth:`forget`, and so is *name*.
        :raises AssetError: as :meth:`forget` does.
        """
        from .jobs import asset_actions

        asset_actions.untag(self._state(), asset, instance, name)

    def retag(
        self, asset: object, *, instance: str | None = None, name: str | None = None
    ) -> None:
        """Classify an asset again, in the background.

        Its image is found by :meth:`watch`'s function or the image loader; without
        these, at the path of its upload.

        :param asset: a model instance that is committed, or an :class:`AssetRef`.
        :param instance: as in :meth:`add_tag`.
        :param name: which image of the instance, if :meth:`watch` named several; by
            default all that are watched.
        :raises ImageMissing: if there is no such function, loader or path.
        :raises sqlalchemy.exc.DBAPIError: if the job could not be written.
        """
        from .jobs import asset_actions

        app = current_application()
        asset_actions.retag(app, self.state_of(app), asset, instance, name)

    def move(
        self,
        asset: object,
        to: object,
        *,
        instance: str | None = None,
        name: str | None = None,
    ) -> None:
        """Move the tags, predictions, decisions and jobs of an asset to another name.

        Call it if the key of an image changes, such as a path. Any data of the asset
        replaces the data under the other name. Without a loader, a waiting job reads
        the image from the old path: send ``image_uploaded`` after the move then.

        :param asset: the old name: an :class:`AssetRef`, or a model instance.
        :param to: the new name.
        :param instance: as in :meth:`forget`, but *to* may also be the object of a
            watched model.
        :param name: which image of the model instances, if :meth:`watch` named several;
            by default all if both names are model instances. An :class:`AssetRef` names
            one image, so that one of the model instance is needed.
        :raises AssetError: as :meth:`forget` does, or if a model instance has several
            images of which none is chosen.
        """
        from .jobs import asset_actions

        asset_actions.move(self._state(), asset, to, instance, name)

    def forget(
        self, asset: object, *, instance: str | None = None, name: str | None = None
    ) -> None:
        """Delete the tags, predictions, decisions and jobs of an asset in one tenant.

        :param asset: a model instance, or an :class:`AssetRef`.
        :param instance: the tenant; by default the one that :meth:`watch` finds for a
            watched model, or the only one that knows the asset.
        :param name: which image of the instance, if :meth:`watch` named several; by
            default all of them.
        :raises AssetError: if *asset* cannot be named, or has no image of that name, or
            if several tenants know it and none of them is chosen.
        """
        from .jobs import asset_actions

        asset_actions.forget(self._state(), asset, instance, name)

    def _state(self) -> State:
        return self.state_of(current_application())

    @contextmanager
    def _reading(
        self, session: Session | None, mapper: Mapper[Any] | None = None
    ) -> Iterator[tuple[Connection, Models]]:
        """Yield the connection of a session, by default the host's, and the models.

        :param mapper: of the host's model that the statement joins with our tables.
        """
        from .tags.queries.reading import reading

        database = self._state().database
        with reading(database, session, mapper) as connection:
            yield connection, database.models

    def _tags_for(
        self,
        asset: object,
        instance: str | None,
        name: str | None,
        state: str,
        session: Session | None,
    ) -> list[AppliedTag]:
        from .tags.queries import applied_tags

        images = images_of(asset, name)
        with self._reading(session) as (connection, models):
            return applied_tags.tags_for_images(
                connection, models, images, instance, state
            )

    def _make_state(self, app: Flask, db: Any, models: Models | None) -> State:
        config, config_layer = read_app_config(app.config, _find_sections)
        return State(
            config=config,
            config_layer=config_layer,
            find_sections=partial(_find_sections, config.allowed_origins),
            database=find_database(app, db, models),
            hooks=self._hooks,
            make_pool=partial(_make_pool, config),
            runner=make_runner(config.runner),
            on_settings_written=_resume_provider,
        )

    def _on_image_uploaded(self, sender: Any, **arguments: Any) -> None:
        from .jobs.receivers import receive_upload

        receive_upload(self._applications, sender, **arguments)

    def _on_request_started(self, app: Flask, **_other: Any) -> None:
        state = self.state_of(app)
        state.runner.start(app, state)


def _find_sections(allowed: frozenset[str]) -> Sequence[Section]:
    from .providers.registry import sections

    return sections(allowed)


def _make_pool(config: Config) -> Pool:
    """Make a pool of one child process that decodes and classifies."""
    from .classification.sandbox.pool import Pool

    return Pool(1, config.timeout, config.memory_limit)


def _resume_provider(
    session: Session, models: Models, instance: str, sections: Collection[str]
) -> None:
    """End the pauses of providers whose settings changed: a new key may be right."""
    from .classification import circuit_breaker

    circuit_breaker.resume(session, models, instance, sections)


def _register_web(app: Flask, state: State) -> None:
    config = state.config
    register_pages(app, config.blueprint, config.url_prefix)
    register_api(app, config.blueprint, config.api, config.url_prefix)
    others = {"AUTOTAG_URL_PREFIX": config.url_prefix, "AUTOTAG_API": config.api}
    register_metrics(app, config.blueprint, config.metrics, others)


def _shut_down(state: State) -> None:
    state.runner.stop()
    state.close_children()
