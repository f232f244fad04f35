"""Checks of single values, for fields of settings and keys of the configuration.

A check takes a value, or a text from a form or an environment variable, and returns the
value in its proper type. It raises :exc:`CheckError` for anything else. The message is
the end of a sentence that begins with the name of the field or key, such as "must be a
number from 0 to 1, not 'high'".
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigurationError
from .secret import Secret

Check = Callable[[Any], Any]

#: Begins every key of ``app.config``.
PREFIX = "AUTOTAG_"

#: The most characters of a text, such as a key or an address.
MOST_CHARACTERS = 500
#: The fewest characters of an encryption secret: 16 random bytes in hexadecimal digits.
SHORTEST_SECRET = 32

#: The most characters of a language code.
_LONGEST_LANGUAGE = 20
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")

#: A percentage, or a number with a decimal comma, typed for a fraction.
_SHARE = re.compile(r"([0-9]{1,3}(?:[.,][0-9]{1,4})?) ?(%?)")

_TRUE = {"1", "true", "on", "yes"}
_FALSE = {"0", "false", "off", "no"}


class CheckError(ValueError):
    """A value was not accepted.

    :param message: the end of a sentence, with placeholders such as ``%(value)s``. It
        is kept apart from the values so that pages can translate it.
    :param values: the values of the placeholders.
    """

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message % values if values else message)
        self.message = message
        self.values = values


def boolean(value: Any) -> bool:
    """Accept ``True`` and ``False``, and the texts true/false, on/off, yes/no, 1/0."""
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
    """Accept one of the given texts."""

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
    """Accept one line of at most 500 characters that is not blank."""
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


def identifier(value: Any) -> str:
    """Accept a name of letters, digits and underscores."""
    if not isinstance(value, str) or not (value.isascii() and value.isidentifier()):
        raise CheckError(
            "must be a name of letters, digits and underscores, not %(value)s",
            value=shown(value),
        )
    return value


def secret(value: Any) -> Secret | None:
    """Accept a key of 1 to 500 printable ASCII characters without blanks, or ``None``.

    HTTP headers carry nothing else. No message repeats the value.
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
            "must be a key of ASCII letters, digits and symbols, without spaces"
        )
    return Secret(stripped)


def optional_text(value: Any) -> str | None:
    """Accept a text that is not blank, or ``None``."""
    return None if value is None else text(value)


def language(value: Any) -> str:
    """Accept a language code such as ``en`` or ``zh-Hans``."""
    code = value.strip() if isinstance(value, str) else ""
    if len(code) > _LONGEST_LANGUAGE or not _LANGUAGE.fullmatch(code):
        raise CheckError(
            "must be a code such as en, de or pt-BR, not %(value)s", value=shown(value)
        )
    return code


def secret_keys(value: Any) -> tuple[str, ...] | None:
    """Accept encryption secrets, newest first, or ``None``.

    No message repeats the value.
    """
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise CheckError("must be a list of texts, or a text with commas")
    keys = tuple(str(part).strip() for part in parts)
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


def origins(value: Any) -> frozenset[str]:
    """Accept origins (scheme, host and port) in a list, or in a text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple | set | frozenset):
        raise CheckError("must be a list of texts, or a text with commas")
    return frozenset(_origin(part) for part in parts)


def _origin(value: Any) -> str:
    address = text(value).rstrip("/").lower()
    parts = split_address(address)
    plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise CheckError(
            "must name origins such as http://127.0.0.1:8501, not %(value)s",
            value=shown(value),
        )
    return address


def split_address(address: str) -> SplitResult:
    """Return the parts of an address.

    :raises CheckError: if it is not an address.
    """
    try:
        return urlsplit(address)
    except ValueError:
        raise CheckError(
            "must be an address, not %(value)s", value=shown(address)
        ) from None


def folder(value: Any) -> str | None:
    """Accept the path of an existing folder, or ``None``; return an absolute path."""
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

    :return: the device with its number, such as ``GPU:0``.
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
    """Return a refused value for a message: its first *most* characters."""
    return f"{value!r:.{most}}"


def _meant(value: Any) -> float | None:
    """Return the fraction that somebody typed as ``50``, ``30%`` or ``0,3``."""
    found = (
        _SHARE.fullmatch(str(value).strip()) if isinstance(value, str | int) else None
    )
    if found is None:
        return None
    number, sign = float(found[1].replace(",", ".")), found[2]
    if not sign and number > 1 and number != int(number):
        # A number such as 1.5 may be a percentage or a mistyped fraction.
        return None
    share = number / 100 if sign or number > 1 else number
    return share if share <= 1 else None


def _number(value: Any) -> float:
    """Return a finite number, or NaN, which lies in no range, for anything else."""
    if isinstance(value, bool):
        return math.nan
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def checked(key: str, check: Check, value: Any) -> Any:
    """Check one value of ``app.config``.

    :raises ConfigurationError: with the key's name before the check's own words.
    """
    try:
        return check(value)
    except ValueError as error:
        raise ConfigurationError(f"{key} {error}.") from None
