"""The settings of an instance: default < ``app.config`` < system < instance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ..errors import ConfigurationError
from .checks import CheckError, checked
from .fields import GENERAL, LISTED, Field, Layer, Path, Section, for_instances, paths
from .secret import Secret
from .vocabulary import Vocabulary, WordRule, combine_rules

#: Rules for words, by key.
WordRules = Mapping[str, WordRule]

_NO_WORDS = Vocabulary()


class Origin(StrEnum):
    """The level that a value comes from."""

    DEFAULT = "default"
    CONFIG = "config"
    SYSTEM = "system"
    INSTANCE = "instance"


@dataclass(frozen=True)
class Settings:
    """The values of all fields for one instance; immutable.

    :param values: section name → field name → value.
    :param origins: the level that each value comes from.
    :param vocabulary: the rules for words.
    """

    values: Mapping[str, Mapping[str, Any]]
    origins: Mapping[Path, Origin] = dataclasses.field(default_factory=dict)
    vocabulary: Vocabulary = _NO_WORDS

    def __getitem__(self, section: str) -> Mapping[str, Any]:
        """Return the values of one section, by field name."""
        return self.values[section]

    def value(self, path: Path) -> Any:
        """Return the value of one field."""
        return self.values[path[0]][path[1]]

    def with_value(self, path: Path, value: Any) -> Settings:
        """Return a copy with another value for one field."""
        section = MappingProxyType({**self.values[path[0]], path[1]: value})
        return replace(self, values=MappingProxyType({**self.values, path[0]: section}))

    @property
    def enabled(self) -> bool:
        """Whether images of this instance are tagged."""
        return bool(self.values[GENERAL.name]["enabled"])

    @property
    def max_tags(self) -> int:
        """The most tags that an image may have; 0 means no limit."""
        return int(self.values[GENERAL.name]["max_tags"])

    @property
    def broader_tags(self) -> bool:
        """Whether broader tags are applied."""
        return bool(self.values[GENERAL.name]["broader_tags"])

    @property
    def suggestion_threshold(self) -> float:
        """The confidence, from 0 to 1, that suggested labels must reach."""
        return float(self.values[GENERAL.name]["suggestion_threshold"])

    @property
    def listed_only(self) -> bool:
        """Whether providers may apply only listed words."""
        return bool(self.values[GENERAL.name]["vocabulary"] == LISTED)


@dataclass(frozen=True)
class Layers:
    """The values set at each level, for one scope: the system, or an instance.

    :param sections: all sections.
    :param config: the values in ``app.config``.
    :param system: the values stored for the system.
    :param instance: the values stored for the instance; ``None`` if the scope is the
        system.
    :param system_words: the system's rules for words, by key.
    :param own_words: the instance's rules for words, by key.
    """

    sections: Sequence[Section]
    config: Layer
    system: Layer
    instance: Layer | None = None
    system_words: WordRules = dataclasses.field(default_factory=dict)
    own_words: WordRules = dataclasses.field(default_factory=dict)

    @property
    def own(self) -> Layer:
        """The values stored for the scope itself."""
        return self.system if self.instance is None else self.instance

    @property
    def own_sections(self) -> Sequence[Section]:
        """The sections, with only the fields that the scope can set."""
        return self.sections if self.instance is None else for_instances(self.sections)

    def with_own(self, layer: Layer) -> Layers:
        """Return a copy with *layer* as the values stored for the scope."""
        if self.instance is None:
            return replace(self, system=layer)
        return replace(self, instance=layer)

    def inherited(self) -> Settings:
        """Return the settings that would apply if the scope itself set nothing."""
        return self.with_own({}).resolve()

    def resolve(self) -> Settings:
        """Return the settings that apply in the scope."""
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
            Vocabulary(combine_rules(self.system_words, self.own_words)),
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
    """Return a secret only if it was saved for the endpoint that applies now.

    Otherwise an instance that sets its own endpoint, but no key, would receive the
    system's key there.
    """
    if secret is None or not secret.is_readable:
        return None
    if field.bound_to and secret.bound_to != values[section, field.bound_to]:
        return None
    return secret


def read_config_layer(sections: Sequence[Section], config: Mapping[str, Any]) -> Layer:
    """Return the settings in ``app.config``.

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
            endpoint = (path[0], field.bound_to)
            value = layer.get(endpoint, fields[endpoint].default)
            layer[path] = layer[path].bound(value)
    return MappingProxyType(layer)


def check_choices(
    sections: Sequence[Section], layer: Layer, model_dir: str | None
) -> None:
    """Refuse a value in ``app.config`` that is not among its field's choices.

    :raises ConfigurationError: with the key and the choices.
    """
    for section in sections:
        for key, field in section.config_keys().items():
            value = layer.get((section.name, field.name))
            if value is None:
                continue
            try:
                field.check_choice(value, model_dir)
            except CheckError as error:
                raise ConfigurationError(f"{key} {error}. {field.help}") from None


def read_settings(sections: Sequence[Section], config: Mapping[str, Any]) -> Settings:
    """Return the settings that apply if nothing is stored.

    :raises ConfigurationError: if a value in *config* is not accepted.
    """
    return Layers(sections, read_config_layer(sections, config), {}).resolve()
