"""Whose settings a page is about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import request, url_for

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

    @property
    def activity_url(self) -> str:
        """The address of the page of what goes on there."""
        return self.activity_url_told()

    def activity_url_told(self, **told: Any) -> str:
        """Give the address of that page.

        :param told: what it is told beside, such as how many jobs were dismissed.
        """
        if self.is_system:
            return url_for("autotag.system_activity", **told)
        return url_for("autotag_instance.activity", instance=self.instance, **told)

    @property
    def tags_url(self) -> str:
        """The address of the page of its tags."""
        if self.is_system:
            return url_for("autotag.system_tags")
        return url_for("autotag_instance.tags", instance=self.instance)

    @property
    def words_url(self) -> str:
        """The address of the file of what was decided about its words."""
        if self.is_system:
            return url_for("autotag.system_words")
        return url_for("autotag_instance.words", instance=self.instance)

    def tag_url(self, key: str, **told: Any) -> str:
        """Give the address of the page of one tag.

        :param told: what that page is told beside, such as that it was saved.
        """
        if self.is_system:
            return url_for("autotag.system_tag", key=key, **told)
        return url_for("autotag_instance.tag", instance=self.instance, key=key, **told)

    def may(self, action: str) -> bool:
        """Whether the user may do something there."""
        return may(action, self.instance)

    @cached_property
    def pages(self) -> list[PageLink]:
        """The pages that the user may open."""
        pages = _SYSTEM_PAGES if self.is_system else _INSTANCE_PAGES
        present = _PARTS.get(request.endpoint or "", request.endpoint)
        values: dict[str, Any] = {} if self.is_system else {"instance": self.instance}
        return [
            PageLink(gettext(title), url_for(endpoint, **values), endpoint == present)
            for endpoint, title, action in pages
            if self.may(action)
        ]


#: Endpoint, title, and the action that it needs.
_SYSTEM_PAGES = (
    ("autotag.system", "Settings", VIEW),
    ("autotag.system_tags", "Tags", VIEW),
    ("autotag.system_activity", "Activity", VIEW),
    ("autotag.system_history", "History", VIEW),
)
_INSTANCE_PAGES = (
    ("autotag_instance.settings", "Settings", VIEW),
    ("autotag_instance.tags", "Tags", VIEW),
    ("autotag_instance.review", "Review", REVIEW),
    ("autotag_instance.activity", "Activity", VIEW),
    ("autotag_instance.history", "History", VIEW),
)
#: Endpoints whose pages are parts of another's.
_PARTS = {
    "autotag.system_tag": "autotag.system_tags",
    "autotag_instance.tag": "autotag_instance.tags",
}
#: Titles of pages, for the one who collects messages.
TITLES = tuple(title for _, title, _ in (*_SYSTEM_PAGES, *_INSTANCE_PAGES))
