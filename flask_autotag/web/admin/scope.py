"""The scope of a page: the system or one instance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import request, url_for

from ...host.assets import SYSTEM
from ..access import instances, may
from ..endpoints import INSTANCE_PAGES, endpoint
from ..translation import gettext, translatable
from .routes import ROUTES, SETTINGS


@dataclass(frozen=True)
class PageLink:
    """A page of a scope, in its navigation.

    :param is_current: whether it is the requested page, or that page is part of it.
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
        """Whether the scope is the system."""
        return self.instance == SYSTEM

    @cached_property
    def title(self) -> str:
        """The scope's name for people."""
        if self.is_system:
            return gettext("System settings")
        return instances().get(self.instance, self.instance)

    def url_for(self, page: str, /, **values: Any) -> str:
        """Return the address of one of the scope's pages.

        :param page: a name of :data:`.ROUTES`.
        :param values: further parameters of the address.
        """
        if self.is_system:
            return url_for(self._endpoint(page), **values)
        return url_for(self._endpoint(page), instance=self.instance, **values)

    @property
    def url(self) -> str:
        """The address of the scope's settings."""
        return self.url_for(SETTINGS)

    def may(self, action: str) -> bool:
        """Whether the user may do something in this scope."""
        return may(action, self.instance)

    @cached_property
    def pages(self) -> list[PageLink]:
        """The pages of the navigation that the user may open."""
        requested = request.endpoint
        if requested == self._endpoint("tag"):
            requested = self._endpoint("tags")
        return [
            PageLink(
                gettext(title), self.url_for(page), self._endpoint(page) == requested
            )
            for page, title in _NAVIGATION.items()
            if (ROUTES[page].has_system or not self.is_system)
            and self.may(ROUTES[page].action)
        ]

    def _endpoint(self, page: str) -> str:
        if self.is_system:
            return endpoint(ROUTES[page].system_name)
        return endpoint(page, INSTANCE_PAGES)


#: Routes that the navigation lists, and their titles.
_NAVIGATION = {
    SETTINGS: translatable("Settings"),
    "tags": translatable("Tags"),
    "review": translatable("Review"),
    "images": translatable("Images"),
    "activity": translatable("Activity"),
    "history": translatable("History"),
}
