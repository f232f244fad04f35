"""Suggestions for a mistyped name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(
    typed: str, known: Iterable[str], before: str, prefix: str = ""
) -> str:
    """Return a question that suggests similar known names, or ``""`` without any.

    Suggested are all names that end with *before* and the typed name, as the same field
    of several sections does. Without any, the most similar name is.

    :param typed: the unknown name.
    :param before: the separator before a field's name, such as ``"."``.
    :param prefix: the beginning of all names. It is ignored in the comparison, because
        a long common prefix would make any two names similar.
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
