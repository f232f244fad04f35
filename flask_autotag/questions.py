"""What host code asks about tags: the methods of ``AutoTag`` that change nothing."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar

from flask import current_app
from sqlalchemy import ColumnElement, Connection, Select, inspect, select
from sqlalchemy.orm import Session

from . import completion, facets, progress, query, tagged
from .assets import ByAsset, saved_ref
from .decisions import Source
from .facets import TagCount
from .models import Models
from .progress import Progress
from .query import AppliedTag, Preloaded
from .state import State
from .tagged import Criteria
from .verdicts import APPLIED, SUGGESTED

if TYPE_CHECKING:
    from flask import Flask

T = TypeVar("T")


class Questions(ABC):
    """Questions about tags, asked inside an application context.

    Each is asked in *session*, by default the host's of the moment, and sees what its
    transaction sees. An asynchronous host asks in ``AsyncSession.run_sync``. Names are
    understood whatever their case, and by what the vocabulary calls them now.
    """

    @abstractmethod
    def state_of(self, app: Flask) -> State:
        """Give what is kept for an application."""

    def tags_for(
        self,
        asset: object,
        instance: str | None = None,
        *,
        session: Session | None = None,
    ) -> list[AppliedTag]:
        """Give the tags of an asset: those that people added, then the surest first.

        :param asset: a model instance, or an :class:`AssetRef`.
        :param instance: the tenant; ``None`` for any.
        :param session: to ask in; by default the host's.
        :raises AssetError: if *asset* cannot be named.
        """
        return self._tags_for(asset, instance, session, APPLIED)

    def suggestions_for(
        self,
        asset: object,
        instance: str | None = None,
        *,
        session: Session | None = None,
    ) -> list[AppliedTag]:
        """Give the tags that are suggested for an asset, the surest first.

        The parameters are those of :meth:`tags_for`.
        """
        return self._tags_for(asset, instance, session, SUGGESTED)

    def preload(
        self,
        assets: Iterable[object],
        instance: str | None = None,
        *,
        session: Session | None = None,
    ) -> Preloaded:
        """Give the tags of several assets in one query, such as those of a page.

        ::

            tags = autotag.preload(photos)
            tags[photos[0]]

        :param assets: model instances, or :class:`AssetRef`.
        :param instance: as in :meth:`tags_for`, and so is *session*.
        :return: for each asset what :meth:`tags_for` gives.
        :raises AssetError: if one of *assets* cannot be named.
        """
        refs = [saved_ref(asset) for asset in assets]
        with self._asking(session) as (asked, state):
            return query.preload(asked, state.database.models, refs, instance)

    def progress(
        self,
        assets: Iterable[object],
        instance: str | None = None,
        *,
        session: Session | None = None,
    ) -> ByAsset[Progress]:
        """Tell how far the tagging of several assets is, in one query.

        ::

            progress = autotag.progress(photos)
            progress[photos[0]].state       # "pending", "tagged", "failed", "untagged"

        :param assets: as in :meth:`preload`, and so are the others.
        :return: for each asset its :class:`Progress`.
        :raises AssetError: if one of *assets* cannot be named.
        """
        refs = [saved_ref(asset) for asset in assets]
        with self._asking(session) as (asked, state):
            return progress.progress(asked, state.database.models, refs, instance)

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
        session: Session | None = None,
    ) -> Select[T]:
        """Select the objects of a model by their tags.

        The result is a SQLAlchemy ``Select`` for the host to filter, order and page
        on. Tags are looked up when it is made: make it where it is used.

        :param model: a mapped class, whatever its primary key.
        :param all_of: tags that an object must have.
        :param any_of: tags of which it must have one.
        :param none_of: tags that it must not have.
        :param instance: the tenant whose tags count; ``None`` for any.
        :param min_confidence: from 0 to 1, what a provider must have said at least of
            each tag; what a person decided counts as sure.
        :param source: ``"provider"`` or ``"person"``, to ask only for the tags that
            these applied.
        :param narrower: whether a broader tag stands for those below it too, as *dog*
            for *beagle*.
        :param session: to look tags up in; by default the host's.
        :raises AssetError: if *model* is not mapped.
        :raises TypeError: if a text stands where several tags belong.
        :raises ValueError: if a name can be no tag, or *min_confidence* or *source* is
            none of these.
        """
        has_tags = self.tagged(
            model,
            all_of,
            any_of,
            none_of,
            instance,
            min_confidence=min_confidence,
            source=source,
            narrower=narrower,
            session=session,
        )
        # Made before, so that what is no model meets our error.
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
        session: Session | None = None,
    ) -> ColumnElement[bool]:
        """Make the condition of :meth:`select`, for the ``where`` of any statement.

        The parameters are the same.
        """
        criteria = Criteria(
            all_of, any_of, none_of, min_confidence, source, instance, narrower
        )
        with self._asking(session) as (asked, state):
            models = state.database.models
            connection = connection_of(asked, models)
            return tagged.condition(connection, models, model, criteria)

    def tag_counts(
        self,
        instance: str | None = None,
        limit: int | None = None,
        within: Select[Any] | None = None,
        *,
        session: Session | None = None,
    ) -> list[TagCount]:
        """Count the assets of each tag, the most used tags first.

        :param instance: the tenant; ``None`` for all.
        :param limit: how many tags at most.
        :param within: selects the objects whose tags are counted; by default all.
            Each of them is read: give it a ``limit`` where they may be very many.
        :param session: to ask in; by default the host's.
        :raises AssetError: if *within* does not select objects of a mapped class.
        """
        with self._asking(session) as (asked, state):
            models = state.database.models
            connection = connection_of(asked, models)
            if within is None:
                return facets.tag_counts(connection, models, instance, limit)
            return facets.facets(connection, models, within, instance, limit)

    def related_tags(
        self,
        names: Iterable[str],
        instance: str | None = None,
        limit: int | None = 10,
        *,
        session: Session | None = None,
    ) -> list[TagCount]:
        """Count which other tags go with some, the most frequent first.

        On the latest 1,000 assets that have them all.

        :param names: of the tags.
        :param instance: as in :meth:`tag_counts`, and so are the others.
        :raises TypeError: if *names* is one text.
        :raises ValueError: if a name can be no tag.
        """
        with self._asking(session) as (asked, state):
            models = state.database.models
            connection = connection_of(asked, models)
            return facets.related_tags(connection, models, names, instance, limit)

    def complete(
        self,
        text: str,
        instance: str | None = None,
        limit: int = 10,
        *,
        session: Session | None = None,
    ) -> list[TagCount]:
        """Find the tags that begin with a text, the most used first.

        Those too of which an alias begins so.

        :param text: what somebody has typed so far.
        :param instance: as in :meth:`tag_counts`, and so are the others.
        """
        with self._asking(session) as (asked, state):
            models = state.database.models
            connection = connection_of(asked, models)
            return completion.complete(connection, models, text, instance, limit)

    def _tags_for(
        self, asset: object, instance: str | None, session: Session | None, which: str
    ) -> list[AppliedTag]:
        ref = saved_ref(asset)
        with self._asking(session) as (asked, state):
            models = state.database.models
            return query.tags_for(asked, models, ref, instance, which)

    @contextlib.contextmanager
    def _asking(self, session: Session | None) -> Iterator[tuple[Session, State]]:
        state = self._state()
        if session is not None:
            yield _synchronous(session), state
        else:
            with state.database.reading() as of_host:
                yield of_host, state

    def _app(self) -> Flask:
        return current_app._get_current_object()  # type: ignore[attr-defined, no-any-return]

    def _state(self) -> State:
        return self.state_of(self._app())


def _synchronous(session: Session) -> Session:
    """Refuse an ``AsyncSession``, or a registry of such: it has to be waited for.

    :raises TypeError: if it is one.
    """
    # Their classes are not imported: most hosts have no use for them.
    if iscoroutinefunction(session.execute):
        raise TypeError(
            f"session is an {type(session).__name__}: ask through an AsyncSession's"
            " run_sync, such as await session.run_sync(lambda asked:"
            " autotag.tags_for(photo, session=asked))."
        )
    return session


def connection_of(session: Session, models: Models) -> Connection:
    """Give a session's connection to the database that our tables are in.

    What the session has not written yet is written first, as before any question of
    the host's.
    """
    if session.autoflush:
        session.flush()
    return session.connection(bind_arguments={"mapper": inspect(models.tag)})
