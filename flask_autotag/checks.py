"""Checks of single values: each returns the value in its own type.

They raise :exc:`ValueError` with the end of a sentence that begins with the name
of the key or field, such as "must be a number from 0 to 1, not 'high'". Texts are
understood too, for they come from environment variables and forms.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

Check = Callable[[Any], Any]

_TRUE = {"1", "true", "on", "yes"}
_FALSE = {"0", "false", "off", "no"}


def boolean(value: Any) -> bool:
    """Accept ``True``, ``False`` and their usual spellings."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise ValueError(f"must be true or false, not {value!r:.80}")


def fraction(value: Any) -> float:
    """Accept a finite number from 0 to 1."""
    number = _number(value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"must be a number from 0 to 1, not {value!r:.80}")
    return number


def whole_number(least: int, most: int) -> Check:
    """Accept a whole number from *least* to *most*."""

    def check(value: Any) -> int:
        number = _number(value)
        if not least <= number <= most or number != int(number):
            raise ValueError(
                f"must be a whole number from {least} to {most}, not {value!r:.80}"
            )
        return int(number)

    return check


def one_of(*choices: str) -> Check:
    """Accept one of a few words."""

    def check(value: Any) -> str:
        if value not in choices:
            words = ", ".join(repr(choice) for choice in choices)
            raise ValueError(f"must be one of {words}, not {value!r:.80}")
        return str(value)

    return check


def text(value: Any) -> str:
    """Accept a text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be a text, not {value!r:.80}")
    return value.strip()


def optional_text(value: Any) -> str | None:
    """Accept a text that is not blank, or ``None``."""
    return None if value is None else text(value)


def folder(value: Any) -> str | None:
    """Accept the path of a folder that exists, or ``None``."""
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not os.path.isdir(value):
        raise ValueError(f"must be the path of an existing folder, not {value!r:.200}")
    return os.path.abspath(value)


def _number(value: Any) -> float:
    """Read a number; what is none becomes NaN, which is in no range."""
    if isinstance(value, bool):
        return math.nan
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan
