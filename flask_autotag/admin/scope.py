"""Whose settings a page is about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import current_app, request, url_for

from ..assets import SYSTEM
from .access import REVIEW, VIEW, instances, may
from .text import gettext


@dataclass(frozen=True)
class PageLink:
    """A page of a scope, in its navigation.

    :param is_current: whether it is the page that is asked for.
    """

    title: str
    url: str
    is_current: bool


@dataclass(frozen=True)
class Scope:
    """The system, or an instance.

    :param instance: or :data:`.SYSTEM`.
    """

    instance: str

    @property
    def is_system(self) -> bool:
        """Whether it is the system."""
        return self.instance == SYSTEM

    @cached_property
    def title(self) -> str:
        """What people call it."""
        if self.is_system:
            return gettext("System settings")
        return instances().get(self.instance, self.instance)

    @property
    def url(self) -> str:
        """The address of the page of its settings."""
        if self.is_system:
            return url_for("autotag.system")
        return url_for("autotag_instance.settings", instance=self.instance)

    @property
    def history_url(self) -> str:
        """The address of the page of its history."""
        if self.is_system:
            return url_for("autotag.system_history")
        return url_for("autotag_instance.history", instance=self.instance)

    def may(self, action: str) -> bool:
        """Whether the user may do something there."""
        return may(action, self.instance)

    @cached_property
    def pages(self) -> list[PageLink]:
        """The pages that the user may open."""
        pages = _SYSTEM_PAGES if self.is_system else _INSTANCE_PAGES
        values: dict[str, Any] = {} if self.is_system else {"instance": self.instance}
        return [
            PageLink(
                gettext(title),
                url_for(endpoint, **values),
                request.endpoint == endpoint,
            )
            for endpoint, title, action in pages
            if endpoint in current_app.view_functions and self.may(action)
        ]


#: Endpoint, title, and the action that it needs.
_SYSTEM_PAGES = (
    ("autotag.system", "Settings", VIEW),
    ("autotag.system_tags", "Tags", VIEW),
    ("autotag.system_history", "History", VIEW),
)
_INSTANCE_PAGES = (
    ("autotag_instance.settings", "Settings", VIEW),
    ("autotag_instance.tags", "Tags", VIEW),
    ("autotag_instance.review", "Review", REVIEW),
    ("autotag_instance.history", "History", VIEW),
)
#: Titles of pages, for the one who collects messages.
TITLES = tuple(title for _, title, _ in (*_SYSTEM_PAGES, *_INSTANCE_PAGES))
