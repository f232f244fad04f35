"""The form that decides about one tag of many images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wtforms import Field, HiddenField

from ....host.assets import NAME_LENGTH
from ....settings.checks import CheckError
from ....settings.tag_names import TagName
from ...responses import local_path
from ...signed_asset import read_signed
from ...translation import translatable
from ..form import ButtonField, NumberField, PageForm, typed_tag
from .decisions import MOST_AT_ONCE


class ImagesField(Field):  # type: ignore[misc]
    """The signed names of the checked images."""

    data: Sequence[str]

    def process_formdata(self, texts: Sequence[str]) -> None:
        """Take the names that were sent, each once."""
        self.data = [*dict.fromkeys(texts)]

    def process_data(self, value: Any) -> None:
        """Begin without images."""
        self.data = value or []


class BulkForm(PageForm):
    """A form of checked images, or of all images that match the page's filter.

    ``command`` is the decision, and ``word`` the tag. ``everything`` is sent for all
    images that match, and ``newest`` is the row of the newest image when the page was
    made. ``action`` is the action that the command ``undo`` is about, and ``next`` the
    path of the page to return to.
    """

    image = ImagesField()
    everything = ButtonField()
    newest = NumberField()
    word = ButtonField(
        translatable("Tag"), render_kw={"maxlength": NAME_LENGTH, "autocomplete": "off"}
    )
    command = ButtonField()
    action = NumberField()
    next = HiddenField()

    @property
    def back(self) -> str | None:
        """The path to return to, if it is one on this site."""
        return local_path(self.next.data)

    @property
    def tag(self) -> TagName:
        """The name of the tag.

        :raises CheckError: if no tag can have it.
        """
        return typed_tag(self.word.data or "")

    def rows(self, instance: str) -> tuple[Mapping[int, str], int]:
        """Return the checked images, by row, and the number of those that are invalid.

        An image is invalid if it is not signed for this instance and user.

        :raises CheckError: if there are no images, too many, or only invalid ones.
        """
        if not self.image.data:
            raise CheckError("Select at least one image first.")
        if len(self.image.data) > MOST_AT_ONCE:
            raise CheckError(
                "At most %(most)s images can be selected one by one.",
                most=f"{MOST_AT_ONCE:,}",
            )
        rows: dict[int, str] = {}
        errors = []
        for text in self.image.data:
            try:
                rows[read_signed(text, instance)] = text
            except CheckError as error:
                errors.append(error)
        if not rows:
            raise errors[0]
        return rows, len(errors)
