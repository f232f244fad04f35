"""Judges of tags: the rules that tell right tags of labelled photos from wrong ones.

A judge knows the labelled photos of one folder: its :attr:`~Judge.kinds` are the files
and the kind of each, and its :meth:`~Judge.judge` judges a label that became a tag.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from flask_autotag.providers.base import Label
from flask_autotag.providers.concept_hierarchy import concepts_of, hierarchy
from flask_autotag.providers.tensorflow import model_file
from flask_autotag.providers.tensorflow.provider import DEFAULT_MODEL
from flask_autotag.settings.tag_names import tag_name

LABELS, JUDGEMENTS = "labels.csv", "judgements.csv"


class Judgement(StrEnum):
    """The quality of one tag of one photo."""

    RIGHT = "right"
    #: True, but marginal.
    ACCEPTABLE = "acceptable"
    WRONG = "wrong"
    #: So wrong that it embarrasses a site.
    LAUGHABLE = "laughable"
    #: Neither labelled nor judged yet; counts as wrong.
    UNJUDGED = "unjudged"
    #: The labels cannot tell; counts as neither right nor wrong.
    UNDECIDED = "undecided"


#: The verdicts of a person who has looked at the photo.
VERDICTS = (
    Judgement.RIGHT,
    Judgement.ACCEPTABLE,
    Judgement.WRONG,
    Judgement.LAUGHABLE,
)


class Judge(Protocol):
    """Judges the tags of the photos of one folder."""

    @property
    def kinds(self) -> Mapping[str, str]:
        """The kind of each photo, by file."""

    def judge(self, file: str, label: Label) -> Judgement:
        """Judge a label that became a tag of a photo."""


@dataclass(frozen=True)
class ClassJudge:
    """Judges by the class of each photo.

    The class's name and the concepts above it are right. Other classes and broader
    concepts are wrong. Other general labels are undecided: the class of a photo does
    not tell whether it also shows a *person* or *text*.

    :param classes: the id of each photo's class, by file.
    :param right: the keys of the right tags of each class, by its id.
    """

    classes: Mapping[str, str]
    right: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls, folder: Path) -> ClassJudge:
        """Read the classes of a folder's photos, and the names of the bundled model.

        :raises ValueError: if the file has no column ``file`` or ``wordnet_id``, or a
            class is unknown to the model.
        """
        path = folder / LABELS
        names = dict(model_file.find(DEFAULT_MODEL, None).labels)
        rows = read_rows(path, "file", "wordnet_id")
        classes = {row["file"]: row["wordnet_id"] for row in rows}
        if unknown := sorted({*classes.values()} - {*names}):
            raise ValueError(
                f"{path}: the wordnet_id {unknown[0]!r} is no class of {DEFAULT_MODEL}."
            )
        concepts = concepts_of(frozenset(names))
        known = hierarchy().names
        return cls(
            classes,
            {
                each: frozenset(
                    _key(text)
                    for text in (
                        name,
                        *(known[above] for above in concepts.get(each, ())),
                    )
                )
                for each, name in names.items()
            },
        )

    @property
    def kinds(self) -> Mapping[str, str]:
        """No kinds: the photos are one group."""
        return dict.fromkeys(self.classes, "")

    def judge(self, file: str, label: Label) -> Judgement:
        """Compare a label with the photo's class."""
        if _key(label.name) in self.right[self.classes[file]]:
            return Judgement.RIGHT
        return Judgement.UNDECIDED if label.is_general else Judgement.WRONG


@dataclass(frozen=True)
class Words:
    """The words for one photo, as keys of tags.

    :param kind: what the photo shows, such as *document*.
    :param right: what an editor would accept, and the more general words.
    :param visible: what is true, but marginal.
    """

    kind: str
    right: frozenset[str]
    visible: frozenset[str]


@dataclass(frozen=True)
class EditorJudge:
    """Judges by the words that an editor accepts, and by verdicts on single tags.

    A tag is right if it is among the right words. Otherwise its verdict counts. Without
    a verdict it is acceptable if it is among the visible words, and else unjudged.

    :param words: the words for each photo, by file.
    :param verdicts: by file and the tag's key.
    """

    words: Mapping[str, Words]
    verdicts: Mapping[tuple[str, str], Judgement]

    @classmethod
    def read(cls, folder: Path) -> EditorJudge:
        """Read the words of a folder's photos, and the verdicts if there are any.

        :raises ValueError: if a file lacks a column, or a verdict is unknown, is on an
            unknown photo, or contradicts another one.
        """
        rows = read_rows(folder / LABELS, "file", "kind", "tags", "implied", "visible")
        words = {
            row["file"]: Words(
                row["kind"],
                _keys(row["tags"]) | _keys(row["implied"]),
                _keys(row["visible"]),
            )
            for row in rows
        }
        path = folder / JUDGEMENTS
        return cls(words, _read_verdicts(path, words) if path.exists() else {})

    @property
    def kinds(self) -> Mapping[str, str]:
        """The kind of each photo, by file."""
        return {file: words.kind for file, words in self.words.items()}

    def judge(self, file: str, label: Label) -> Judgement:
        """Compare a tag with the words and the verdicts."""
        words, key = self.words[file], _key(label.name)
        if key in words.right:
            return Judgement.RIGHT
        if verdict := self.verdicts.get((file, key)):
            return verdict
        return Judgement.ACCEPTABLE if key in words.visible else Judgement.UNJUDGED


def _read_verdicts(
    path: Path, words: Mapping[str, Words]
) -> dict[tuple[str, str], Judgement]:
    verdicts: dict[tuple[str, str], Judgement] = {}
    for row in read_rows(path, "file", "tag", "verdict"):
        file, tag, verdict = row["file"], row["tag"], row["verdict"]
        if file not in words:
            raise ValueError(f"{path}: {file!r} is not in {LABELS}.")
        if verdict not in VERDICTS:
            raise ValueError(
                f"{path}: the verdict on {tag!r} for {file!r} is {verdict!r}; use one"
                f" of {', '.join(VERDICTS)}."
            )
        if verdicts.setdefault((file, _key(tag)), Judgement(verdict)) != verdict:
            raise ValueError(
                f"{path}: {tag!r} for {file!r} has two verdicts; remove one."
            )
    return verdicts


def read_rows(path: Path, *columns: str) -> list[dict[str, str]]:
    """Read a CSV file with a header.

    :raises ValueError: if one of *columns* is missing.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if missing := [
            each for each in columns if each not in (reader.fieldnames or ())
        ]:
            raise ValueError(f"{path}: add the column {missing[0]!r}.")
        return list(reader)


def _keys(text: str) -> frozenset[str]:
    """Return the keys of words that are separated by semicolons."""
    return frozenset(_key(word) for word in text.split(";") if word.strip())


def _key(text: str) -> str:
    return tag_name(text).key
