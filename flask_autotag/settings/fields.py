"""Sections of fields, as the extension and its providers declare them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from .. import checks
from ..checks import Check

PREFIX = "AUTOTAG_"

#: Section and field; names one setting.
Path = tuple[str, str]
#: The values that are set at one place, such as in an instance.
Layer = Mapping[Path, Any]


class Input(StrEnum):
    """With which control a field is filled in."""

    SWITCH = "switch"
    #: A number from 0 to 1.
    FRACTION = "fraction"
    #: A whole number.
    COUNT = "count"
    TEXT = "text"
    CHOICE = "choice"
    #: A key: typed, encrypted, and never shown again.
    SECRET = "secret"  # noqa: S105 - no password


def override(_inherited: Any, own: Any) -> Any:
    """Let an instance's own value count."""
    return own


def both(inherited: Any, own: Any) -> bool:
    """Let it be on only where the system and the instance say so."""
    return bool(inherited and own)


def smaller_limit(inherited: Any, own: Any) -> int:
    """Let the smaller limit count, 0 meaning none."""
    return int(min(inherited, own) if inherited and own else inherited or own)


@dataclass(frozen=True)
class Field:
    """One setting.

    :param name: lower case, unique in its section.
    :param default: its value where nobody set one.
    :param check: turns what was given into a value, or raises :exc:`ValueError`.
    :param label: what the administrator reads beside it.
    :param help: one or two sentences: what it does, with its unit and range.
    :param input: with which control it is filled in.
    :param choices: for ``Input.CHOICE``, lists the values that can be chosen now;
        gets the folder of ``AUTOTAG_MODEL_DIR``.
    :param combine: what holds in an instance, from the inherited and its own value.
    :param required: whether the section cannot be enabled without it.
    :param bound_to: for ``Input.SECRET``, the field that says where the secret is
        sent. It is used only with the value that this had when it was saved.
    :param system_help: a sentence after that, on the system's page alone.
    :param system_only: whether an instance neither sets nor sees it.
    """

    name: str
    default: Any
    check: Check
    label: str
    help: str
    input: Input = Input.TEXT
    choices: Callable[[str | None], Sequence[str]] | None = None
    combine: Callable[[Any, Any], Any] = override
    required: bool = False
    bound_to: str | None = None
    system_help: str = ""
    system_only: bool = False

    @property
    def is_secret(self) -> bool:
        """Whether its value is encrypted and never shown."""
        return self.input is Input.SECRET


@dataclass(frozen=True)
class Section:
    """Fields that belong together: the general ones, or those of one provider.

    :param name: ``""`` for the general section, else the provider's name.
    :param title: the heading that the administrator reads.
    """

    name: str
    title: str
    fields: tuple[Field, ...]

    def key(self, field: Field) -> str:
        """Name the field's key in ``app.config``."""
        words = (self.name, field.name) if self.name else (field.name,)
        return PREFIX + "_".join(words).upper()

    def config_keys(self) -> dict[str, Field]:
        """Map each key in ``app.config`` to its field."""
        return {self.key(field): field for field in self.fields}


def paths(sections: Sequence[Section]) -> dict[Path, Field]:
    """Give every field by its section's and its own name."""
    return {
        (section.name, field.name): field
        for section in sections
        for field in section.fields
    }


def for_instances(sections: Sequence[Section]) -> tuple[Section, ...]:
    """Leave out the fields that are the system's alone."""
    return tuple(
        replace(
            section,
            fields=tuple(field for field in section.fields if not field.system_only),
        )
        for section in sections
    )


def changed_paths(old: Layer, new: Layer) -> set[Path]:
    """Find what two layers set differently; to set nothing is a difference too."""
    return {
        path
        for path in old.keys() | new.keys()
        if (path in old, old.get(path)) != (path in new, new.get(path))
    }


def dotted(path: Path) -> str:
    """Write a path as the command line does: ``tensorflow.model``, ``max_tags``."""
    return ".".join(filter(None, path))


#: Whether every label can become a tag, or only listed ones.
OPEN, LISTED = "open", "listed"

GENERAL = Section(
    "",
    "Asset Auto Tagging",
    (
        Field(
            "enabled",
            True,
            checks.boolean,
            "Enable auto tagging of assets",
            "Whether uploaded images are tagged at all. An instance tags only if it"
            " is on for the system too.",
            Input.SWITCH,
            combine=both,
        ),
        Field(
            "max_tags",
            0,
            checks.whole_number(0, 1000),
            "Maximum number of tags per asset",
            "How many tags an image may have; the surest are kept. Tags that a"
            " person added count too and are never taken away. 0 means no limit.",
            Input.COUNT,
            combine=smaller_limit,
        ),
        Field(
            "broader_tags",
            True,
            checks.boolean,
            "Broader tags",
            "Whether what is probable as a whole is a tag too: a cat of uncertain breed"
            " is at least a cat.",
            Input.SWITCH,
        ),
        Field(
            "suggestion_threshold",
            1.0,
            checks.fraction,
            "Suggestion threshold",
            "From 0 to 1: labels that reach it, but not their own threshold, are"
            " suggested to people for review. 1 suggests nothing.",
            Input.FRACTION,
        ),
        Field(
            "vocabulary",
            OPEN,
            checks.one_of(OPEN, LISTED),
            "Vocabulary",
            "open: every label can become a tag, unless it is blocked. listed: only"
            " words that are listed on the page of tags can.",
            Input.CHOICE,
            choices=lambda _model_dir: (OPEN, LISTED),
        ),
    ),
)
