"""What an administrator sets: sections of fields, and how their values are found.

A field's value is its default, unless ``app.config`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from . import checks
from .checks import Check
from .errors import ConfigurationError

PREFIX = "AUTOTAG_"


@dataclass(frozen=True)
class Field:
    """One setting.

    :param name: lower case, unique in its section.
    :param default: its value where nobody set one.
    :param check: turns what was given into a value, or raises :exc:`ValueError`.
    :param label: what the administrator reads beside it.
    :param help: one or two sentences: what it does, with its unit and range.
    """

    name: str
    default: Any
    check: Check
    label: str
    help: str


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


GENERAL = Section(
    "",
    "Asset Auto Tagging",
    (
        Field(
            "enabled",
            True,
            checks.boolean,
            "Enable auto tagging of assets",
            "Whether uploaded images are tagged at all.",
        ),
        Field(
            "max_tags",
            0,
            checks.whole_number(0, 1000),
            "Maximum number of tags per asset",
            "How many tags an image may have; the surest are kept. Tags that a"
            " person added count too and are never taken away. 0 means no limit.",
        ),
    ),
)


@dataclass(frozen=True)
class Settings:
    """The values of all fields for one instance, found once for one job.

    :param values: section name → field name → value.
    """

    values: Mapping[str, Mapping[str, Any]]

    def __getitem__(self, section: str) -> Mapping[str, Any]:
        """Give the values of one section, by field name."""
        return self.values[section]

    @property
    def enabled(self) -> bool:
        """Whether images of this instance are tagged."""
        return bool(self.values[GENERAL.name]["enabled"])

    @property
    def max_tags(self) -> int:
        """How many tags an image may have, 0 for no limit."""
        return int(self.values[GENERAL.name]["max_tags"])


def read_settings(sections: Iterable[Section], config: Mapping[str, Any]) -> Settings:
    """Find the value of every field: ``app.config``'s, else the default.

    :raises ConfigurationError: if a value in *config* is not accepted; the message
        names the key.
    """
    values = {
        section.name: MappingProxyType(
            {
                field.name: checked(key, field.check, config[key])
                if key in config
                else field.default
                for key, field in section.config_keys().items()
            }
        )
        for section in sections
    }
    return Settings(MappingProxyType(values))


def checked(key: str, check: Check, value: Any) -> Any:
    """Check one value of ``app.config``.

    :raises ConfigurationError: with the key's name before the check's own words.
    """
    try:
        return check(value)
    except ValueError as error:
        raise ConfigurationError(f"{key} {error}.") from None
