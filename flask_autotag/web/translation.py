"""Translates the pages' texts into the user's language if the host has Flask-Babel."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from flask import current_app

#: The domain of the extension's catalogues, apart from the host's.
DOMAIN = "flask_autotag"
_TRANSLATIONS = Path(__file__).parent.parent / "translations"


def gettext(message: str, **values: object) -> str:
    """Translate a message and fill in its placeholders.

    :param message: in English, with placeholders such as ``%(name)s``.
    """
    if "babel" in current_app.extensions:
        return str(_domain().gettext(message, **values))
    return message % values if values else message


def translatable(message: str) -> str:
    """Return a message of a table; :func:`gettext` translates it where it is shown.

    ``tools/messages.py`` collects messages from the calls of both functions.
    """
    return message


@cache
def _domain() -> Any:
    from flask_babel import Domain

    return Domain(translation_directories=[str(_TRANSLATIONS)], domain=DOMAIN)
