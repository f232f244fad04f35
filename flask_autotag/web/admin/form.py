"""The base of the forms on the pages: Flask-WTF's, protected where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NoReturn

import wtforms
from flask import abort, current_app, request
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from markupsafe import Markup
from wtforms.widgets import HiddenInput, html_params

from ...host.assets import NAME_LENGTH
from ...settings.checks import CheckError
from ...settings.tag_names import TagName, tag_name
from ..access import current_state
from ..translation import gettext

#: Makes a form read the current request if that is a POST.
SENT: Any = object()
#: The most digits of a number: each database can store these.
_DIGITS = 18
#: One line of a list, as WTForms wants it; before 3.3 that is a tuple.
_Choice: Any = getattr(wtforms.fields.choices, "Choice", lambda *parts: parts)


class PageForm(FlaskForm):  # type: ignore[misc]
    """A form of a page. The labels of its fields are translated when it is made.

    :param formdata: the texts that were sent; ``None`` for a form to fill in.
        Uploaded files are no part of them: a file is never mistaken for a text.
    :ivar sent: these texts, by name.
    """

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        """Omits the token if none can be signed."""

        @cached_property
        def csrf(self) -> bool:
            """Whether the form has a token."""
            config = current_app.config
            return bool(config.get("WTF_CSRF_ENABLED", True) and can_be_trusted())

    def __init__(self, formdata: Any = SENT, **kwargs: Any) -> None:
        if formdata is SENT:
            formdata = request.form if request and request.method == "POST" else None
        self.sent: Mapping[str, str] = formdata or {}
        super().__init__(formdata, **kwargs)
        for field in self:
            field.label.text = gettext(field.label.text)

    @property
    def has_valid_token(self) -> bool:
        """Whether the token is valid, or the host has turned tokens off."""
        if not self.meta.csrf:
            return can_be_trusted()
        return bool(self[self.meta.csrf_field_name].validate(self))

    @property
    def hidden_fields(self) -> dict[str, str]:
        """The hidden fields: those with a value, the token, and the host's own."""
        token = self.meta.csrf_field_name
        own = {
            field.name: field._value()
            for field in self
            if isinstance(field.widget, HiddenInput)
            and (field.data is not None or field.name == token)
        }
        return {**own, **current_state().hooks.form_fields()}

    def hidden_tag(self) -> Markup:
        """Render the hidden fields, without ids: a page may have several forms."""
        return Markup().join(
            start_tag("input", type="hidden", name=name, value=value)
            for name, value in self.hidden_fields.items()
        )


class ButtonField(wtforms.StringField):  # type: ignore[misc]
    """The value of the pressed button; ``None`` if none of its name was pressed."""

    def button(self, value: str, label: str, **attributes: Any) -> Markup:
        """Render one of the buttons."""
        begin = start_tag("button", name=self.name, value=value, **attributes)
        return begin + label + Markup("</button>")


class NumberField(wtforms.HiddenField):  # type: ignore[misc]
    """A hidden whole number."""

    def process_formdata(self, texts: Sequence[str]) -> None:
        """Take the number that was sent.

        :raises ValueError: if the text is not a number.
        """
        self.data = None
        if texts:
            self.data = whole_number(texts[0])


class UploadField(FileField):  # type: ignore[misc]
    """A file. It is read from the files of the request, never from its texts."""

    def process(self, formdata: Any, *args: Any, **kwargs: Any) -> None:
        """Take the file if the form was sent."""
        files = None if formdata is None else request.files
        super().process(files, *args, **kwargs)


class ListField(wtforms.SelectField):  # type: ignore[misc]
    """A list to choose from, in the user's language.

    :param lines: returns the text of each line, by its value.
    """

    def __init__(
        self,
        *args: Any,
        lines: Callable[[], Mapping[str, str]] = dict,
        **options: Any,
    ) -> None:
        super().__init__(*args, choices=[], validate_choice=False, **options)
        self._lines = lines

    def lines(self) -> Mapping[str, str]:
        """Return the text of each line, by its value."""
        return self._lines()

    def iter_choices(self) -> Iterator[Any]:
        """Yield the lines."""
        for value, text in self.lines().items():
            yield _Choice(value, text, value == self._value(), {})

    def _value(self) -> str:
        return self.data or ""


def start_tag(name: str, /, **attributes: Any) -> Markup:
    """Return the tag that begins an element; the values of attributes are escaped."""
    # A text before WTForms 3.3.
    return Markup(f"<{name} {html_params(**attributes)}>")  # noqa: S704


def can_be_trusted() -> bool:
    """Whether forms can be protected: the token is signed with ``SECRET_KEY``."""
    config = current_app.config
    return bool(config.get("SECRET_KEY")) or not config.get("WTF_CSRF_ENABLED", True)


def whole_number(text: str) -> int:
    """Return a whole number that each database can store.

    :raises ValueError: if the text is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise ValueError(text)
    return int(text)


def typed_tag(text: str) -> TagName:
    """Return the name of a tag that a user typed.

    :raises CheckError: if it is empty, or no tag can have it.
    """
    if not text.strip():
        raise CheckError("Type a tag first.")
    try:
        return tag_name(text)
    except ValueError:
        raise CheckError(
            "The name of a tag must have 1 to %(most)s characters.", most=NAME_LENGTH
        ) from None


def too_old() -> CheckError:
    """Return the error of a form whose token is missing, wrong or too old."""
    return CheckError("The form was too old to be trusted. Send it again.")


def refuse_button() -> NoReturn:
    """Refuse a form whose button has an unknown value."""
    abort(400, gettext("The form has a button that does not belong to it."))


def refuse_incomplete() -> NoReturn:
    """Refuse a form that lacks a field or has a wrong one."""
    abort(400, gettext("The form is incomplete. Reload the page and try again."))
