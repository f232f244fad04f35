"""What the pages of the CMS show of tags. Their templates call it ``tagging``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import g, render_template

from flask_autotag import AppliedTag, Progress, TagCount

from ..models import Photo
from . import search
from .extension import autotag


@dataclass(frozen=True)
class Shown:
    """The tags of some photos: those of people first, then the surest.

    :param progress: how far the tagging of each photo is.
    :param chosen: the tags that the address asks to filter by.
    """

    tags: Mapping[object, Sequence[AppliedTag]]
    progress: Mapping[object, Progress]
    chosen: Sequence[str]

    @cached_property
    def offered(self) -> list[TagCount]:
        """The tags to filter by, with how many photos have each."""
        return search.offered_tags(g.instance.key)

    @property
    def counts_latest_only(self) -> bool:
        """Whether there may be more photos than those whose tags were counted."""
        # Each of them has the chosen tags.
        most = max((tag.count for tag in self.offered), default=0)
        return bool(self.chosen) and most >= search.COUNTED

    def similar(self, photo: Photo) -> list[Photo]:
        """Find photos like one."""
        return search.similar(photo, self.tags[photo])


def shown(photos: Iterable[Photo]) -> Shown:
    """Look up what a page shows of its photos, in two queries."""
    listed = list(photos)
    return Shown(
        autotag.preload(listed), autotag.progress(listed), search.chosen_tags()
    )


def described(
    photo: Photo, among: Shown | None = None, template: str = "chips"
) -> dict[str, Any]:
    """Describe the tagging of a photo for the scripts; they insert the HTML.

    :param among: what was looked up of it, with other photos.
    :param template: of the HTML.
    """
    found = among or shown([photo])
    context = {"photo": photo, "tagging": found}
    return {
        "pending": found.progress[photo].state == "pending",
        "words": render_template("tagging/words.txt", **context),
        "html": render_template(f"tagging/{template}.html", **context),
    }
