"""The page of tags: all tags, and all words with decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from ....settings.resolution import Layers
from ....settings.stored_words import RuleChanges
from ....tags.queries.word_list import PAGE, Uses, WordList, list_words
from ..scope import Scope
from .csv_page import Import, read_import
from .search_form import SearchForm
from .word_form import TagsForm
from .word_page import Action, WordPage, answer
from .word_view import decided


@dataclass(frozen=True)
class WordRow:
    """One word of the list.

    :param url: the address of the word's page.
    :param decided: the decisions about it, in sentences.
    """

    name: str
    url: str
    uses: Uses
    decided: Sequence[str]


@dataclass(kw_only=True)
class TagsPage(WordPage):
    """The page of tags, while it is rendered.

    :param search: the form of the search.
    :param imported: the file to import, and the changes that it makes.
    """

    template = "autotag/tags.html"

    search: SearchForm
    imported: Import | None = None

    @property
    def url(self) -> str:
        """The page's address."""
        return self.scope.url_for("tags")

    @property
    def saved_url(self) -> str:
        """The address to open after a save."""
        return f"{self.url}?saved=1"

    @cached_property
    def _read(self) -> tuple[Layers, WordList]:
        search, models = self.search, self.state.database.models
        instance, key = self.scope.instance, search.key

        def work(session: Session) -> tuple[Layers, WordList]:
            layers = self.stored.layers(session, instance)
            if key is None:
                return layers, WordList()
            listing = list_words(
                session,
                models,
                instance,
                search=key,
                shown=search.shown,
                order=search.order,
                page=search.number,
            )
            return layers, listing

        return self.state.database.transact(work)

    @cached_property
    def lines(self) -> Sequence[WordRow]:
        """The words on this page."""
        layers, listing = self._read
        own = None if layers.instance is None else layers.own_words
        vocabulary = layers.resolve().vocabulary
        given = {name.key: name for name in vocabulary.given_names}
        return [
            WordRow(
                given.get(name.key, name).name,
                self.scope.url_for("tag", key=name.key),
                listing.uses.get(name.key, Uses()),
                decided(name.key, layers.system_words, own),
            )
            for name in listing.names
        ]

    @property
    def total(self) -> int:
        """The number of words on all pages."""
        return self._read[1].total

    @property
    def first(self) -> int:
        """The number of the first word on this page, from 1."""
        return (self.search.number - 1) * PAGE + 1

    @property
    def before(self) -> Mapping[str, str] | None:
        """The parameters of the previous page, if there is one."""
        page = self.search.number
        return self.search.parameters(page - 1) if page > 1 else None

    @property
    def after(self) -> Mapping[str, str] | None:
        """The parameters of the next page, if there is one."""
        page = self.search.number
        return self.search.parameters(page + 1) if page * PAGE < self.total else None

    @property
    def new_url(self) -> str | None:
        """The address of the page of the searched word, if it can be a tag."""
        key = self.search.key
        return self.scope.url_for("tag", key=key) if key else None


def tags_page(scope: Scope) -> ResponseReturnValue:
    """Answer a request for the page of tags, or one of its forms."""
    search = SearchForm(request.args)
    page = TagsPage(scope, form=TagsForm(), search=search)
    page.warn_without_key()
    if request.method == "POST":
        return answer(page, _ACTIONS)
    last = max(1, math.ceil(page.total / PAGE))
    if search.number > last:
        return redirect(f"{page.url}?{urlencode(search.parameters(last))}")
    page.add_notices()
    return page.render()


def _add(page: TagsPage) -> RuleChanges:
    name, decision = page.read("word").tag, page.read("decision").data
    return {name: {decision: True}}


def _import(page: TagsPage) -> RuleChanges:
    page.imported = read_import(page)
    return page.imported.changes


_ACTIONS: Mapping[str, Action[TagsPage]] = {
    "add": Action(_add, "word"),
    "import": Action(_import, "file"),
}
