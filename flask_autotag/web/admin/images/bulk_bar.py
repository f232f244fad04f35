"""The controls for many images on a page of the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from flask import has_request_context, url_for

from ....host.assets import DEFAULT_INSTANCE, AssetRef, ByAsset, saved_ref
from ....tags.queries.autocomplete import words_to_add
from ...access import REVIEW, current_state, may_on_page
from ...endpoints import INSTANCE_PAGES, endpoint
from ...signed_asset import can_sign, sign
from ..form import can_be_trusted
from ..review.form_rows import form_rows
from ..review.image_tags import current_path
from .bulk_form import BulkForm
from .outcome import Outcome, read_outcome

#: The most words to choose from where no script completes the typed text.
_WORDS = 200


@dataclass(frozen=True)
class BulkBar:
    """The form of the images that are checked on a page of the host.

    :param images: the images that the page offers.
    :param next: the path to return to.
    """

    instance: str
    images: ByAsset[AssetRef]
    next: str | None = None

    @property
    def id(self) -> str:
        """The id of the form, to which the checkboxes on the page belong."""
        return f"autotag-bulk-{sha256(self.instance.encode()).hexdigest()[:12]}"

    @cached_property
    def may_edit(self) -> bool:
        """Whether the user may change tags, and forms can be protected."""
        return (
            has_request_context()
            and can_be_trusted()
            and can_sign()
            and may_on_page(REVIEW, self.instance)
        )

    @cached_property
    def rows(self) -> Mapping[AssetRef, int]:
        """The keys of the images' rows; some lack if the database is too busy."""
        names = [self.images[asset] for asset in self.images]
        return form_rows(current_state().database, self.instance, names)

    def signed(self, asset: object) -> str | None:
        """Return the signed name of an image; ``None`` if it cannot be checked.

        :raises KeyError: if it is not among the images.
        """
        row = self.rows.get(self.images[asset])
        return None if row is None else sign(row, self.instance)

    @property
    def url(self) -> str:
        """The address to which the form is sent."""
        return url_for(endpoint("images", INSTANCE_PAGES), instance=self.instance)

    @property
    def complete_url(self) -> str:
        """The address that completes words."""
        return url_for(endpoint("complete", INSTANCE_PAGES), instance=self.instance)

    @cached_property
    def form(self) -> BulkForm:
        """The form of decisions."""
        return BulkForm(None, data={"next": self.next})

    @cached_property
    def outcome(self) -> Outcome | None:
        """The outcome of the last action, if the address carries it."""
        return read_outcome(current_state(), self.instance)

    @property
    def undo_form(self) -> BulkForm:
        """The form that undoes the last action."""
        action = self.outcome and self.outcome.action
        return BulkForm(None, data={"action": action and action.id, "next": self.next})

    @property
    def words(self) -> Sequence[str]:
        """The words that the field offers."""
        database = current_state().database
        return database.transact(
            lambda session: words_to_add(
                session.connection(), database.models, self.instance, "", _WORDS
            )
        )


def bulk_bar(
    assets: Iterable[object],
    instance: str | None = None,
    next: str | None = None,
    name: str | None = None,
) -> BulkBar:
    """Return the controls of some images; templates call it ``autotag_bulk``.

    The images' rows are read by one statement.

    :param assets: flushed model instances, or :class:`AssetRef` objects.
    :param instance: the tenant of all of them; by default ``"default"``.
    :param next: the path to return to; by default the current page.
    :param name: which image of each instance, if :meth:`.AutoTag.watch` named several.
    :raises AssetError: as :meth:`.AutoTag.tags_for` does.
    """
    watches = current_state().hooks.watches
    images = {
        saved_ref(each): saved_ref(each, watches.type_of_one(each, name))
        for each in assets
    }
    return BulkBar(
        instance or DEFAULT_INSTANCE, ByAsset(images), next or current_path()
    )
