"""Exports and imports the decisions about words as a CSV file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Response
from sqlalchemy.orm import Session

from ....settings.checks import CheckError
from ....settings.resolution import WordRules
from ....settings.stored_words import RuleChanges, read_words, with_changes
from ....settings.tag_names import TagName
from ....settings.vocabulary import WordRule
from ....settings.words_csv import read_csv, write_csv
from ...access import current_state
from ..scope import Scope
from .word_page import Refused, WordPage
from .word_view import in_words

#: The most bytes of a file: about 20,000 words. The preview sends the file back in a
#: form, which may have twice as many bytes.
_MOST_BYTES = 2**20
#: The most changed words that the page lists.
_LISTED = 20


@dataclass(frozen=True)
class Import:
    """A file that was sent, and the changes that it makes.

    :param text: the whole file.
    :param changes: the decisions of all its lines.
    :param changed: the words that it changes, with their new decisions in words.
    """

    text: str
    changes: RuleChanges
    changed: Mapping[TagName, str]

    @property
    def listed(self) -> Sequence[tuple[TagName, str]]:
        """The first of the changed words, with their new decisions in words."""
        return list(self.changed.items())[:_LISTED]


def words_file(scope: Scope) -> Response:
    """Return a scope's decisions as a file to download."""
    state, file = current_state(), io.StringIO()
    state.database.transact(
        lambda session: write_csv(file, session, state.database.models, scope.instance)
    )
    response = Response(file.getvalue(), mimetype="text/csv")
    response.headers["Content-Disposition"] = "attachment; filename=words.csv"
    response.cache_control.no_store = True
    return response


def read_import(page: WordPage) -> Import:
    """Read the file of a form, or its text that the preview sent back.

    :raises Refused: if the file is missing, empty, too large or not UTF-8.
    :raises VocabularyError: if a line is wrong; the message has its number.
    """
    text = _text(page)
    changes = read_csv(io.StringIO(text, newline=""))
    models, instance = page.state.database.models, page.scope.instance

    def work(session: Session) -> WordRules:
        return read_words(session, models, [instance])[instance]

    before = page.state.database.transact(work)
    after = with_changes(before, changes, page.state.config.max_words)
    changed = {
        name: in_words(name.key, after)
        for name in changes
        if before.get(name.key, WordRule()) != after.get(name.key, WordRule())
    }
    return Import(text, changes, changed)


def _text(page: WordPage) -> str:
    file = page.form["file"].data
    if file is None:
        text: str = page.form["csv"].data or ""
        if not text:
            raise Refused("file", CheckError("must be chosen first"))
        return text
    data: bytes = file.stream.read(_MOST_BYTES + 1)
    if not data.strip():
        raise Refused("file", CheckError("must not be empty"))
    if len(data) > _MOST_BYTES:
        raise Refused(
            "file",
            CheckError("must be at most %(most)s bytes long", most=f"{_MOST_BYTES:,}"),
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(
            "file", CheckError("must be UTF-8: save it as “CSV UTF-8”")
        ) from None
