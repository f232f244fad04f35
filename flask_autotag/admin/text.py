"""The words of the pages, in the user's language if the host has Flask-Babel."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from flask import current_app

#: Name of our catalogues, apart from the host's.
DOMAIN = "flask_autotag"
_TRANSLATIONS = Path(__file__).parent.parent / "translations"


def gettext(message: str, **values: object) -> str:
    """Translate a message and fill its gaps.

    :param message: in English, with gaps such as ``%(name)s``.
    """
    if "babel" in current_app.extensions:
        return str(_domain().gettext(message, **values))
    return message % values if values else message


@cache
def _domain() -> Any:
    from flask_babel import Domain

    return Domain(translation_directories=[str(_TRANSLATIONS)], domain=DOMAIN)
