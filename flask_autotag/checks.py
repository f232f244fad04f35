"""Checks of single values: each returns the value in its own type.

They raise :exc:`ValueError` with the end of a sentence that begins with the name
of the key or field, such as "must be a number from 0 to 1, not 'high'". Texts are
understood too, for they come from environment variables and forms. A message and
what fills its gaps are kept apart, so that pages can translate it.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import Any

from .settings.secret import Secret

Check = Callable[[Any], Any]

#: Characters of a text, such as a key or an address.
MOST_CHARACTERS = 500
#: Characters of a secret to encrypt with: as many as 16 random bytes have in hex.
SHORTEST_SECRET = 32

#: Characters of a language's code.
_LONGEST_LANGUAGE = 20
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")

#: What people write for a fraction, which it is not.
_SHARE = re.compile(r"([0-9]{1,3}(?:[.,][0-9]{1,4})?) ?(%?)")

_TRUE = {"1", "true", "on", "yes"}
_FALSE = {"0", "false", "off", "no"}


class CheckError(ValueError):
    """A value was not accepted.

    :param message: the end of a sentence, with gaps such as ``%(value)s``.
    :param values: what fills the gaps.
    """

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message % values if values else message)
        self.message = message
        self.values = values


def boolean(value: Any) -> bool:
    """Accept ``True``, ``False`` and their usual spellings."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise CheckError("must be true or false, not %(value)s", value=shown(value))


def fraction(value: Any) -> float:
    """Accept a finite number from 0 to 1."""
    number = _number(value)
    if 0.0 <= number <= 1.0:
        return number
    meant = _meant(value)
    if meant is None:
        raise CheckError(
            "must be a number from 0 to 1, not %(value)s", value=shown(value)
        )
    raise CheckError(
        "must be a number from 0 to 1, not %(value)s; for %(percent)s %% write"
        " %(fraction)s, with a point",
        value=shown(value),
        percent=f"{meant * 100:g}",
        fraction=f"{meant:g}",
    )


def whole_number(least: int, most: int) -> Check:
    """Accept a whole number from *least* to *most*."""

    def check(value: Any) -> int:
        number = _number(value)
        if not least <= number <= most or number != int(number):
            raise CheckError(
                "must be a whole number from %(least)s to %(most)s, not %(value)s",
                least=least,
                most=most,
                value=shown(value),
            )
        return int(number)

    return check


def one_of(*choices: str) -> Check:
    """Accept one of a few words."""

    def check(value: Any) -> str:
        if value not in choices:
            raise CheckError(
                "must be one of %(choices)s, not %(value)s",
                choices=", ".join(repr(choice) for choice in choices),
                value=shown(value),
            )
        return str(value)

    return check


def text(value: Any) -> str:
    """Accept a text of one line that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise CheckError("must be a text, not %(value)s", value=shown(value))
    stripped = value.strip()
    if len(stripped) > MOST_CHARACTERS:
        raise CheckError(
            "must be at most %(most)s characters long, not %(length)s",
            most=MOST_CHARACTERS,
            length=f"{len(stripped):,}",
        )
    if not stripped.isprintable():
        raise CheckError("must be a text of one line, without control characters")
    return stripped


def secret(value: Any) -> Secret | None:
    """Accept a key: printable ASCII without blanks, as all that go into headers are.

    No message repeats what was given.
    """
    if value is None or isinstance(value, Secret):
        return value
    stripped = value.strip() if isinstance(value, str) else ""
    if not stripped or len(stripped) > MOST_CHARACTERS:
        raise CheckError(
            "must be a key of 1 to %(most)s characters", most=MOST_CHARACTERS
        )
    if not all("!" <= character <= "~" for character in stripped):
        raise CheckError(
            "must be a key of ASCII letters, digits and signs, without blanks"
        )
    return Secret(stripped)


def optional_text(value: Any) -> str | None:
    """Accept a text that is not blank, or ``None``."""
    return None if value is None else text(value)


def language(value: Any) -> str:
    """Accept the code of a language, such as ``en`` or ``zh-Hans``."""
    code = value.strip() if isinstance(value, str) else ""
    if len(code) > _LONGEST_LANGUAGE or not _LANGUAGE.fullmatch(code):
        raise CheckError(
            "must be a code such as en, de or pt-BR, not %(value)s", value=shown(value)
        )
    return code


def price(value: Any) -> str | None:
    """Accept a price such as ``$1.50``, ``1.50 €`` or ``EUR 1.50``, or ``None``.

    :return: as it was written.
    """
    # Here and not above: it brings the module of decimals along, which takes its time.
    from . import costs

    if value is None:
        return None
    written = str(value).strip()
    try:
        if isinstance(value, bool):
            raise ValueError
        costs.parse(written)
    except ValueError:
        raise CheckError(
            "must be a price such as 1.50, $1.50, 1.50 € or EUR 1.50, not %(value)s",
            value=shown(value),
        ) from None
    return written


def secret_keys(value: Any) -> tuple[str, ...] | None:
    """Accept secrets to encrypt with, newest first, or ``None``.

    No message repeats what was given.
    """
    if value is None:
        return None
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not words:
        raise CheckError("must be a list of texts, or a text with commas")
    keys = tuple(str(word).strip() for word in words)
    if any(len(key) < SHORTEST_SECRET for key in keys):
        raise CheckError(
            "must be texts of at least %(least)s characters each", least=SHORTEST_SECRET
        )
    return keys


def url_prefix(value: Any) -> str | None:
    """Accept a path that begins with a slash and ends without one, or ``None``."""
    if value is None:
        return None
    path = value if isinstance(value, str) else ""
    if not path.startswith("/") or path.endswith("/") or "//" in path:
        raise CheckError(
            "must be a path such as /admin/autotag, not %(value)s", value=shown(value)
        )
    return path


def folder(value: Any) -> str | None:
    """Accept the path of a folder that exists, or ``None``."""
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not os.path.isdir(value):
        raise CheckError(
            "must be the path of an existing folder, not %(value)s",
            value=shown(value, 200),
        )
    return os.path.abspath(value)


def device(value: Any) -> str | None:
    """Accept a device as TensorFlow names it, or ``None``.

    :return: with its number, such as ``GPU:0``.
    """
    if value is None:
        return None
    kind, _, number = str(value).removeprefix("/device:").upper().partition(":")
    if not kind.isascii() or not kind.isalpha() or not (number or "0").isdigit():
        raise CheckError(
            "must be a device such as CPU or GPU:1, not %(value)s", value=shown(value)
        )
    return f"{kind}:{number or 0}"


def shown(value: object, most: int = 80) -> str:
    """Write a value that was refused, as much of it as a message holds."""
    return f"{value!r:.{most}}"


def _meant(value: Any) -> float | None:
    """Guess which fraction was written as ``50``, ``30%`` or ``0,3``."""
    found = (
        _SHARE.fullmatch(str(value).strip()) if isinstance(value, str | int) else None
    )
    if found is None:
        return None
    number, sign = float(found[1].replace(",", ".")), found[2]
    if not sign and number > 1 and number != int(number):
        # Such as 1.5: nobody knows.
        return None
    share = number / 100 if sign or number > 1 else number
    return share if share <= 1 else None


def _number(value: Any) -> float:
    """Read a number; what is none becomes NaN, which is in no range."""
    if isinstance(value, bool):
        return math.nan
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan
