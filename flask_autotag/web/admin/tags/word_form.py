"""The forms of the pages of tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtforms import BooleanField, HiddenField, StringField, ValidationError

from ....host.assets import NAME_LENGTH
from ....settings.checks import shown
from ....settings.tag_names import TagName, tag_name
from ...translation import gettext, translatable
from ..form import ButtonField, ListField, PageForm, UploadField

#: Characters of a typed text that are shown again.
_SHOWN = 500


class TagNameField(StringField):  # type: ignore[misc]
    """A text that names a tag.

    :ivar tag: the tag, once the field was validated.
    """

    tag: TagName

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.id = f"autotag-{self.short_name}"
        self.label.field_id = self.id

    def pre_validate(self, form: PageForm) -> None:
        """Read the name.

        :raises wtforms.ValidationError: if no tag can have it.
        """
        text = self.data or ""
        try:
            self.tag = tag_name(text)
        except ValueError:
            raise ValidationError(
                gettext(
                    "must be a name of 1 to %(most)s characters, not %(value)s",
                    most=NAME_LENGTH,
                    value=shown(text),
                )
            ) from None

    def _value(self) -> str:
        return (self.data or "")[:_SHOWN]


class WordForm(PageForm):
    """A form that decides about words; its buttons have the name of its action."""

    save = ButtonField()
    preview = ButtonField()

    @property
    def is_preview(self) -> bool:
        """Whether the button previews the changes and does not save them."""
        return self.preview.data is not None

    @property
    def action(self) -> str:
        """The value of the pressed button."""
        return (self.preview if self.is_preview else self.save).data or ""


class TagForm(WordForm):
    """The fields of all forms on the page of one tag."""

    name = TagNameField(translatable("New name"))
    into = TagNameField(translatable("Other tag"))
    alias = TagNameField(translatable("Another word for it"))
    alias_key = HiddenField()
    sure = BooleanField(
        translatable("Delete this tag from all images"),
        id="autotag-sure",
        render_kw={"value": "1"},
    )
    reset = ButtonField()
    proposed = HiddenField(translatable("The proposal"))
    from_settings = HiddenField()


def _decisions() -> Mapping[str, str]:
    return {"listed": gettext("List it"), "blocked": gettext("Block it")}


def _must_be_chosen(_form: PageForm, field: ListField) -> None:
    if field.data not in field.lines():
        raise ValidationError(gettext("must be chosen"))


class TagsForm(WordForm):
    """The fields of all forms on the page of tags."""

    word = TagNameField(translatable("Word"))
    decision = ListField(
        translatable("Decision"),
        [_must_be_chosen],
        id="autotag-decision",
        lines=_decisions,
    )
    file = UploadField(translatable("CSV file"), id="autotag-file")
    csv = HiddenField()
