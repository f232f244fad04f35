"""Checks of the values in ``model.toml``. Each error names the key."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

#: The text for an option that is off.
NONE = "none"

#: Characters of a title or of the name of a file or tensor.
MAX_TITLE = 200
#: The largest mean or scale. They apply to values up to 255.
_MAX_NUMBER = 1_000_000
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def refuse_unknown(name: str, table: Mapping[str, Any], known: set[str]) -> None:
    """Refuse keys of a table that are not known."""
    for key in table:
        if key not in known:
            raise ValueError(
                f"{name}.{key} is unknown; the keys are: {', '.join(sorted(known))}"
            )


def table(key: str, value: Any) -> Mapping[str, Any]:
    """Return a table."""
    if not isinstance(value, dict):
        raise ValueError(f"{key} must be a table, [{key}], not {shown(value)}")
    return value


def text(key: str, value: Any, most: int) -> str:
    """Return a text of one line.

    :param most: characters.
    """
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise ValueError(
            f"{key} must be a text of 1 to {most} characters, not {shown(value)}"
        )
    if not value.isprintable():
        raise ValueError(
            f"{key} must be a text of one line, without control characters, not"
            f" {shown(value)}"
        )
    return value


def optional_text(key: str, value: Any) -> str | None:
    """Return the name of a file or tensor; ``None`` if there is none."""
    return None if value is None else text(key, value, MAX_TITLE)


def sha256(value: Any, key: str = "sha256") -> str:
    """Return a SHA-256 in lower-case hexadecimal digits."""
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(
            f"{key} must be a text of 64 hexadecimal digits, not {shown(value)}"
        )
    return value.lower()


def one_of(key: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return one of some texts."""
    if value not in choices:
        raise ValueError(
            f"{key} must be one of {', '.join(choices)}, not {shown(value)}"
        )
    return str(value)


def whole_number(key: str, value: Any, least: int, most: int) -> int:
    """Return a whole number, which may be written as a float."""
    number = _number(value)
    if number is None or not least <= number <= most or number != int(number):
        raise ValueError(
            f"{key} must be a whole number from {least} to {most:,}, not {shown(value)}"
        )
    return int(number)


def share(key: str, value: Any) -> float:
    """Return a share: above 0 and at most 1."""
    number = _number(value)
    if number is None or not 0 < number <= 1:
        raise ValueError(
            f'{key} must be "{NONE}", or above 0 and at most 1, not {shown(value)}'
        )
    return number


def confidence(key: str, value: Any) -> float:
    """Return a confidence: from 0 to 1."""
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise ValueError(f"{key} must be from 0 to 1, not {shown(value)}")
    return number


def colour(key: str, value: Any) -> tuple[int, int, int]:
    """Return red, green and blue, from one number or a list; each is from 0 to 255."""
    numbers = _three(value, lambda number: 0 <= number <= 255 and number.is_integer())
    if numbers is None:
        raise ValueError(
            f"{key} must be a whole number from 0 to 255, or a list of one for red,"
            f" green and blue, not {shown(value)}"
        )
    red, green, blue = map(int, numbers)
    return red, green, blue


def per_channel(key: str, value: Any) -> tuple[float, float, float]:
    """Return a number for each channel, from one number or a list."""
    numbers = _three(value, lambda number: abs(number) <= _MAX_NUMBER)
    if numbers is None:
        raise ValueError(
            f"input.{key} must be one number of at most {_MAX_NUMBER:,}, or a list"
            f" of one for each channel, not {shown(value)}"
        )
    return numbers


def _three(
    value: Any, is_valid: Callable[[float], bool]
) -> tuple[float, float, float] | None:
    """Return three numbers, from one number or a list; ``None`` if any is invalid."""
    values = value if isinstance(value, list) else [value] * 3
    numbers = [
        number
        for each in values
        if (number := _number(each)) is not None and is_valid(number)
    ]
    if len(values) != 3 or len(numbers) != 3:
        return None
    red, green, blue = numbers
    return red, green, blue


def _number(value: Any) -> float | None:
    """Return a finite number as a float; ``None`` for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def shown(value: Any) -> str:
    """Return a value as a message shows it, cut after 80 characters."""
    try:
        return f"{value!r:.80}"
    except ValueError:
        # Python refuses to print an integer of thousands of digits.
        return "a number of thousands of digits"
