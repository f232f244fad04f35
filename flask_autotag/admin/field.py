"""The tags of one image, as a page of the host or of ours shows and edits them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TypeVar

from flask import has_request_context, request, url_for
from sqlalchemy.orm import Session

from .. import query
from ..assets import AssetRef, saved_ref
from ..completion import words_to_add
from ..models import Models
from ..query import AppliedTag
from ..questions import connection_of
from ..state import State
from ..verdicts import APPLIED, SUGGESTED
from .access import REVIEW, current_state, may_on_page
from .form import can_be_trusted, guard_fields
from .reference import can_sign, sign

T = TypeVar("T")

#: Words to choose from where no script asks for those that begin with what is typed.
_WORDS = 200


@dataclass(frozen=True)
class ImageTags:
    """An image, its tags and what may be done about them.

    :param next: the path that a form without scripts leads back to; ``None`` for the
        page that explains the tags.
    :param is_fresh: read what is committed now, and not what the host's session sees.
    """

    asset: AssetRef
    instance: str
    next: str | None = None
    is_fresh: bool = False

    @cached_property
    def id(self) -> str:
        """Tells it from other images of the page, in ids of elements."""
        name = repr((self.instance, self.asset.type, self.asset.id))
        return sha256(name.encode()).hexdigest()[:12]

    @cached_property
    def tags(self) -> list[AppliedTag]:
        """Its tags."""
        return self._tags(APPLIED)

    @cached_property
    def suggestions(self) -> list[AppliedTag]:
        """What is suggested for it."""
        return self._tags(SUGGESTED)

    @cached_property
    def may_edit(self) -> bool:
        """Whether to offer the user to change its tags."""
        return (
            has_request_context()
            and can_be_trusted()
            and can_sign()
            and may_on_page(REVIEW, self.instance)
        )

    @property
    def signed(self) -> str:
        """Its name in a form."""
        return sign(self.asset, self.instance)

    @property
    def hidden_fields(self) -> Mapping[str, str]:
        """What every form about it holds unseen."""
        place = {"next": self.next} if self.next else {}
        return {"image": self.signed, **place, **guard_fields()}

    @property
    def words(self) -> list[str]:
        """Words to choose from."""

        def work(session: Session, models: Models) -> list[str]:
            connection = connection_of(session, models)
            return words_to_add(connection, models, self.instance, "", _WORDS)

        return self._read(work)

    @property
    def edit_url(self) -> str:
        """Where its forms are sent."""
        return url_for("autotag_instance.edit", instance=self.instance)

    @property
    def complete_url(self) -> str:
        """Where words are asked for that begin with a text."""
        return url_for("autotag_instance.complete", instance=self.instance)

    @property
    def explain_url(self) -> str:
        """The page that explains its tags."""
        return explain_url(self.asset, self.instance)

    @property
    def _state(self) -> State:
        return current_state()

    def _tags(self, state: str) -> list[AppliedTag]:
        def work(session: Session, models: Models) -> list[AppliedTag]:
            return query.tags_for(session, models, self.asset, self.instance, state)

        return self._read(work)

    def _read(self, work: Callable[[Session, Models], T]) -> T:
        database = self._state.database
        if self.is_fresh:
            return database.transact(lambda session: work(session, database.models))
        with database.reading() as session:
            return work(session, database.models)


def explain_url(asset: AssetRef, instance: str, **told: str) -> str:
    """Give the address of the page that explains the tags of an image.

    :param told: what that page is told beside.
    """
    return url_for(
        "autotag_instance.explain",
        instance=instance,
        type=asset.type,
        id=asset.id,
        **told,  # type: ignore[arg-type]
    )


def image_tags(
    asset: object, instance: str | None = None, next: str | None = None
) -> ImageTags:
    """Give the tags of an image to a template of the host, as ``autotag_image``.

    :param asset: a model instance that was flushed, or an :class:`AssetRef`.
    :param instance: the tenant; by default the one that :meth:`.AutoTag.watch` finds
        for a watched model, else ``"default"``.
    :param next: the path of the page to come back to; by default the present one.
    :raises AssetError: if *asset* cannot be named.
    """
    tenant = instance or current_state().hooks.instance_of(asset)
    return ImageTags(saved_ref(asset), tenant, next or _present_path())


def _present_path() -> str | None:
    """Give the path of the page that is being made, if a link can lead to it."""
    if not has_request_context() or request.method not in ("GET", "HEAD"):
        return None
    return request.script_root + request.full_path.rstrip("?")
