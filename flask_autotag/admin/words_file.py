"""What was decided about words, as a CSV file: given out, and taken in again."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Response, request
from sqlalchemy.orm import Session

from ..checks import CheckError
from ..settings.resolution import Words
from ..vocabulary import TagName, Word
from ..words import Changes, read_csv, read_words, with_changes, write_csv
from .access import current_state
from .scope import Scope
from .word_display import in_words
from .word_page import Refused, WordPage

#: Bytes of a file: some 20,000 words. It goes to and fro in a form, which may have
#: twice as many.
_MOST_BYTES = 2**20
#: Changed words of a file that are told one by one.
_TOLD = 20


@dataclass(frozen=True)
class Import:
    """A file that was sent, and what it changes.

    :param text: all of it.
    :param changes: what it says of each word.
    :param changed: the words of which it says anything new, as they would be.
    """

    text: str
    changes: Changes
    changed: Mapping[TagName, str]

    @property
    def told(self) -> Sequence[tuple[TagName, str]]:
        """The first of the changed words, and what would be decided about them."""
        return list(self.changed.items())[:_TOLD]


def words_file(scope: Scope) -> Response:
    """Give the file of a scope."""
    state, file = current_state(), io.StringIO()
    state.database.transact(
        lambda session: write_csv(file, session, state.database.models, scope.instance)
    )
    response = Response(file.getvalue(), mimetype="text/csv")
    response.headers["Content-Disposition"] = "attachment; filename=words.csv"
    response.cache_control.no_store = True
    return response


def read_import(page: WordPage) -> Import:
    """Read the file that was sent with a form, or with the form before.

    :raises Refused: if it is none, or too large, or not UTF-8.
    :raises VocabularyError: with the number of the line that is wrong.
    """
    text = _text()
    changes = read_csv(io.StringIO(text, newline=""))
    models, instance = page.state.database.models, page.scope.instance

    def work(session: Session) -> Words:
        return read_words(session, models, [instance])[instance]

    before = page.state.database.transact(work)
    after = with_changes(before, changes)
    changed = {
        name: in_words(name.key, after)
        for name in changes
        if before.get(name.key, Word()) != after.get(name.key, Word())
    }
    return Import(text, changes, changed)


def _text() -> str:
    file = request.files.get("file")
    if file is None or not file.filename:
        text = request.form.get("csv", "")
        if not text:
            raise Refused("file", CheckError("must be chosen first"))
        return text
    data = file.stream.read(_MOST_BYTES + 1)
    if not data.strip():
        raise Refused("file", CheckError("must have something in it"))
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
