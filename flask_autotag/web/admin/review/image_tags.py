"""The tags of one image, for pages of the host and of the extension."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TypeVar

from flask import has_request_context, request, url_for
from sqlalchemy.orm import Session

from ....db.models import Models
from ....host.assets import AssetRef, saved_ref
from ....runtime.state import State
from ....tags.asset_rows import find_row
from ....tags.queries import applied_tags
from ....tags.queries.applied_tags import AppliedTag
from ....tags.queries.autocomplete import words_to_add
from ....tags.queries.reading import connection_of
from ....tags.rules import APPLIED, SUGGESTED
from ...access import REVIEW, current_state, may_on_page
from ...endpoints import INSTANCE_PAGES, endpoint
from ...signed_asset import can_sign, sign
from ..form import can_be_trusted
from .edit_form import EditForm
from .form_rows import make_rows

T = TypeVar("T")

#: The most words to choose from where no script completes the typed text.
_WORDS = 200


@dataclass(frozen=True)
class ImageTags:
    """An image, its tags and the user's rights to change them.

    :param next: the path to which a form without scripts redirects; ``None`` for the
        page that explains the tags.
    :param is_fresh: read what is committed, in a session of our own, and not through
        the host's session.
    """

    asset: AssetRef
    instance: str
    next: str | None = None
    is_fresh: bool = False

    @cached_property
    def id(self) -> str:
        """The part of element ids that identifies the image within a page."""
        name = repr((self.instance, self.asset.type, self.asset.id))
        return sha256(name.encode()).hexdigest()[:12]

    @cached_property
    def tags(self) -> list[AppliedTag]:
        """The image's tags."""
        return self._tags(APPLIED)

    @cached_property
    def suggestions(self) -> list[AppliedTag]:
        """The image's suggested tags."""
        return self._tags(SUGGESTED)

    @cached_property
    def may_edit(self) -> bool:
        """Whether the user may change the tags, and forms can be protected."""
        return (
            has_request_context()
            and can_be_trusted()
            and can_sign()
            and may_on_page(REVIEW, self.instance)
            and self.row is not None
        )

    @cached_property
    def row(self) -> int | None:
        """The key of the image's row, which is inserted if there is none.

        ``None`` if the database is too busy for the insert.
        """

        def find(session: Session, models: Models) -> int | None:
            return find_row(session, models, self.asset, self.instance)

        found = self._read(find)
        if found is not None:
            return found
        made = make_rows(self._state.database, self.instance, [self.asset])
        return made.get(self.asset)

    @cached_property
    def form(self) -> EditForm:
        """The form that changes the tags, for users who may edit them."""
        image = None if self.row is None else sign(self.row, self.instance)
        return EditForm(None, data={"image": image, "next": self.next or None})

    @property
    def hidden_fields(self) -> Mapping[str, str]:
        """The hidden fields of that form; empty without the image's row."""
        return {} if self.row is None else self.form.hidden_fields

    @property
    def words(self) -> list[str]:
        """The words that the field for a new tag offers."""

        def work(session: Session, models: Models) -> list[str]:
            connection = connection_of(session, models)
            return words_to_add(connection, models, self.instance, "", _WORDS)

        return self._read(work)

    @property
    def edit_url(self) -> str:
        """The address to which the forms are sent."""
        return url_for(endpoint("edit", INSTANCE_PAGES), instance=self.instance)

    @property
    def complete_url(self) -> str:
        """The address that completes words."""
        return url_for(endpoint("complete", INSTANCE_PAGES), instance=self.instance)

    @property
    def explain_url(self) -> str:
        """The address of the page that explains the tags."""
        return explain_url(self.asset, self.instance)

    @property
    def _state(self) -> State:
        return current_state()

    def _tags(self, state: str) -> list[AppliedTag]:
        def work(session: Session, models: Models) -> list[AppliedTag]:
            return applied_tags.tags_for(
                session, models, self.asset, self.instance, state
            )

        return self._read(work)

    def _read(self, work: Callable[[Session, Models], T]) -> T:
        database = self._state.database
        if self.is_fresh:
            return database.transact(lambda session: work(session, database.models))
        with database.reading() as session:
            return work(session, database.models)


def explain_url(asset: AssetRef, instance: str, **values: str) -> str:
    """Return the address of the page that explains the tags of an image.

    :param values: further parameters of the address.
    """
    return url_for(
        endpoint("explain", INSTANCE_PAGES),
        instance=instance,
        type=asset.type,
        id=asset.id,
        **values,  # type: ignore[arg-type]
    )


def image_tags(
    asset: object,
    instance: str | None = None,
    next: str | None = None,
    name: str | None = None,
) -> ImageTags:
    """Return the tags of an image; templates of the host call it ``autotag_image``.

    :param asset: a flushed model instance, or an :class:`AssetRef`.
    :param instance: the tenant; by default the one that :meth:`.AutoTag.watch` finds
        for a watched model, otherwise ``"default"``.
    :param next: the path to return to; by default the current page.
    :param name: which image of the instance, if :meth:`.AutoTag.watch` named several.
    :raises AssetError: if *asset* has no type or key, or several images and no *name*
        is passed.
    """
    hooks = current_state().hooks
    ref = saved_ref(asset, hooks.watches.type_of_one(asset, name))
    tenant = instance or hooks.instance_of(asset, ref.type)
    return ImageTags(ref, tenant, next or current_path())


def current_path() -> str | None:
    """Return the path of the current page, or ``None`` if a link cannot lead to it."""
    if not has_request_context() or request.method not in ("GET", "HEAD"):
        return None
    return request.script_root + request.full_path.rstrip("?")
