"""Whose settings a page is about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import url_for

from ..assets import SYSTEM
from .access import instances, may
from .text import gettext


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
