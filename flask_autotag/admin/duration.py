"""Durations and counts in words."""

from __future__ import annotations

from .text import gettext

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def duration(seconds: float) -> str:
    """Write how long something takes, in the largest unit that says enough."""
    if seconds < 2 * _MINUTE:
        return gettext("%(number)s s", number=round(seconds))
    if seconds < 2 * _HOUR:
        return gettext("%(number)s min", number=round(seconds / _MINUTE))
    if seconds < 2 * _DAY:
        return gettext("%(number)s h", number=round(seconds / _HOUR))
    return gettext("%(number)s days", number=f"{seconds / _DAY:,.0f}")


def counted(number: int, most: int) -> str:
    """Write a count that stopped above *most*."""
    if number > most:
        return gettext("more than %(number)s", number=f"{most:,}")
    return f"{number:,}"
