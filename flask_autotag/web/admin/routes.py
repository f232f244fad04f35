"""The table of routes: every address of the pages, and the action that it needs.

Each instance has every route. The system has those that are not about single images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..access import REVIEW, VIEW

SETTINGS = "settings"
_FORM = ("GET", "POST")


@dataclass(frozen=True)
class Route:
    """A route of an instance and, unless :attr:`has_system` is off, of the system.

    :param name: the endpoint in the blueprint of an instance's pages.
    :param view: the function that answers for a :class:`.Scope`, as a dotted name below
        this package. It is imported with the first request.
    :param action: the action that the user needs there.
    :param checks_instance: answer 404 if the host does not list the instance.
    """

    name: str
    view: str
    action: str = VIEW
    methods: Sequence[str] = ("GET",)
    has_system: bool = True
    checks_instance: bool = True

    @property
    def instance_path(self) -> str:
        """The path below the blueprint's prefix, for one instance."""
        first = "instances" if self.name == SETTINGS else self.name
        return f"/{first}/<path:instance>"

    @property
    def system_path(self) -> str:
        """The path below the blueprint's prefix, for the system."""
        return "/system" if self.name == SETTINGS else f"/system/{self.name}"

    @property
    def system_name(self) -> str:
        """The endpoint in the blueprint ``autotag``."""
        return "system" if self.name == SETTINGS else f"system_{self.name}"


ROUTES = {
    route.name: route
    for route in (
        Route(SETTINGS, "settings.settings_page.settings_page", methods=_FORM),
        Route("tags", "tags.list_page.tags_page", methods=_FORM),
        Route("tag", "tags.tag_request.tag_page", methods=_FORM),
        Route("words", "tags.csv_page.words_file"),
        Route("activity", "activity.activity_page.activity_page", methods=_FORM),
        Route("history", "overview.history_page"),
        Route(
            "review",
            "review.review_page.review_page",
            REVIEW,
            methods=_FORM,
            has_system=False,
        ),
        Route(
            "images",
            "images.images_page.images_page",
            REVIEW,
            methods=_FORM,
            has_system=False,
        ),
        Route(
            "explain",
            "review.explanation_page.explanation_page",
            REVIEW,
            has_system=False,
        ),
        # The image of an edit is signed for its instance, and a completion only reads:
        # neither needs the list of instances, which may take long.
        Route(
            "edit",
            "review.edit.edit",
            REVIEW,
            methods=("POST",),
            has_system=False,
            checks_instance=False,
        ),
        Route(
            "complete",
            "review.edit.complete",
            REVIEW,
            has_system=False,
            checks_instance=False,
        ),
    )
}
