"""Filters of the pages' templates: numbers, times, titles and pictures."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint

from ...host.assets import AssetRef
from ..access import current_state
from ..translation import gettext

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def add_filters(blueprint: Blueprint) -> None:
    """Add the filters to the application that registers *blueprint*."""
    for filter in (number, count, duration, utc, section_title, picture_url):
        blueprint.add_app_template_filter(filter, f"autotag_{filter.__name__}")


def number(value: int) -> str:
    """Write a number with separators."""
    return f"{value:,}"


def count(value: int) -> str:
    """Write a count of jobs, which may have stopped at the limit of the pages."""
    from ...monitoring.activity import COUNTED

    if value > COUNTED:
        return gettext("more than %(number)s", number=number(COUNTED))
    return number(value)


def duration(seconds: float) -> str:
    """Write a duration, in the largest unit that is exact enough."""
    if seconds < 2 * _MINUTE:
        return gettext("%(number)s s", number=round(seconds))
    if seconds < 2 * _HOUR:
        return gettext("%(number)s min", number=round(seconds / _MINUTE))
    if seconds < 2 * _DAY:
        return gettext("%(number)s h", number=round(seconds / _HOUR))
    return gettext("%(number)s days", number=f"{seconds / _DAY:,.0f}")


def utc(seconds: float) -> datetime:
    """Convert seconds since 1970 to a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def section_title(name: str) -> str:
    """Return the title of a section of settings, and thereby of its provider.

    The section of a provider that is no longer installed is called by its name.
    """
    titles = {section.name: section.title for section in current_state().sections}
    return gettext(titles.get(name, name))


def picture_url(asset: AssetRef) -> str | None:
    """Return the address of a small picture of an image, if the host knows one."""
    find = current_state().hooks.image_url
    return find(asset) if find else None
