"""The page of tags: all that there are, and words on which something was decided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TypeVar
from urllib.parse import urlencode

from flask import redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from ..catalogue import PAGE, Filter, Listing, Order, Uses, list_words
from ..checks import CheckError
from ..settings.resolution import Layers
from ..vocabulary import tag_name
from ..words import Changes
from .form import token_form
from .page import base_context
from .scope import Scope
from .text import gettext
from .word_display import decided
from .word_page import Action, Refused, WordPage, answer
from .words_file import Import, read_import

#: Characters of a search that are read, and digits of a page's number.
_SEARCH, _DIGITS = 200, 6

EnumT = TypeVar("EnumT", bound=StrEnum)


@dataclass(frozen=True)
class Line:
    """One word of the list.

    :param url: the address of its page.
    :param decided: what was decided about it, in sentences.
    """

    name: str
    url: str
    uses: Uses
    decided: Sequence[str]


@dataclass(frozen=True)
class Query:
    """What of the list was asked for.

    :param text: a part of a name, as it was typed.
    :param page: from 1.
    """

    text: str
    shown: Filter
    order: Order
    page: int

    @property
    def search(self) -> str | None:
        """The part of a key that is looked for; ``None`` if no word can have it."""
        try:
            return tag_name(self.text).key if self.text.strip() else ""
        except ValueError:
            return None

    def parameters(self, page: int) -> Mapping[str, str]:
        """Give the parameters of another page's address."""
        asked = {
            "q": self.text,
            "show": "" if self.shown is Filter.ALL else self.shown.value,
            "sort": "" if self.order is Order.NAME else self.order.value,
            "page": "" if page == 1 else str(page),
        }
        return {name: value for name, value in asked.items() if value}


@dataclass(kw_only=True)
class TagsPage(WordPage):
    """The page of tags, while it is made.

    :param query: what was asked for.
    :param imported: the file that is to be imported, and what it changes.
    """

    query: Query
    imported: Import | None = None

    @property
    def url(self) -> str:
        """The address of this page."""
        return self.scope.tags_url

    @property
    def saved_url(self) -> str:
        """Where it goes on when something was saved."""
        return f"{self.url}?saved=1"

    @cached_property
    def _read(self) -> tuple[Layers, Listing]:
        query, models = self.query, self.state.database.models
        instance, search = self.scope.instance, query.search

        def work(session: Session) -> tuple[Layers, Listing]:
            layers = self.stored.layers(session, instance)
            if search is None:
                return layers, Listing()
            listing = list_words(
                session,
                models,
                instance,
                search=search,
                shown=query.shown,
                order=query.order,
                page=query.page,
            )
            return layers, listing

        return self.state.database.transact(work)

    @cached_property
    def lines(self) -> Sequence[Line]:
        """The words of this page."""
        layers, listing = self._read
        own = None if layers.instance is None else layers.own_words
        vocabulary = layers.resolve().vocabulary
        given = {name.key: name for name in vocabulary.given_names}
        return [
            Line(
                given.get(name.key, name).name,
                self.scope.tag_url(name.key),
                listing.uses.get(name.key, Uses()),
                decided(name.key, layers.system_words, own),
            )
            for name in listing.names
        ]

    @property
    def total(self) -> int:
        """How many words there are on all pages."""
        return self._read[1].total

    @property
    def first(self) -> int:
        """The number of the first word on this page, from 1."""
        return (self.query.page - 1) * PAGE + 1

    @property
    def before(self) -> Mapping[str, str] | None:
        """The parameters of the page before, if there is one."""
        page = self.query.page
        return self.query.parameters(page - 1) if page > 1 else None

    @property
    def after(self) -> Mapping[str, str] | None:
        """The parameters of the page after, if there is one."""
        page = self.query.page
        return self.query.parameters(page + 1) if page * PAGE < self.total else None

    @property
    def new_url(self) -> str | None:
        """The address of the page of the word that was looked for, if it can be one."""
        return self.scope.tag_url(self.query.search) if self.query.search else None

    @property
    def labels(self) -> Mapping[str, str]:
        """What the fields of the page are called."""
        return {
            "word": gettext("Word"),
            "decision": gettext("What is decided"),
            "file": gettext("CSV file"),
        }

    @property
    def decisions(self) -> Mapping[str, str]:
        """What can be decided about a word that is added."""
        return {"listed": gettext("List it"), "blocked": gettext("Block it")}

    def render(self) -> str:
        """Make the HTML."""
        return render_template("autotag/tags.html", autotag_page=self, **base_context())


def tags_page(scope: Scope) -> ResponseReturnValue:
    """Answer a request for the page of tags."""
    page = TagsPage(scope, token_form(), query=_read_query())
    page.warn_without_key()
    if request.method == "POST":
        return answer(page, _ACTIONS)
    last = max(1, math.ceil(page.total / PAGE))
    if page.query.page > last:
        return redirect(f"{page.url}?{urlencode(page.query.parameters(last))}")
    page.told()
    return page.render()


def _read_query() -> Query:
    asked = request.args
    page = asked.get("page", "")
    is_number = page.isascii() and page.isdigit() and len(page) <= _DIGITS
    return Query(
        asked.get("q", "")[:_SEARCH],
        _one_of(Filter, asked.get("show", "")),
        _one_of(Order, asked.get("sort", "")),
        max(1, int(page)) if is_number else 1,
    )


def _one_of(kind: type[EnumT], value: str) -> EnumT:
    """Give what was asked for, or the first one, which is the usual."""
    return next((each for each in kind if each.value == value), next(iter(kind)))


def _add(page: TagsPage) -> Changes:
    name = page.read_name("word")
    decision = page.typed("decision")
    if decision not in page.decisions:
        raise Refused("decision", CheckError("must be chosen"))
    return {name: {decision: True}}


def _import(page: TagsPage) -> Changes:
    page.imported = read_import(page)
    return page.imported.changes


_ACTIONS: Mapping[str, Action[TagsPage]] = {
    "add": Action(_add, "word"),
    "import": Action(_import, "file"),
}
