"""What host code asks about tags and decides: the methods of ``AutoTag`` for both."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from . import decisions, query, store
from .assets import AssetRef, ImageSource, Upload, saved_ref
from .database import Database, writing_connection
from .errors import TransactionError
from .explain import Explanation, explain
from .hooks import Hooks
from .instances import instance_meant
from .jobs import outbox, queue
from .jobs.again import path_again
from .jobs.loading import load_asset
from .query import AppliedTag
from .questions import Questions
from .sources import read
from .verdicts import APPLIED, REJECTED
from .vocabulary import tag_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class TagAPI(Questions):
    """Questions and decisions about tags, asked inside an application context.

    Questions are asked in the host's session, and see what its transaction sees.
    Decisions join the host's transaction if that has uncommitted writes, and are
    committed alone otherwise.
    """

    _hooks: Hooks

    def tag_now(
        self,
        asset: object,
        image: ImageSource | None = None,
        instance: str | None = None,
    ) -> list[AppliedTag]:
        """Tag an asset before returning. It takes the time of a classification.

        :param asset: a model instance that is committed, or an :class:`AssetRef`.
        :param image: its image; by default found by :meth:`watch`'s function or the
            image loader.
        :param instance: as in :meth:`add_tag`.
        :return: its tags, as :meth:`tags_for` gives them.
        :raises TaggingError: if it could not be tagged.
        :raises TransactionError: if the host's session has uncommitted writes, which
            would be locked while the image is classified.
        """
        state, ref = self._state(), saved_ref(asset)
        database, models = state.database, state.database.models
        _refuse_open_writes(database)
        if image is None:
            data = load_asset(state, ref)
        else:
            data = read(image, state.config.max_image_bytes)
        tenant = instance or database.transact(
            lambda session: self._instance_meant(session, asset, ref)
        )
        settings = state.settings_for(tenant)
        # Here and not above: a host that starts asks nobody yet.
        from . import remote

        classified = remote.classify(self._app(), state, tenant, data, settings)

        def work(session: Session) -> list[AppliedTag]:
            # Settings and words may have changed while the image was classified.
            now = state.stored_settings().settings(session, tenant)
            store.store(session, models, [store.Entry(ref, tenant, classified, now)])
            return query.tags_for(session, models, ref, tenant)

        return database.transact(work)

    def add_tag(
        self,
        asset: object,
        name: str,
        *,
        instance: str | None = None,
        person: str | None = None,
    ) -> None:
        """Add a tag to an asset, in the name of a person.

        No provider takes it away, and it counts towards the maximum first. A tag that
        was rejected before is applied again.

        Like all that people decide, it joins the host's transaction if that has
        uncommitted writes, and is committed alone otherwise.

        :param asset: a model instance that was flushed, or an :class:`AssetRef`.
        :param name: of the tag. A word that the vocabulary calls otherwise is taken for
            what it is called now.
        :param instance: the tenant; by default the one that :meth:`watch` finds for a
            watched model, else ``"default"``; but the only one that knows the asset,
            where that one does not.
        :param person: who decides, for those who ask later; by default who
            :meth:`user_namer` says it is.
        :raises AssetError: if *asset* cannot be named, or several tenants know it and
            none of them is the default.
        :raises ValueError: if *name* can be no tag.
        """
        self._decide(asset, name, APPLIED, instance, person)

    def accept_tag(
        self,
        asset: object,
        name: str,
        *,
        instance: str | None = None,
        person: str | None = None,
    ) -> None:
        """Accept a tag that is suggested: it is the person's then.

        The same as :meth:`add_tag`, which it reads better than beside a suggestion.
        """
        self._decide(asset, name, APPLIED, instance, person)

    def reject_tag(
        self,
        asset: object,
        name: str,
        *,
        instance: str | None = None,
        person: str | None = None,
    ) -> None:
        """Reject a tag of an asset: no provider brings it back, only a person can.

        :param asset: as in :meth:`add_tag`, and so are the others.
        """
        self._decide(asset, name, REJECTED, instance, person)

    def remove_tag(
        self,
        asset: object,
        name: str,
        *,
        instance: str | None = None,
        person: str | None = None,
    ) -> None:
        """Remove a tag from an asset, whoever applied it, for good.

        The same as :meth:`reject_tag`, which it reads better than beside a tag.
        """
        self._decide(asset, name, REJECTED, instance, person)

    def untag(self, asset: object) -> None:
        """Forget what providers said of an asset, and the tags that came of it.

        What people decided stays. The asset counts as untagged then.

        :param asset: a model instance that was flushed, or an :class:`AssetRef`.
        """
        ref, models = saved_ref(asset), self._state().database.models
        self._write(lambda connection: store.untag(connection, models, ref))

    def retag(self, asset: object, *, instance: str | None = None) -> None:
        """Have an asset classified again, in the background.

        Its image is found by :meth:`watch`'s function or the image loader; without
        these, where its upload said that it is.

        :param asset: a model instance that is committed, or an :class:`AssetRef`.
        :param instance: as in :meth:`add_tag`.
        :raises ImageMissing: if nothing tells where the image is.
        """
        state, ref = self._state(), saved_ref(asset)
        with state.database.reading() as session:
            path = path_again(session, state, ref)
            tenant = instance or self._instance_meant(session, asset, ref)
        outbox.submit(self._app(), state, Upload(ref, path, tenant))

    def explain(self, asset: object, *, instance: str | None = None) -> Explanation:
        """Explain why each label of an asset did or did not become a tag.

        :param asset: a model instance, or an :class:`AssetRef`.
        :param instance: as in :meth:`add_tag`.
        """
        state, ref = self._state(), saved_ref(asset)
        with state.database.reading() as session:
            tenant = instance or self._instance_meant(session, asset, ref)
        settings = state.settings_for(tenant)
        with state.database.reading() as session:
            return explain(session, state.database.models, ref, tenant, settings)

    def move(self, asset: object, to: object) -> None:
        """Keep what is stored of an asset, and its jobs, under another name.

        For images whose key changes, such as a path: tags, and what people decided,
        stay. What was stored under the other name is replaced, in the instances where
        something comes to its place. Without a loader, a job that waits reads the
        image where it was; send ``image_uploaded`` after the move then.

        Like a job, it joins the host's transaction if that has uncommitted writes.

        :param asset: the former name: an :class:`AssetRef`, or a model instance.
        :param to: the name from now on.
        """
        ref, other = saved_ref(asset), saved_ref(to)
        models = self._state().database.models
        if ref == other:
            return

        def work(connection: Connection) -> None:
            queue.move(connection, models, ref, other)
            store.move(connection, models, ref, other)

        self._write(work)

    def forget(self, asset: object) -> None:
        """Delete what is stored of an asset, and its jobs, in every instance.

        Like a job, it joins the host's transaction if that has uncommitted writes.

        :param asset: a model instance, or an :class:`AssetRef`.
        """
        ref, models = saved_ref(asset), self._state().database.models

        def work(connection: Connection) -> None:
            queue.forget(connection, models, ref)
            store.forget(connection, models, ref)

        self._write(work)

    def _instance_meant(
        self, session: Session | Connection, asset: object, ref: AssetRef
    ) -> str:
        """Say which instance is meant where none is named."""
        models, usual = self._state().database.models, self._hooks.instance_of(asset)
        return instance_meant(session, models, ref, usual)

    def _decide(
        self,
        asset: object,
        name: str,
        decision: str,
        instance: str | None,
        person: str | None,
    ) -> None:
        ref, tag = saved_ref(asset), tag_name(name)
        models = self._state().database.models
        who = person or self._hooks.user_name()

        def work(connection: Connection) -> None:
            tenant = instance or self._instance_meant(connection, asset, ref)
            decisions.decide(connection, models, ref, tenant, tag, decision, who)

        self._write(work)

    def _write(self, work: Callable[[Connection], None]) -> None:
        """Write in the host's transaction if it has one, else in one of our own."""
        database = self._state().database
        connection = writing_connection(
            database.host_session(), database.models.job.__table__
        )
        if connection is not None:
            work(connection)
        else:
            database.transact(lambda session: work(session.connection()))


def _refuse_open_writes(database: Database) -> None:
    table = database.models.job.__table__
    if writing_connection(database.host_session(), table) is not None:
        raise TransactionError(
            "The session has uncommitted writes: commit the upload before tag_now."
        )
