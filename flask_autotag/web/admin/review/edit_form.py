"""The form that changes the tags of one image."""

from __future__ import annotations

from wtforms import HiddenField

from ....host.assets import NAME_LENGTH
from ....settings.tag_names import TagName
from ...responses import local_path
from ...signed_asset import incomplete, read_signed
from ...translation import translatable
from ..form import ButtonField, PageForm, typed_tag
from .choice import ACTIONS


class EditForm(PageForm):
    """A form that changes a tag of an image.

    ``image`` is the signed name of the image, and ``next`` the path of the page to
    return to. The field of the action is the name of a tag: the value of a button, or
    a text that was typed.
    """

    image = HiddenField()
    next = HiddenField()
    add = ButtonField(
        translatable("Add a tag"),
        render_kw={"maxlength": NAME_LENGTH, "autocomplete": "off"},
    )
    remove = ButtonField()
    accept = ButtonField()
    reject = ButtonField()
    pin = ButtonField()
    unpin = ButtonField()

    @property
    def pressed(self) -> str:
        """The name of the field that was sent, as in :data:`.ACTIONS`.

        :raises CheckError: if none was.
        """
        for name in ACTIONS:
            if self[name].data is not None:
                return name
        raise incomplete()

    @property
    def back(self) -> str | None:
        """The path to return to, if it is one on this site."""
        return local_path(self.next.data)

    @property
    def typed(self) -> str:
        """The tag that was typed, shortened to be shown again."""
        return (self.add.data or "").strip()[:NAME_LENGTH]

    def row(self, instance: str) -> int:
        """Return the key of the image's row.

        :raises CheckError: if the image is not signed for this instance and user.
        """
        return read_signed(self.image.data or "", instance)

    def tag(self) -> TagName:
        """Return the name of the tag.

        :raises CheckError: if no tag can have it.
        """
        return typed_tag(self[self.pressed].data)
