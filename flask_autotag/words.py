"""What was decided about words, as rows: read, saved, and written as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.orm import Session

from . import checks
from .assets import SYSTEM
from .checks import CheckError
from .database import insert_or_update
from .errors import VocabularyError
from .models import USER_LENGTH, Models
from .vocabulary import (
    TagName,
    Vocabulary,
    Word,
    find_ring,
    join_words,
    tag_name,
)

#: Of each word the fields of :class:`.vocabulary.Word` that change.
Changes = Mapping[TagName, Mapping[str, Any]]

#: The columns of a CSV file.
COLUMNS = ("word", "becomes", "blocked", "listed", "threshold")
_DECIDED = ("becomes", "blocked", "listed", "threshold", "dropped_at")
#: How a CSV file writes what is decided, and reads it too.
_YES, _NO = "yes", "no"
#: With what a spreadsheet begins a formula. A blank before makes it a text, and is
#: dropped when the file is read.
_FORMULA = ("=", "+", "-", "@")
#: Words that one statement names: a file has more than databases take parameters.
_KEYS = 500


def read_words(
    session: Session | Connection, models: Models, instances: Iterable[str]
) -> dict[str, dict[str, Word]]:
    """Read what was decided for each instance, or the system, by key."""
    table = models.word.__table__
    found: dict[str, dict[str, Word]] = {instance: {} for instance in instances}
    rows = session.execute(select(table).where(table.c.instance.in_(list(found))))
    for row in rows:
        word = Word(**{name: getattr(row, name) for name in _DECIDED})
        found[row.instance][row.key] = word
    return found


def read_vocabulary(
    session: Session | Connection, models: Models, instance: str
) -> Vocabulary:
    """Find what holds for the words of an instance, or of the system."""
    words = read_words(session, models, {SYSTEM, instance})
    return Vocabulary(
        join_words(words[SYSTEM], words[instance] if instance != SYSTEM else {})
    )


def save_words(
    session: Session,
    models: Models,
    instance: str,
    words: Mapping[TagName, Word],
    who: str | None,
) -> None:
    """Store what is decided about some words, in the caller's transaction.

    :param instance: or :data:`.SYSTEM`.
    :param words: each replaces what was decided before; an empty one takes it back.
    :param who: the user's name.
    :raises VocabularyError: if words would become each other in turn. The caller rolls
        back.
    """
    table = models.word.__table__
    now = datetime.now(UTC).replace(tzinfo=None)
    rows = [
        {
            "instance": instance,
            "key": name.key,
            "name": name.name,
            **{each: getattr(word, each) for each in _DECIDED},
            "changed_by": who[:USER_LENGTH] if who else None,
            "changed_at": now,
        }
        for name, word in words.items()
        if not word.is_empty
    ]
    if rows:
        changed = ("name", *_DECIDED, "changed_by", "changed_at")
        dialect = session.get_bind().dialect.name
        key = ["instance", "key"]
        session.execute(insert_or_update(table, dialect, key, changed), rows)
    emptied = [name.key for name, word in words.items() if word.is_empty]
    for start in range(0, len(emptied), _KEYS):
        some = emptied[start : start + _KEYS]
        session.execute(
            delete(table).where(table.c.instance == instance, table.c.key.in_(some))
        )
    _refuse_ring(read_words(session, models, [instance])[instance])


def change_words(
    session: Session,
    models: Models,
    instance: str,
    changes: Changes,
    who: str | None,
) -> None:
    """Change some of what was decided about words; the rest of it stays.

    :param changes: of each word the fields of :class:`.vocabulary.Word` that change.
    :raises VocabularyError: as :func:`save_words` does.
    """
    stored = read_words(session, models, [instance])[instance]
    save_words(session, models, instance, _changed(stored, changes), who)


def with_changes(stored: Mapping[str, Word], changes: Changes) -> dict[str, Word]:
    """Find what would be decided after :func:`change_words`, and store nothing.

    :param stored: what is decided, by key.
    :raises VocabularyError: as :func:`save_words` does.
    """
    changed = {name.key: word for name, word in _changed(stored, changes).items()}
    words = {**stored, **changed}
    _refuse_ring(words)
    return {key: word for key, word in words.items() if not word.is_empty}


def _changed(stored: Mapping[str, Word], changes: Changes) -> dict[TagName, Word]:
    return {
        name: replace(stored.get(name.key, Word()), **fields)
        for name, fields in changes.items()
    }


def _refuse_ring(words: Mapping[str, Word]) -> None:
    ring = find_ring(words)
    if ring is not None:
        chain = " becomes ".join([*ring, ring[0]])
        raise VocabularyError(f"These words would become each other: {chain}.")


def name_tags(
    session: Session, models: Models, instance: str, vocabulary: Vocabulary
) -> None:
    """Let the tags of an instance be written as the vocabulary writes their names."""
    table = models.tag.__table__
    of_instance = table.c.instance == instance
    names = {name.key: name.name for name in vocabulary.given_names}
    rows = session.execute(
        select(table.c.key, table.c.name).where(of_instance, table.c.key.in_(names))
    ).all()
    for key, present in rows:
        if present != names[key]:
            session.execute(
                update(table)
                .where(of_instance, table.c.key == key)
                .values(name=names[key])
            )


def write_csv(file: IO[str], session: Session, models: Models, instance: str) -> None:
    """Write what was decided for an instance, or the system, a word a line."""
    table = models.word.__table__
    rows = session.execute(
        select(table).where(table.c.instance == instance).order_by(table.c.key)
    )
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = (row.name, row.becomes, row.blocked, row.listed, row.threshold)
        writer.writerow([_written(cell) for cell in cells])


def read_csv(lines: Iterable[str]) -> dict[TagName, dict[str, Any]]:
    """Read a file of :func:`write_csv`; columns may be missing, but not ``word``.

    :return: what it says of each word, for :func:`change_words`; an empty cell says
        that nothing is decided, and a missing column nothing at all.
    :raises VocabularyError: with the number of the line that is wrong.
    """
    reader = csv.DictReader(lines, strict=True)
    found: dict[TagName, dict[str, Any]] = {}
    keys: set[str] = set()
    try:
        _check_columns(reader.fieldnames or ())
        for row in reader:
            name: TagName | None = _cell(row, "word", tag_name)
            if name is None:
                raise CheckError("has no word")
            if name.key in keys:
                raise CheckError("repeats the word %(word)s", word=name.name)
            keys.add(name.key)
            found[name] = _decisions(row)
    except csv.Error as error:
        raise VocabularyError(f"It is no CSV file: {error}.") from None
    except CheckError as error:
        raise VocabularyError(f"Line {reader.line_num} {error}.") from None
    return found


def _written(cell: object) -> str:
    if isinstance(cell, bool):
        return _YES if cell else _NO
    text = "" if cell is None else str(cell)
    return f" {text}" if text.startswith(_FORMULA) else text


def _check_columns(names: Iterable[str]) -> None:
    for name in names:
        if ";" in name:
            raise CheckError("is divided by semicolons: save the file with commas")
        if name not in COLUMNS:
            raise CheckError(
                "has the column %(name)s; there are: %(columns)s",
                name=checks.shown(name),
                columns=", ".join(COLUMNS),
            )
    if "word" not in names:
        raise CheckError("has no column 'word': it names the columns")


def _decisions(row: Mapping[str, Any]) -> dict[str, Any]:
    if None in row or None in row.values():
        raise CheckError("has another number of cells than the first line")
    return {
        column: _cell(row, column, check)
        for column, check in _CHECKS.items()
        if column in row
    }


def _cell(row: Mapping[str, str], column: str, check: checks.Check) -> Any:
    text = row[column].strip()
    if not text:
        return None
    try:
        return check(text)
    except ValueError as error:
        raise CheckError(f"has a wrong {column}: {error}") from None


def _yes_or_no(text: str) -> bool:
    try:
        return checks.boolean(text)
    except CheckError:
        raise CheckError(
            "must be yes, no or empty, not %(value)s", value=checks.shown(text)
        ) from None


_CHECKS: Mapping[str, checks.Check] = {
    "becomes": lambda text: tag_name(text).name,
    "blocked": _yes_or_no,
    "listed": _yes_or_no,
    "threshold": checks.fraction,
}
