"""Which value holds: default < ``app.config`` < system < instance, field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ..checks import Check
from ..errors import ConfigurationError
from ..vocabulary import Vocabulary, Word, join_words
from .fields import GENERAL, LISTED, Field, Layer, Path, Section, for_instances, paths
from .secret import Secret

#: What was decided about words, by key.
Words = Mapping[str, Word]

_NO_WORDS = Vocabulary()


class Origin(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    CONFIG = "config"
    SYSTEM = "system"
    INSTANCE = "instance"


@dataclass(frozen=True)
class Settings:
    """The values of all fields for one instance, found once for one job.

    :param values: section name → field name → value.
    :param origins: where each comes from.
    :param vocabulary: what was decided about words.
    """

    values: Mapping[str, Mapping[str, Any]]
    origins: Mapping[Path, Origin] = dataclasses.field(default_factory=dict)
    vocabulary: Vocabulary = _NO_WORDS

    def __getitem__(self, section: str) -> Mapping[str, Any]:
        """Give the values of one section, by field name."""
        return self.values[section]

    def value(self, path: Path) -> Any:
        """Give the value of one field."""
        return self.values[path[0]][path[1]]

    def with_value(self, path: Path, value: Any) -> Settings:
        """Give the same, with another value for one field."""
        section = MappingProxyType({**self.values[path[0]], path[1]: value})
        return replace(self, values=MappingProxyType({**self.values, path[0]: section}))

    @property
    def enabled(self) -> bool:
        """Whether images of this instance are tagged."""
        return bool(self.values[GENERAL.name]["enabled"])

    @property
    def max_tags(self) -> int:
        """How many tags an image may have, 0 for no limit."""
        return int(self.values[GENERAL.name]["max_tags"])

    @property
    def broader_tags(self) -> bool:
        """Whether broader tags are applied."""
        return bool(self.values[GENERAL.name]["broader_tags"])

    @property
    def suggestion_threshold(self) -> float:
        """From which confidence, from 0 to 1, what is not applied is suggested."""
        return float(self.values[GENERAL.name]["suggestion_threshold"])

    @property
    def listed_only(self) -> bool:
        """Whether providers may apply listed words only."""
        return bool(self.values[GENERAL.name]["vocabulary"] == LISTED)


@dataclass(frozen=True)
class Layers:
    """What is set where, seen from one scope: the system, or an instance.

    :param sections: all there are.
    :param config: what ``app.config`` sets.
    :param system: what is stored for the system.
    :param instance: what is stored for the instance; ``None`` where the scope is the
        system itself.
    :param system_words: what was decided about words for the system, by key.
    :param own_words: what was for the instance.
    """

    sections: Sequence[Section]
    config: Layer
    system: Layer
    instance: Layer | None = None
    system_words: Words = dataclasses.field(default_factory=dict)
    own_words: Words = dataclasses.field(default_factory=dict)

    @property
    def own(self) -> Layer:
        """What is stored for the scope itself."""
        return self.system if self.instance is None else self.instance

    @property
    def own_sections(self) -> Sequence[Section]:
        """The sections with the fields that the scope itself can set."""
        return self.sections if self.instance is None else for_instances(self.sections)

    def with_own(self, layer: Layer) -> Layers:
        """Give the same, with *layer* stored for the scope."""
        if self.instance is None:
            return replace(self, system=layer)
        return replace(self, instance=layer)

    def inherited(self) -> Settings:
        """Find what holds where the scope sets nothing itself."""
        return self.with_own({}).resolve()

    def resolve(self) -> Settings:
        """Find the value of every field."""
        values: dict[Path, Any] = {}
        origins: dict[Path, Origin] = {}
        fields = paths(self.sections)
        for path, field in fields.items():
            values[path], origins[path] = self._find(path, field)
        for path, field in fields.items():
            if field.is_secret:
                values[path] = _usable(values[path], field, path[0], values)
        return Settings(
            MappingProxyType(
                {
                    section.name: MappingProxyType(
                        {
                            field.name: values[section.name, field.name]
                            for field in section.fields
                        }
                    )
                    for section in self.sections
                }
            ),
            MappingProxyType(origins),
            Vocabulary(join_words(self.system_words, self.own_words)),
        )

    def _find(self, path: Path, field: Field) -> tuple[Any, Origin]:
        value, origin = field.default, Origin.DEFAULT
        for layer, name in (
            (self.config, Origin.CONFIG),
            (self.system, Origin.SYSTEM),
        ):
            if path in layer:
                value, origin = layer[path], name
        if self.instance is None or field.system_only or path not in self.instance:
            return value, origin
        combined = field.combine(value, self.instance[path])
        decides = combined == self.instance[path]
        return combined, Origin.INSTANCE if decides else origin


def _usable(
    secret: Secret | None, field: Field, section: str, values: Mapping[Path, Any]
) -> Secret | None:
    """Drop a secret that was saved for another place than it would be sent to now.

    Without that, an instance that overrides the endpoint alone would be sent the
    system's key.
    """
    if secret is None or not secret.is_readable:
        return None
    if field.bound_to and secret.bound_to != values[section, field.bound_to]:
        return None
    return secret


def read_config_layer(sections: Sequence[Section], config: Mapping[str, Any]) -> Layer:
    """Take from ``app.config`` what it sets.

    :raises ConfigurationError: if a value is not accepted; the message names the key.
    """
    layer: dict[Path, Any] = {
        (section.name, field.name): checked(key, field.check, config[key])
        for section in sections
        for key, field in section.config_keys().items()
        if key in config
    }
    fields = paths(sections)
    for path, field in fields.items():
        if field.bound_to and layer.get(path) is not None:
            place = (path[0], field.bound_to)
            layer[path] = layer[path].bound(layer.get(place, fields[place].default))
    return MappingProxyType(layer)


def check_choices(
    sections: Sequence[Section], layer: Layer, model_dir: str | None
) -> None:
    """Refuse what ``app.config`` chooses and is not there.

    :raises ConfigurationError: with the key's name and what there is.
    """
    for section in sections:
        for key, field in section.config_keys().items():
            chosen = layer.get((section.name, field.name))
            if field.choices is None or chosen is None:
                continue
            there = field.choices(model_dir)
            if chosen not in there:
                raise ConfigurationError(
                    f"{key} must be one of {', '.join(there)}, not {chosen!r:.80}."
                    f" {field.help}"
                )


def read_settings(sections: Sequence[Section], config: Mapping[str, Any]) -> Settings:
    """Find the value of every field where nothing is stored.

    :raises ConfigurationError: if a value in *config* is not accepted.
    """
    return Layers(sections, read_config_layer(sections, config), {}).resolve()


def checked(key: str, check: Check, value: Any) -> Any:
    """Check one value of ``app.config``.

    :raises ConfigurationError: with the key's name before the check's own words.
    """
    try:
        return check(value)
    except ValueError as error:
        raise ConfigurationError(f"{key} {error}.") from None
