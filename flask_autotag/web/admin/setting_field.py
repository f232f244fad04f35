"""WTForms fields for settings, as the extension and its providers declare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import wtforms

from ...settings.fields import Field, Input, Path, Section, dotted
from ...settings.resolution import Layers, Origin, Settings
from ...settings.secret import Secret
from ..translation import gettext
from .form import ButtonField, ListField
from .setting_text import OFF, ON, ORIGINS, plain, sentence_end, write

#: Characters of a refused text that are shown again.
_SHOWN = 500


@dataclass(frozen=True)
class ScopeValues:
    """The values of all settings, seen from one scope.

    :param layers: the stored values.
    :param model_dir: the folder of further models.
    """

    layers: Layers
    model_dir: str | None

    @cached_property
    def inherited(self) -> Settings:
        """The values without the scope's own ones."""
        return self.layers.inherited()

    @cached_property
    def effective(self) -> Settings:
        """The values that hold."""
        return self.layers.resolve()

    @property
    def is_system(self) -> bool:
        """Whether the scope is the system."""
        return self.layers.instance is None


def check_setting(_form: Any, field: Any) -> None:
    """Validate a text with the check that its setting declares.

    :raises wtforms.ValidationError: if the check refuses it.
    """
    if not field.data:
        return
    try:
        field.setting.check(field.data)
    except ValueError as error:
        raise wtforms.ValidationError(sentence_end(error)) from None


class SettingField(wtforms.Field):  # type: ignore[misc]
    """The base of the fields of settings.

    ``data`` is a text, and empty where the scope inherits. ``errors`` are ends of
    sentences that begin with the label.

    :param section: the section that declares the setting.
    :param setting: the setting.
    :ivar values: the values of the scope; the form sets them.
    """

    #: The name by which a host's macro knows the control.
    looks_like = "StringField"
    #: The box that removes a stored key.
    remove: Any = None
    #: The button that resets it, of the form.
    reset: ButtonField

    data: str
    errors: Sequence[str]
    process_errors: Sequence[str]
    values: ScopeValues

    def __init__(self, section: Section, setting: Field, **options: Any) -> None:
        self.path: Path = (section.name, setting.name)
        super().__init__(
            setting.label,
            [check_setting],
            id="autotag-" + "-".join(filter(None, self.path)).replace("_", "-"),
            **options,
        )
        self.section, self.setting = section, setting
        self.type = self.looks_like

    def __call__(self, **attributes: Any) -> Any:
        """Render the control."""
        invalid = {"aria_invalid": "true"} if self.errors else {}
        return super().__call__(**{**self.attributes, **invalid, **attributes})

    def process_data(self, value: str | None) -> None:
        """Take the scope's own value, as a text."""
        self.data = value or ""

    def process_formdata(self, texts: Sequence[str]) -> None:
        """Take the text that was sent.

        :raises ValueError: unless there is exactly one.
        """
        self.data = ""
        if len(texts) != 1:
            raise ValueError(
                gettext("was missing from the form, or there twice: reload the page")
            )
        self.data = texts[0].strip()

    def clear(self) -> None:
        """Empty the field, so that the scope inherits."""
        self.data = ""
        self.process_errors = []

    @property
    def is_given(self) -> bool:
        """Whether the form decides the setting; if not, it stays as it is stored."""
        return not self.process_errors

    @property
    def dotted(self) -> str:
        """The name of the setting, as on the command line."""
        return dotted(self.path)

    @property
    def is_own(self) -> bool:
        """Whether the scope has a value of its own."""
        return self.path in self.values.layers.own

    @property
    def is_secret(self) -> bool:
        """Whether the value is never shown."""
        return self.setting.is_secret

    @property
    def help(self) -> str:
        """The sentences that explain the setting."""
        texts = [self.setting.help]
        if self.values.is_system and self.setting.system_help:
            texts.append(self.setting.system_help)
        return " ".join(map(gettext, texts))

    @property
    def fallback(self) -> str:
        """The value that holds while the field is empty, for people."""
        return write(self.values.inherited.value(self.path))

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes of the control."""
        return {
            "placeholder": self.fallback,
            "autocomplete": "off",
            "spellcheck": "false",
        }

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about the origin of the value."""
        inherited = self.values.inherited
        about = {
            "value": self.fallback,
            "origin": gettext(ORIGINS[inherited.origins[self.path]]),
        }
        own = self.values.layers.own.get(self.path)
        if own is None:
            return [gettext("%(origin)s: %(value)s.", **about)]
        notes = [gettext("Set here. %(origin)s: %(value)s.", **about)]
        if self.data[:_SHOWN] != plain(own):
            notes.append(gettext("Stored now: %(value)s.", value=write(own)))
        effective = self.values.effective.value(self.path)
        if effective != own:
            notes.append(
                gettext(
                    "In effect: %(value)s, because of the system.",
                    value=write(effective),
                )
            )
        return notes

    def _value(self) -> str:
        return self.data[:_SHOWN]


class TextSetting(SettingField, wtforms.StringField):  # type: ignore[misc]
    """A line of text."""


class CountSetting(TextSetting):
    """A whole number."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes of the control."""
        return {**super().attributes, "inputmode": "numeric"}


class FractionSetting(TextSetting):
    """A number from 0 to 1."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes of the control; scripts read those of data."""
        return {
            **super().attributes,
            "inputmode": "decimal",
            "data_fraction": True,
            "data_inherited": plain(self.values.inherited.value(self.path)),
            "data_provider": self.section.name,
        }


class ChoiceSetting(SettingField, ListField):
    """A list whose first line inherits."""

    looks_like = "SelectField"
    #: A list needs none: its first line says what it inherits.
    attributes: Mapping[str, Any] = {}

    def lines(self) -> Mapping[str, str]:
        """Return the text of each line, by its value."""
        inherit = gettext("Inherit (%(value)s)", value=self.fallback)
        return {"": inherit, **self.options()}

    def options(self) -> Mapping[str, str]:
        """Return the lines below the first."""
        choices = self.setting.choices
        listed = dict.fromkeys(choices(self.values.model_dir) if choices else ())
        shown = self._value()
        # A value that is no longer listed is still shown.
        return {value: value for value in (*listed, *({shown} - {*listed, ""}))}


class SwitchSetting(ChoiceSetting):
    """On, off, or inherited."""

    def options(self) -> Mapping[str, str]:
        """Return the lines below the first."""
        return {ON: gettext("On"), OFF: gettext("Off")}


class SecretSetting(SettingField, wtforms.PasswordField):  # type: ignore[misc]
    """A key: typed, stored encrypted, and never shown again.

    An empty field keeps the stored key; a box beside it removes that.
    """

    looks_like = "PasswordField"
    attributes: Mapping[str, Any] = {
        "autocomplete": "new-password",
        "spellcheck": "false",
    }
    is_cleared = False

    def clear(self) -> None:
        """Forget the key that was typed, and the stored one."""
        super().clear()
        self.is_cleared = True

    @property
    def is_given(self) -> bool:
        """Whether a key was typed, or the stored one is to go."""
        is_removed = self.is_cleared or (self.remove is not None and self.remove.data)
        return super().is_given and bool(self.data or is_removed)

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about the key that is set."""
        layers, effective = self.values.layers, self.values.effective
        own: Secret | None = layers.own.get(self.path)
        used: Secret | None = effective.value(self.path)
        if own is not None:
            return [_own_secret(own, is_used=used is not None)]
        if used is None:
            return [gettext("No key is set.")]
        if effective.origins[self.path] is Origin.CONFIG and self.values.is_system:
            return [
                gettext(
                    "A key is set in the application's configuration"
                    " (%(key)s)%(ending)s.",
                    key=self.section.key(self.setting),
                    ending=_ending(used),
                )
            ]
        return [gettext("The system's key is used.")]


_CLASSES: Mapping[Input, type[SettingField]] = {
    Input.SWITCH: SwitchSetting,
    Input.FRACTION: FractionSetting,
    Input.COUNT: CountSetting,
    Input.SECRET: SecretSetting,
}


def field_class(setting: Field) -> type[SettingField]:
    """Return the class of the field for a setting."""
    usual = TextSetting if setting.choices is None else ChoiceSetting
    return _CLASSES.get(setting.input, usual)


def _own_secret(own: Secret, *, is_used: bool) -> str:
    if not own.is_readable:
        return gettext(
            "A key is stored, but cannot be decrypted with the present secrets of the"
            " application. Type it again."
        )
    if not is_used:
        return gettext(
            "A key is stored for another endpoint, and is not used. Type the key for"
            " this one."
        )
    return gettext("A key is set%(ending)s.", ending=_ending(own))


def _ending(secret: Secret) -> str:
    if not secret.ending:
        return ""
    return gettext(", ending in %(ending)s", ending=secret.ending)
