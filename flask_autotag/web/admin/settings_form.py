"""Forms with a field for each declared setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from wtforms import BooleanField, HiddenField, StringField
from wtforms.widgets import RadioInput

from ...settings.edit import SettingsChange, check_changes
from ...settings.fields import Path, Section, dotted
from ...settings.resolution import Layers
from ..signed_asset import incomplete
from ..translation import gettext, translatable
from .form import ButtonField, NumberField, PageForm, UploadField
from .setting_field import ScopeValues, SecretSetting, SettingField, field_class
from .setting_text import plain, sentence_end, translated

#: Prefixes of names: of the fields of settings, and of the boxes that remove a key.
VALUE, REMOVE = "setting.", "remove."

FormT = TypeVar("FormT", bound="SectionsForm")


@dataclass(frozen=True)
class FormSection:
    """The fields of one section.

    :param title: its heading.
    """

    name: str
    title: str
    fields: Sequence[SettingField]

    @property
    def id(self) -> str:
        """Its id in the page."""
        return f"autotag-section-{self.name or 'general'}"

    @property
    def is_own(self) -> bool:
        """Whether the scope has a value of its own for any of them."""
        return any(field.is_own for field in self.fields)


class SectionsForm(PageForm):
    """A form of settings; :func:`form_class` adds their fields.

    ``reset`` empties one setting, and ``reset_section`` those of a section. A field is
    found by the setting's dotted name, such as
    ``form["tensorflow.confidence_threshold"]``.

    :param layers: the stored values.
    :param model_dir: the folder of further models.
    :param can_seal: whether keys can be stored.
    :param formdata: the texts that were sent; ``None`` to show the stored values.
    :param data: values of fields that are no settings, by name.
    """

    reset = ButtonField()
    reset_section = ButtonField()

    def __init__(
        self,
        layers: Layers,
        *,
        model_dir: str | None = None,
        can_seal: bool = True,
        formdata: Mapping[str, str] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        own = {dotted(path): plain(value) for path, value in layers.own.items()}
        # A field that was not sent must not be taken for one that was left alone.
        start = {**own, **(data or {})} if formdata is None else {}
        super().__init__(formdata, data=start)
        self.values = ScopeValues(layers, model_dir)
        self._can_seal = can_seal
        for field in self.setting_fields:
            field.values, field.reset = self.values, self.reset
            field.description = field.help
            if isinstance(field, SecretSetting):
                self._link_box(field)
            if field.dotted == self.reset.data or (
                field.section.name == self.reset_section.data
            ):
                field.clear()

    @property
    def setting_fields(self) -> Sequence[SettingField]:
        """The fields of settings."""
        return [field for field in self if isinstance(field, SettingField)]

    @property
    def sections(self) -> Sequence[FormSection]:
        """The fields of settings, by section."""
        return [
            FormSection(
                section.name,
                gettext(section.title),
                [self[dotted((section.name, each.name))] for each in section.fields],
            )
            for section in self.values.layers.own_sections
        ]

    @property
    def typed(self) -> Mapping[Path, str | None]:
        """The settings that the form decides: a text, or ``None`` to inherit."""
        return {
            field.path: field.data or None
            for field in self.setting_fields
            if field.is_given
        }

    @cached_property
    def change(self) -> SettingsChange:
        """The settings that were typed, checked one by one and together."""
        return check_changes(
            self.values.layers,
            self.typed,
            model_dir=self.values.model_dir,
            can_seal=self._can_seal,
        )

    @property
    def is_incomplete(self) -> bool:
        """Whether a field was not sent, or sent twice."""
        return any(field.process_errors for field in self.setting_fields)

    def validate(self, extra_validators: Any = None) -> bool:
        """Check each field, then all together."""
        super().validate(extra_validators)
        self.add_errors(self.change.errors)
        return not self.errors

    def add_errors(self, errors: Mapping[Path, ValueError]) -> None:
        """Show errors at their fields, where no error is shown yet."""
        for path, error in errors.items():
            field = self[dotted(path)]
            field.errors = field.errors or [sentence_end(error)]

    def disable(self) -> None:
        """Disable the fields of settings."""
        for field in self.setting_fields:
            field.flags.disabled = True

    def _link_box(self, field: SecretSetting) -> None:
        """Add the box that removes a key, if one is stored."""
        name = REMOVE + field.dotted
        if field.is_own:
            field.remove = self[name]
        else:
            del self[name]


class RecentField(StringField):  # type: ignore[misc]
    """An image to choose; the template renders a radio button for each value."""

    widget = RadioInput()
    checked = False


class SettingsForm(SectionsForm):
    """The form of all settings of a scope.

    ``version`` is that of the settings that the user saw, and ``seen`` are these
    settings, as :func:`.merge.write_seen` wrote them. ``image`` and ``recent``, the key
    of an image's row, are the image to try. ``test`` and ``resume`` name a provider.
    """

    version = NumberField()
    seen = HiddenField()
    apply = BooleanField(
        translatable("Apply to existing images too"),
        render_kw={"id": False, "value": "1"},
    )
    image = UploadField(translatable("Your image"), id="autotag-image")
    recent = RecentField(render_kw={"id": False})
    command = ButtonField(default="save")
    test = ButtonField()
    resume = ButtonField()

    @property
    def pressed(self) -> str:
        """The name of the button that was pressed, or the value of a ``command``."""
        named = (self.test, self.resume, self.reset, self.reset_section)
        pressed = (button.name for button in named if button.data is not None)
        return str(next(pressed, self.command.data))

    def complaints(self) -> Sequence[str]:
        """Return the reasons why nothing of the form can be used."""
        known = {field.name for field in self}
        complaints = [
            gettext(
                "The form has a field that does not belong to it: %(name)s. Reload the"
                " page.",
                name=name[:80],
            )
            for name in self.sent
            if name.startswith(VALUE) and name not in known
        ]
        if self.version.data is None:
            complaints.append(translated(incomplete()))
        return complaints


def form_class(base: type[FormT], sections: Sequence[Section]) -> type[FormT]:
    """Return a form class with a field for each setting of some sections."""
    fields: dict[str, Any] = {}
    for section in sections:
        for setting in section.fields:
            name = dotted((section.name, setting.name))
            make = field_class(setting)
            fields[name] = make(section, setting, name=VALUE + name)
            if setting.is_secret:
                fields[REMOVE + name] = BooleanField(
                    translatable("Remove the stored key"), render_kw={"value": "1"}
                )
    return type(base.__name__, (base,), fields)
