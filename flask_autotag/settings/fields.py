"""The sections and fields of settings, which the extension and providers declare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from . import checks
from .checks import PREFIX, Check, CheckError, shown

#: The names of a section and of a field in it.
Path = tuple[str, str]
#: The values set at one level, such as in an instance.
Layer = Mapping[Path, Any]


class Input(StrEnum):
    """The control in which an administrator enters a value."""

    SWITCH = "switch"
    #: A number from 0 to 1.
    FRACTION = "fraction"
    #: A whole number.
    COUNT = "count"
    TEXT = "text"
    CHOICE = "choice"
    #: A key, which is stored encrypted and never shown.
    SECRET = "secret"  # noqa: S105 - no password


def override(_inherited: Any, own: Any) -> Any:
    """Return the instance's own value."""
    return own


def both(inherited: Any, own: Any) -> bool:
    """Return whether both the system and the instance turn it on."""
    return bool(inherited and own)


def smaller_limit(inherited: Any, own: Any) -> int:
    """Return the smaller of two limits; 0 means no limit."""
    return int(min(inherited, own) if inherited and own else inherited or own)


@dataclass(frozen=True)
class Field:
    """One setting.

    :param name: lower-case name, unique in its section.
    :param default: the value if nobody has set one.
    :param check: takes a typed text or a value of ``app.config``, and returns the
        checked value or raises :exc:`ValueError`; see :mod:`.settings.checks`.
    :param label: the label on pages.
    :param help: one or two sentences for administrators: the effect, unit and range.
    :param input: the control on pages.
    :param choices: for ``Input.CHOICE``: takes the value of ``AUTOTAG_MODEL_DIR`` and
        returns the values that can be chosen now.
    :param refusal: for ``Input.CHOICE``: takes a value that cannot be chosen, and the
        value of ``AUTOTAG_MODEL_DIR``, and returns an error that tells more than a list
        of the choices, or ``None``.
    :param combine: takes the inherited value and the instance's own value, and returns
        the value that applies in the instance.
    :param required: whether the section can be enabled only with a value.
    :param bound_to: for ``Input.SECRET``: the name of the field with the address to
        which the secret is sent. The secret is used only while that field has the value
        that it had when the secret was saved.
    :param system_help: a further sentence of help on the system's page.
    :param system_only: whether only the system has the field, and no instance.
    """

    name: str
    default: Any
    check: Check
    label: str
    help: str
    input: Input = Input.TEXT
    choices: Callable[[str | None], Sequence[str]] | None = None
    refusal: Callable[[Any, str | None], CheckError | None] | None = None
    combine: Callable[[Any, Any], Any] = override
    required: bool = False
    bound_to: str | None = None
    system_help: str = ""
    system_only: bool = False

    def check_choice(self, value: Any, model_dir: str | None) -> None:
        """Refuse a value that is not among the choices, if there are any.

        :param model_dir: the value of ``AUTOTAG_MODEL_DIR``.
        :raises CheckError: with the reason, or the choices.
        """
        if self.choices is None:
            return
        choices = self.choices(model_dir)
        if value in choices:
            return
        error = self.refusal(value, model_dir) if self.refusal else None
        raise error or CheckError(
            "must be one of %(choices)s, not %(value)s",
            choices=", ".join(choices),
            value=shown(value),
        )

    @property
    def is_secret(self) -> bool:
        """Whether the value is stored encrypted and never shown."""
        return self.input is Input.SECRET


@dataclass(frozen=True)
class Section:
    """A group of fields: the general ones, or those of one provider.

    :param name: the provider's name, or ``""`` for the general section.
    :param title: the heading on pages.
    """

    name: str
    title: str
    fields: tuple[Field, ...]

    def key(self, field: Field) -> str:
        """Return the field's key in ``app.config``."""
        words = (self.name, field.name) if self.name else (field.name,)
        return PREFIX + "_".join(words).upper()

    def config_keys(self) -> dict[str, Field]:
        """Return the section's fields by their keys in ``app.config``."""
        return {self.key(field): field for field in self.fields}


def paths(sections: Sequence[Section]) -> dict[Path, Field]:
    """Return every field by its path."""
    return {
        (section.name, field.name): field
        for section in sections
        for field in section.fields
    }


def for_instances(sections: Sequence[Section]) -> tuple[Section, ...]:
    """Return the sections without the fields that only the system has."""
    return tuple(
        replace(
            section,
            fields=tuple(field for field in section.fields if not field.system_only),
        )
        for section in sections
    )


def changed_paths(old: Layer, new: Layer) -> set[Path]:
    """Return the paths that two layers set differently, or that only one sets."""
    return {
        path
        for path in old.keys() | new.keys()
        if (path in old, old.get(path)) != (path in new, new.get(path))
    }


def dotted(path: Path) -> str:
    """Return a path in the command line's form: ``tensorflow.model``, ``max_tags``."""
    return ".".join(filter(None, path))


#: Whether every label can become a tag, or only listed words.
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
            "Tag uploaded images. An instance tags images only if this is on for the"
            " system too.",
            Input.SWITCH,
            combine=both,
        ),
        Field(
            "max_tags",
            0,
            checks.whole_number(0, 1000),
            "Maximum number of tags per asset",
            "The number of tags that an image may have; the tags with the highest"
            " confidence are kept. A class with 0.5 or more goes before a broader tag:"
            " 'espresso' before 'drink'. Tags added by people count, but are never"
            " removed. 0 means no limit.",
            Input.COUNT,
            combine=smaller_limit,
        ),
        Field(
            "broader_tags",
            True,
            checks.boolean,
            "Broader tags",
            "Add a broader tag if its narrower labels together are probable enough: a"
            " cat of uncertain breed is at least a cat.",
            Input.SWITCH,
        ),
        Field(
            "suggestion_threshold",
            1.0,
            checks.fraction,
            "Suggestion threshold",
            "From 0 to 1. Labels whose confidence reaches this threshold, but not the"
            " threshold of their provider or word, are suggested for review. 1 turns"
            " suggestions off.",
            Input.FRACTION,
        ),
        Field(
            "vocabulary",
            OPEN,
            checks.one_of(OPEN, LISTED),
            "Vocabulary",
            "'open': every label can become a tag unless its word is blocked. 'listed':"
            " only the words that are listed on the tags page can.",
            Input.CHOICE,
            choices=lambda _model_dir: (OPEN, LISTED),
        ),
    ),
)
