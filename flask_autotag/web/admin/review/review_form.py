"""The form that accepts and rejects a tag for the images of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from wtforms import Field, HiddenField, ValidationError

from ....tags.rules import APPLIED, REJECTED
from ..form import ButtonField, NumberField, PageForm, start_tag, whole_number

_ACCEPT, _REJECT = "accept", "reject"
_STATES = {_ACCEPT: APPLIED, _REJECT: REJECTED}
#: Buttons that decide about all images of the page without a choice.
REST = {"accept_rest": _ACCEPT, "reject_rest": _REJECT}


class ChoicesField(Field):  # type: ignore[misc]
    """A choice for each image, by the key of its row; ``""`` for none.

    Each image has radio buttons of its own, with a name such as ``image.12``.
    """

    data: dict[int, str]
    process_errors: list[str]

    def process(self, formdata: Any, data: Any = None, **_options: Any) -> None:
        """Take the choices that were sent, or those to show."""
        self.process_errors, self.data = [], dict(data or {})
        prefix = f"{self.name}."
        for name in formdata or ():
            if name.startswith(prefix):
                self._add(name.removeprefix(prefix), formdata[name])

    def radio(self, row: int, value: str, **attributes: Any) -> Markup:
        """Render one of the radio buttons of an image."""
        name, checked = f"{self.name}.{row}", self.data.get(row, "") == value
        options = {"name": name, "value": value, "checked": checked, **attributes}
        return start_tag("input", type="radio", **options)

    def _add(self, row: str, value: str) -> None:
        try:
            self.data[whole_number(row)] = value
        except ValueError:
            self.process_errors.append("No image.")

    def pre_validate(self, form: PageForm) -> None:
        """Accept the values of the radio buttons.

        :raises wtforms.ValidationError: if a choice has another value.
        """
        if not {*self.data.values()} <= {*_STATES, ""}:
            raise ValidationError("No choice.")


class ReviewForm(PageForm):
    """A form that decides about a tag.

    ``tag`` is its key, ``before`` the row before the page, and ``image`` the choices.
    """

    tag = HiddenField()
    before = NumberField()
    image = ChoicesField()
    command = ButtonField(default="save")

    @property
    def wanted(self) -> Mapping[int, str]:
        """The wanted state of each decided image, by its row."""
        rest = REST.get(self.command.data, "")
        choices = {row: choice or rest for row, choice in self.image.data.items()}
        return {row: _STATES[choice] for row, choice in choices.items() if choice}
