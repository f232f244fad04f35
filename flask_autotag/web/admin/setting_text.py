"""Values of settings and their errors as pages show them."""

from __future__ import annotations

from typing import Any

from ...settings.checks import CheckError
from ...settings.resolution import Origin
from ...settings.secret import Secret
from ..translation import gettext, translatable

#: The texts of a switch, in a form and in a list.
ON, OFF = "on", "off"

ORIGINS = {
    Origin.DEFAULT: translatable("Default"),
    Origin.CONFIG: translatable("Application's configuration"),
    Origin.SYSTEM: translatable("System"),
}


def write(value: Any) -> str:
    """Return a value as people read it."""
    if value is None:
        return gettext("not set")
    if isinstance(value, bool):
        return gettext("on") if value else gettext("off")
    if isinstance(value, Secret):
        return gettext("set")
    return plain(value)


def plain(value: Any) -> str:
    """Return a value as it is typed, and nothing for a secret.

    A fraction has two digits, unless it needs more.
    """
    if isinstance(value, bool):
        return ON if value else OFF
    if isinstance(value, float):
        return f"{value:.2f}" if round(value, 2) == value else repr(value)
    return "" if value is None or isinstance(value, Secret) else str(value)


def translated(error: CheckError) -> str:
    """Return an error in the user's language."""
    return gettext(error.message, **error.values)


def sentence_end(error: ValueError) -> str:
    """Return the error of a check, translated if it is one of ours."""
    return translated(error) if isinstance(error, CheckError) else str(error)
