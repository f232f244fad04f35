"""Rules for words: read from the table, and changed in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.orm import Session

from ..db.columns import user_text
from ..db.models import Models
from ..db.sql import dialect_of, in_batches, insert_or_update, utc_now
from ..errors import VocabularyError
from ..host.assets import SYSTEM
from .tag_names import TagName, tag_name
from .vocabulary import Vocabulary, WordRule, combine_rules, find_circle

#: Word → the fields of :class:`.vocabulary.WordRule` that change.
RuleChanges = Mapping[TagName, Mapping[str, Any]]

_FIELDS = ("becomes", "blocked", "listed", "threshold", "dropped_at")


def read_words(
    session: Session | Connection, models: Models, instances: Iterable[str]
) -> dict[str, dict[str, WordRule]]:
    """Return the rules of each instance, or of :data:`.SYSTEM`, by key."""
    table = models.word.__table__
    found: dict[str, dict[str, WordRule]] = {instance: {} for instance in instances}
    for names in in_batches(found):
        for row in session.execute(select(table).where(table.c.instance.in_(names))):
            found[row.instance][row.key] = word_of(row)
    return found


def word_of(row: Row[Any]) -> WordRule:
    """Return the rule that a row of the table stores."""
    return WordRule(**{name: getattr(row, name) for name in _FIELDS})


def read_vocabulary(
    session: Session | Connection, models: Models, instance: str
) -> Vocabulary:
    """Return the vocabulary of an instance, or of :data:`.SYSTEM`."""
    words = read_words(session, models, {SYSTEM, instance})
    return Vocabulary(
        combine_rules(words[SYSTEM], words[instance] if instance != SYSTEM else {})
    )


def change_words(
    session: Session,
    models: Models,
    instance: str,
    changes: RuleChanges,
    who: str | None,
    most: int | None = None,
) -> None:
    """Change fields of rules and store them, in the caller's transaction.

    Call :meth:`.StoredSettings.lock` first: two writers at once could together make a
    circle, or more words than *most*.

    :param instance: or :data:`.SYSTEM`.
    :param changes: word → the fields of :class:`.vocabulary.WordRule` to change. A rule
        whose fields are all ``None`` afterwards is deleted.
    :param who: the user's name, stored with the rules.
    :param most: how many words may have a rule; ``None`` for any number.
    :raises VocabularyError: if words would become each other in a circle, or if there
        would be more words than *most* and than before. Nothing is stored then.
    """
    stored = read_words(session, models, [instance])[instance]
    with_changes(stored, changes, most)
    changed = _changed(stored, changes)
    _store(session, models, instance, changed, who)
    emptied = [name.key for name, word in changed.items() if word.is_empty]
    table = models.word.__table__
    for keys in in_batches(emptied):
        session.execute(
            delete(table).where(table.c.instance == instance, table.c.key.in_(keys))
        )


def with_changes(
    stored: Mapping[str, WordRule], changes: RuleChanges, most: int | None = None
) -> dict[str, WordRule]:
    """Return the rules as :func:`change_words` would leave them; store nothing.

    :param stored: the present rules, by key.
    :param most: how many words may have a rule; ``None`` for any number.
    :raises VocabularyError: as :func:`change_words` does.
    """
    changed = {name.key: word for name, word in _changed(stored, changes).items()}
    words = {
        key: word for key, word in {**stored, **changed}.items() if not word.is_empty
    }
    if most is not None and len(words) > max(most, len(stored)):
        raise VocabularyError(
            f"The vocabulary would have {len(words):,} words;"
            f" AUTOTAG_MAX_WORDS allows {most:,}."
        )
    circle = find_circle(words)
    if circle is not None:
        chain = " becomes ".join([*circle, circle[0]])
        raise VocabularyError(f"These words would become each other: {chain}.")
    return words


def _changed(
    stored: Mapping[str, WordRule], changes: RuleChanges
) -> dict[TagName, WordRule]:
    return {
        name: replace(stored.get(name.key, WordRule()), **fields)
        for name, fields in changes.items()
    }


def _store(
    session: Session,
    models: Models,
    instance: str,
    words: Mapping[TagName, WordRule],
    who: str | None,
) -> None:
    now = utc_now()
    rows = [
        {
            "instance": instance,
            "key": name.key,
            "name": name.name,
            **{field: getattr(word, field) for field in _FIELDS},
            "becomes_key": tag_name(word.becomes).key if word.becomes else None,
            "changed_by": user_text(who),
            "changed_at": now,
        }
        for name, word in words.items()
        if not word.is_empty
    ]
    if rows:
        columns = ("name", *_FIELDS, "becomes_key", "changed_by", "changed_at")
        statement = insert_or_update(
            models.word.__table__, dialect_of(session), ["instance", "key"], columns
        )
        session.execute(statement, rows)


def rename_tags(
    session: Session, models: Models, instance: str, vocabulary: Vocabulary
) -> None:
    """Change the names of an instance's tags to the spelling of the vocabulary."""
    table = models.tag.__table__
    of_instance = table.c.instance == instance
    names = {name.key: name.name for name in vocabulary.given_names}
    for keys in in_batches(names):
        rows = session.execute(
            select(table.c.key, table.c.name).where(of_instance, table.c.key.in_(keys))
        ).all()
        for key, present in rows:
            if present != names[key]:
                session.execute(
                    update(table)
                    .where(of_instance, table.c.key == key)
                    .values(name=names[key])
                )
