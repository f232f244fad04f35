"""The form that filters the page of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtforms import SearchField, StringField

from ....settings.tag_names import TagName, tag_name
from ....tags.queries.image_list import ImageFilter
from ...access import current_state
from ...translation import gettext, translatable
from ..filters import section_title
from ..form import ListField, NumberField, PageForm

#: The most characters of a text in the filter.
_MOST = 200


def _clean(text: str | None) -> str:
    # PostgreSQL refuses texts with a NUL.
    return (text or "").replace("\0", "").strip()[:_MOST]


def _providers() -> Mapping[str, str]:
    names = [section.name for section in current_state().sections if section.name]
    return {"": gettext("Any"), **{name: section_title(name) for name in names}}


def _tag_states() -> Mapping[str, str]:
    return {"": gettext("All"), "1": gettext("Without tags")}


class FilterForm(PageForm):
    """The filter, which is a part of the page's address.

    ``before`` is the row of the last image on the page before.
    """

    class Meta(PageForm.Meta):
        """Omits the token: a filter changes nothing."""

        csrf = False

    q = SearchField(translatable("Search"), id="autotag-q", filters=[_clean])
    tag = StringField(translatable("Tag"), id="autotag-tag", filters=[_clean])
    suggestion = StringField(
        translatable("Suggested tag"), id="autotag-suggestion", filters=[_clean]
    )
    provider = ListField(
        translatable("Provider"), id="autotag-provider", lines=_providers
    )
    untagged = ListField(translatable("Show"), id="autotag-untagged", lines=_tag_states)
    before = NumberField()

    @property
    def wanted(self) -> ImageFilter | None:
        """The filter; ``None`` if no image can meet it."""
        try:
            return ImageFilter(
                _name(self.tag.data),
                _name(self.suggestion.data),
                self.untagged.data == "1",
                self.provider.data or None,
                self.q.data or None,
            )
        except ValueError:
            return None

    @property
    def parameters(self) -> dict[str, str]:
        """The filter as parameters of an address, without empty ones."""
        names = ("q", "tag", "suggestion", "provider", "untagged")
        texts = {name: self[name].data or "" for name in names}
        return {name: _clean(text) for name, text in texts.items() if text}

    @property
    def place(self) -> dict[str, Any]:
        """The parameters of the same page."""
        before = self.before.data
        return {**self.parameters, **({} if before is None else {"before": before})}


def _name(text: str) -> TagName | None:
    return tag_name(text) if text else None
