"""The form that searches, filters and sorts the page of tags."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from wtforms import SearchField

from ....settings.tag_names import tag_name
from ....tags.queries.word_list import Filter, Order
from ...translation import gettext, translatable
from ..form import ListField, NumberField, PageForm

#: The most characters of a search, and the highest number of a page.
_SEARCH, _LAST = 200, 10**6

EnumT = TypeVar("EnumT", bound=StrEnum)


def _filters() -> Mapping[str, str]:
    return {
        "": gettext("All"),
        Filter.DECIDED: gettext("With decisions"),
        Filter.UNUSED: gettext("Without images"),
    }


def _orders() -> Mapping[str, str]:
    return {"": gettext("Name"), Order.USE: gettext("Use")}


class SearchForm(PageForm):
    """The search, which is a part of the page's address.

    ``q`` is a part of a name, and ``page`` the number of a page, from 1.
    """

    class Meta(PageForm.Meta):
        """Omits the token: a search changes nothing."""

        csrf = False

    q = SearchField(
        translatable("Search"),
        id="autotag-q",
        filters=[lambda text: (text or "")[:_SEARCH]],
    )
    show = ListField(translatable("Show"), id="autotag-show", lines=_filters)
    sort = ListField(translatable("Sort by"), id="autotag-sort", lines=_orders)
    page = NumberField()

    @property
    def key(self) -> str | None:
        """The part of a key to search for; ``None`` if no key can contain it."""
        try:
            return tag_name(self.q.data).key if self.q.data.strip() else ""
        except ValueError:
            return None

    @property
    def shown(self) -> Filter:
        """The words to list."""
        return _one_of(Filter, self.show.data)

    @property
    def order(self) -> Order:
        """The order of the list."""
        return _one_of(Order, self.sort.data)

    @property
    def number(self) -> int:
        """The number of the page."""
        return min(max(1, self.page.data or 1), _LAST)

    def parameters(self, page: int) -> Mapping[str, str]:
        """Return the parameters of another page's address, without defaults."""
        parameters = {
            "q": self.q.data,
            "show": "" if self.shown is Filter.ALL else self.shown.value,
            "sort": "" if self.order is Order.NAME else self.order.value,
            "page": "" if page == 1 else str(page),
        }
        return {name: value for name, value in parameters.items() if value}


def _one_of(kind: type[EnumT], value: str | None) -> EnumT:
    """Return the member with a value, or else the first member, the default."""
    return next((each for each in kind if each.value == value), next(iter(kind)))
