"""Settings as a page shows them: texts, choices, where a value comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..checks import CheckError
from ..settings.fields import Field, Input, Path, Section, dotted
from ..settings.resolution import Layers, Origin, Settings
from ..settings.secret import Secret
from .form import REMOVE, VALUE, Sent
from .text import gettext

#: What stands in a switch's list, and in a form.
_ON, _OFF = "on", "off"


@dataclass(frozen=True)
class Option:
    """One line of a list to choose from."""

    value: str
    text: str
    selected: bool


@dataclass(frozen=True)
class FieldView:
    """One field as it is shown.

    :param kind: with which control.
    :param value: what stands in the control.
    :param fallback: what holds without an own value.
    :param is_own: whether it is set here.
    :param notes: sentences about where its value comes from.
    :param error: what was wrong with what was typed.
    :param options: to choose from.
    :param inherited: what the field would hold, for scripts.
    """

    path: Path
    kind: Input
    label: str
    help: str
    value: str
    fallback: str
    is_own: bool
    notes: tuple[str, ...]
    error: str | None
    options: tuple[Option, ...]
    inherited: str

    @property
    def dotted(self) -> str:
        """Its name, as on the command line."""
        return dotted(self.path)

    @property
    def name(self) -> str:
        """Its name in the form."""
        return VALUE + self.dotted

    @property
    def remove_name(self) -> str:
        """The name of the box that removes a secret."""
        return REMOVE + self.dotted

    @property
    def id(self) -> str:
        """Its id in the page."""
        return "autotag-" + "-".join(filter(None, self.path)).replace("_", "-")


@dataclass(frozen=True)
class SectionView:
    """One section as it is shown."""

    name: str
    title: str
    fields: tuple[FieldView, ...]

    @property
    def id(self) -> str:
        """Its id in the page."""
        return f"autotag-section-{self.name or 'general'}"

    @property
    def is_own(self) -> bool:
        """Whether anything in it is set here."""
        return any(field.is_own for field in self.fields)


@dataclass(frozen=True)
class Shown:
    """What is needed to show the settings of one scope.

    :param layers: what is stored.
    :param sent: what was typed, if a form was sent.
    :param errors: what is wrong with it.
    :param model_dir: where further models are.
    """

    layers: Layers
    sent: Sent | None
    errors: dict[Path, CheckError]
    model_dir: str | None

    def sections(self) -> list[SectionView]:
        """Give all sections."""
        inherited, settings = self.layers.inherited(), self.layers.resolve()
        return [
            SectionView(
                section.name,
                gettext(section.title),
                tuple(
                    self._field(section, field, inherited, settings)
                    for field in section.fields
                ),
            )
            for section in self.layers.own_sections
        ]

    def _field(
        self, section: Section, field: Field, inherited: Settings, settings: Settings
    ) -> FieldView:
        path = (section.name, field.name)
        value = self._value(path, field)
        fallback = write(inherited.value(path))
        error = self.errors.get(path)
        return FieldView(
            path=path,
            kind=field.input,
            label=gettext(field.label),
            help=self._help(field),
            value=value,
            fallback=fallback,
            is_own=path in self.layers.own,
            notes=tuple(self._notes(section, field, inherited, settings)),
            error=None if error is None else translated(error),
            options=tuple(self._options(field, value, fallback)),
            inherited=plain(inherited.value(path)),
        )

    def _help(self, field: Field) -> str:
        texts = [field.help]
        if self.layers.instance is None and field.system_help:
            texts.append(field.system_help)
        return " ".join(map(gettext, texts))

    def _value(self, path: Path, field: Field) -> str:
        if field.is_secret:
            return ""
        if self.sent is not None:
            return self.sent.shown(path)
        own = self.layers.own.get(path)
        return "" if own is None else plain(own)

    def _options(self, field: Field, value: str, fallback: str) -> list[Option]:
        if field.input is Input.SWITCH:
            choices = [(_ON, gettext("On")), (_OFF, gettext("Off"))]
        elif field.choices is not None:
            there = dict.fromkeys(field.choices(self.model_dir))
            # One that was chosen and is gone is still shown.
            choices = [(one, one) for one in (*there, *({value} - {*there, ""}))]
        else:
            return []
        first = gettext("Inherit (%(value)s)", value=fallback)
        return [Option("", first, not value)] + [
            Option(one, text, one == value) for one, text in choices
        ]

    def _notes(
        self, section: Section, field: Field, inherited: Settings, settings: Settings
    ) -> Sequence[str]:
        path = (section.name, field.name)
        if field.is_secret:
            return self._secret_notes(section, field, settings)
        origin = ORIGINS[inherited.origins[path]]
        about = {"value": write(inherited.value(path)), "origin": gettext(origin)}
        own = self.layers.own.get(path)
        if own is None:
            return [gettext("%(origin)s: %(value)s.", **about)]
        notes = [gettext("Set here. %(origin)s: %(value)s.", **about)]
        if self.sent is not None and self.sent.shown(path) != plain(own):
            notes.append(gettext("Stored now: %(value)s.", value=write(own)))
        if settings.value(path) != own:
            value = write(settings.value(path))
            notes.append(
                gettext("In effect: %(value)s, because of the system.", value=value)
            )
        return notes

    def _secret_notes(
        self, section: Section, field: Field, settings: Settings
    ) -> list[str]:
        path = (section.name, field.name)
        own: Secret | None = self.layers.own.get(path)
        if own is not None:
            return [_own_secret(own, usable=settings.value(path) is not None)]
        used: Secret | None = settings.value(path)
        if used is None:
            return [gettext("No key is set.")]
        if settings.origins[path] is Origin.CONFIG and self.layers.instance is None:
            return [
                gettext(
                    "A key is set in the application's configuration"
                    " (%(key)s)%(ending)s.",
                    key=section.key(field),
                    ending=_ending(used),
                )
            ]
        return [gettext("The system's key is used.")]


ORIGINS = {
    Origin.DEFAULT: "Default",
    Origin.CONFIG: "Application's configuration",
    Origin.SYSTEM: "System",
}


def write(value: Any) -> str:
    """Write a value for people."""
    if value is None:
        return gettext("not set")
    if isinstance(value, bool):
        return gettext("on") if value else gettext("off")
    if isinstance(value, Secret):
        return gettext("set")
    return plain(value)


def plain(value: Any) -> str:
    """Write a value as it is typed; a fraction with two digits, if these are all."""
    if isinstance(value, bool):
        return _ON if value else _OFF
    if isinstance(value, float):
        return f"{value:.2f}" if round(value, 2) == value else repr(value)
    return "" if value is None or isinstance(value, Secret) else str(value)


def translated(error: CheckError) -> str:
    """Write an error in the user's language."""
    return gettext(error.message, **error.values)


def _own_secret(own: Secret, *, usable: bool) -> str:
    if not own.is_readable:
        return gettext(
            "A key is stored, but cannot be decrypted with the present secrets of the"
            " application. Type it again."
        )
    if not usable:
        return gettext(
            "A key is stored for another endpoint, and is not used. Type the key for"
            " this one."
        )
    return gettext("A key is set%(ending)s.", ending=_ending(own))


def _ending(secret: Secret) -> str:
    if not secret.ending:
        return ""
    return gettext(", ending in %(ending)s", ending=secret.ending)
