"""What somebody may have meant who typed a name that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(
    typed: str, known: Iterable[str], before: str, prefix: str = ""
) -> str:
    """Ask whether one of the known names was meant.

    These are all that end with what was typed, after *before*, as the same field of
    several sections does; else the nearest.

    :param before: what stands before a field, such as ``"."``.
    :param prefix: with which all begin; without it they are compared, as else nothing
        would be far from anything.
    :return: a question; an empty text if none is near.
    """
    names, rest = sorted(known), typed.removeprefix(prefix)
    meant = [name for name in names if rest and name.endswith(f"{before}{rest}")]
    if not meant:
        near = difflib.get_close_matches(
            rest, [name.removeprefix(prefix) for name in names], n=1
        )
        meant = [f"{prefix}{name}" for name in near]
    if not meant:
        return ""
    *others, last = meant
    either = f"{', '.join(others)} or {last}" if others else last
    return f"Did you mean {either}?"
