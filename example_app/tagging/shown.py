"""The tags that the pages of the CMS show. Templates use it as ``tagging``."""

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
    """The tags of some photos: people's first, then by confidence.

    :param progress: the progress of each photo.
    :param chosen: the tags in the URL, by which the photos are filtered.
    """

    tags: Mapping[object, Sequence[AppliedTag]]
    progress: Mapping[object, Progress]
    chosen: Sequence[str]

    @cached_property
    def offered(self) -> list[TagCount]:
        """The tags offered as filters, with their number of photos."""
        return search.offered_tags(g.instance.key)

    @property
    def counts_latest_only(self) -> bool:
        """Whether there may be photos whose tags were not counted."""
        # Each of them has the chosen tags.
        most = max((tag.count for tag in self.offered), default=0)
        return bool(self.chosen) and most >= search.COUNTED

    def similar(self, photo: Photo) -> list[Photo]:
        """Return photos similar to one."""
        return search.similar(photo, self.tags[photo])


def shown(photos: Iterable[Photo]) -> Shown:
    """Read the tags and the progress of the photos of a page, in two queries."""
    listed = list(photos)
    # Before the tags: a photo that is tagged in between counts as pending.
    progress = autotag.progress(listed)
    return Shown(autotag.preload(listed), progress, search.chosen_tags())


def described(
    photo: Photo, among: Shown | None = None, template: str = "chips"
) -> dict[str, Any]:
    """Return the state of a photo for the scripts, which insert its HTML.

    :param among: the result of :func:`shown` for a page with the photo.
    :param template: the template of the HTML.
    """
    found = among or shown([photo])
    context = {"photo": photo, "tagging": found}
    return {
        "pending": found.progress[photo].state == "pending",
        "words": render_template("tagging/words.txt", **context),
        "html": render_template(f"tagging/{template}.html", **context),
    }
