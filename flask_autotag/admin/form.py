"""What a form of settings sent: read completely, and kept for the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import current_app, request
from flask_wtf import FlaskForm
from werkzeug.datastructures import FileStorage, MultiDict

from ..checks import CheckError
from ..settings.fields import Field, Path, Section, dotted, paths
from .access import current_state

#: Begin the names of the fields: of values, and of the boxes that remove a secret.
VALUE, REMOVE = "setting.", "remove."
#: Characters that are shown again of what was refused.
_SHOWN = 500
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")


class TokenForm(FlaskForm):  # type: ignore[misc]
    """Holds the token against forged requests, and nothing else."""


def can_be_trusted() -> bool:
    """Whether forms can be protected: the token is signed with ``SECRET_KEY``."""
    config = current_app.config
    return bool(config.get("SECRET_KEY")) or not config.get("WTF_CSRF_ENABLED", True)


def token_form() -> TokenForm:
    """Make the token of this request."""
    return TokenForm(meta=None if can_be_trusted() else {"csrf": False})


def guard_fields() -> dict[str, str]:
    """Give what a form holds unseen: its token, and what the host adds."""
    form = token_form()
    name = form.meta.csrf_field_name
    token = {name: form[name].current_token} if form.meta.csrf else {}
    return {**token, **current_state().hooks.form_fields()}


def too_old() -> CheckError:
    """Make what to say of a form whose token is wrong."""
    return CheckError("The form was too old to be trusted. Send it again.")


@dataclass
class Sent:
    """A form that was sent.

    :ivar typed: field → its text, or ``None`` to inherit; without what stays as it is.
    :ivar errors: what is wrong with the form itself, by field.
    :ivar complaints: what is wrong with it as a whole.
    :ivar version: of the settings that the user saw.
    :ivar seen: these settings, as :func:`.conflict.write_seen` wrote them.
    """

    typed: dict[Path, str | None] = field(default_factory=dict)
    errors: dict[Path, CheckError] = field(default_factory=dict)
    complaints: list[CheckError] = field(default_factory=list)
    version: int = 0
    seen: str = ""

    def shown(self, path: Path) -> str:
        """Give what was typed, to be shown again."""
        return (self.typed.get(path) or "")[:_SHOWN]


def read_form(sections: tuple[Section, ...], token: TokenForm) -> Sent:
    """Read the form of the request."""
    form, sent = request.form, Sent()
    fields = paths(sections)
    for path, one in fields.items():
        _read_field(form, path, one, sent)
    _reset(form, fields, sent)
    known = {VALUE + dotted(path) for path in fields}
    for name in form:
        if name.startswith(VALUE) and name not in known:
            sent.complaints.append(
                CheckError(
                    "The form has a field that does not belong to it: %(name)s. Reload"
                    " the page.",
                    name=name[:80],
                )
            )
    version = form.get("version", "")
    if _WHOLE_NUMBER.fullmatch(version):
        sent.version = int(version)
    else:
        sent.complaints.append(
            CheckError("The form is incomplete. Reload the page and try again.")
        )
    sent.seen = form.get("seen", "")
    if not token.validate():
        sent.complaints.append(too_old())
    return sent


def command() -> str:
    """Say which button was pressed."""
    for name in ("test", "resume"):
        if name in request.form:
            return name
    if "reset" in request.form or "reset_section" in request.form:
        return "reset"
    return request.form.get("command", "save")


def uploaded_image() -> FileStorage | None:
    """Give the image that was sent along, if one was."""
    file = request.files.get("image")
    return file if file is not None and file.filename else None


def _read_field(form: MultiDict[str, str], path: Path, one: Field, sent: Sent) -> None:
    values = form.getlist(VALUE + dotted(path))
    if len(values) != 1:
        sent.errors[path] = CheckError(
            "was missing from the form, or there twice: reload the page"
        )
        return
    text = values[0].strip()
    if not one.is_secret:
        sent.typed[path] = text or None
    elif text:
        sent.typed[path] = text
    elif REMOVE + dotted(path) in form:
        sent.typed[path] = None


def _reset(form: MultiDict[str, str], fields: Mapping[Path, Any], sent: Sent) -> None:
    """Empty the fields whose reset button was pressed."""
    name, section = form.get("reset"), form.get("reset_section")
    for path in fields:
        if dotted(path) == name or path[0] == section:
            sent.typed[path] = None
            sent.errors.pop(path, None)
