"""The settings page: shows, previews, tries and saves the settings of a scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from ....classification import circuit_breaker
from ....classification.circuit_breaker import ProviderState, read_states
from ....classification.sandbox.pool import RETRY_AFTER
from ....errors import ClassifierBusy, SettingsError, StaleSettings
from ....host.application import current_application
from ....jobs.reapply_job import Reapplying, affected, enqueue_for
from ....settings.checks import CheckError
from ....settings.edit import save
from ....settings.fields import Path
from ....settings.resolution import Layers, Settings
from ....settings.stored import SettingChange
from ....tags.reapply import Preview, preview
from ...access import CHANGE, TRY, VIEW
from ...responses import wants_json
from ...translation import gettext
from ...visitor import visitor
from ..filters import section_title
from ..form import SENT, can_be_trusted, refuse_button, whole_number
from ..page import PREVIEWED, FormPage, tags_stay
from ..scope import Scope
from ..settings_form import SettingsForm, form_class
from ..tags.proposals import Offer, offers
from .connection_test import ConnectionTest, find, try_connection
from .merge import merge, write_seen
from .trial import RecentImage, Trial, combined, recent_images, try_bytes, try_recent
from .usage import usage_sentence


@dataclass
class SettingsPage(FormPage):
    """The settings page of a scope, while a request is answered.

    :param preview: the tags that would change.
    :param trial: the outcome of an image that was tried.
    :param connection: the outcome of a test of a connection.
    """

    template = "autotag/settings.html"

    preview: Preview | None = None
    trial: Trial | None = None
    connection: ConnectionTest | None = None

    @cached_property
    def _read(self) -> tuple[Layers, int, list[SettingChange]]:
        instance = self.scope.instance

        def work(session: Session) -> tuple[Layers, int, list[SettingChange]]:
            return (
                self.stored.layers(session, instance),
                self.stored.version(session, instance),
                self.stored.changes(session, instance, limit=1),
            )

        return self.state.database.transact(work)

    @property
    def layers(self) -> Layers:
        """The stored values."""
        return self._read[0]

    @cached_property
    def form(self) -> SettingsForm:
        """The form; it shows the stored settings until :meth:`read_form` is called."""
        return self._form(None)

    def read_form(self) -> SettingsForm:
        """Read the form that was sent, and show it from now on."""
        self.form = self._form(SENT)
        return self.form

    def forget_form(self) -> None:
        """Show the stored settings, whatever was sent."""
        self.form = self._form(None)

    def _form(self, formdata: Mapping[str, str] | None) -> SettingsForm:
        form = form_class(SettingsForm, self.layers.own_sections)(
            self.layers,
            model_dir=self.state.config.model_dir,
            can_seal=self.stored.sealer.is_ready,
            formdata=formdata,
            data={"version": self._read[1], "seen": write_seen(self.layers.own)},
        )
        if not self.may_change:
            form.disable()
        return form

    def merge_form(self) -> dict[Path, CheckError] | None:
        """Merge the form with the settings that somebody else has saved.

        :return: the errors of the fields that both changed; ``None`` if the form does
            not contain what the user saw.
        """
        conflicts = merge(self.form, self.layers)
        self.form.add_errors(conflicts or {})
        self.form.version.data = self._read[1]
        self.form.seen.data = write_seen(self.layers.own)
        return conflicts

    @property
    def last_change(self) -> SettingChange | None:
        """The latest change."""
        return self._read[2][0] if self._read[2] else None

    @cached_property
    def provider_states(self) -> dict[str, ProviderState]:
        """The states of the remote providers, by name."""
        return self.transact(read_states)

    def usage(self, section: str) -> str:
        """Return the number of images a provider was sent this month, and the cost."""
        values = self.layers.resolve()[section]
        return usage_sentence(
            self.scope.instance, self.provider_states[section].calls, values
        )

    def is_remote(self, section: str) -> bool:
        """Whether a section is that of a remote provider."""
        return find(section) is not None

    @property
    def recent(self) -> list[RecentImage]:
        """The latest images that can be tried."""
        return recent_images(self.state, self.scope.instance) if self.may_try else []

    @property
    def offers(self) -> Sequence[Offer]:
        """The changes that people's rejections suggest."""
        return offers(self.state, self.scope)

    @cached_property
    def may_try(self) -> bool:
        """Whether the user may try an image."""
        return can_be_trusted() and self.scope.may(TRY)

    def alert_errors(self) -> None:
        """Show an alert at the top of the page if any field has an error."""
        if self.form.errors:
            self.alerts.append(
                gettext(
                    "Nothing was saved. Correct the marked fields, then save again."
                )
                if self.form.pressed == "save"
                else gettext("The marked values cannot be used and were left out.")
            )


def settings_page(scope: Scope) -> ResponseReturnValue:
    """Answer a request for the settings of a scope."""
    page = SettingsPage(scope)
    page.warn_without_key()
    if request.method == "GET":
        if "saved" in request.args:
            page.notices.append(_saved_sentence())
        return page.render()
    return _answer(page)


def _answer(page: SettingsPage) -> ResponseReturnValue:
    form = page.read_form()
    if form.pressed not in _COMMANDS:
        refuse_button()
    act, needed = _COMMANDS[form.pressed]
    refusal = page.refusal(form, needed)
    if refusal is not None:
        return refusal
    complaints = form.complaints()
    page.alerts += complaints
    if complaints:
        return page.render(), 400
    return act(page)


def _save(page: SettingsPage) -> ResponseReturnValue:
    form = page.form
    if form.is_incomplete:
        form.validate()
        page.alert_errors()
        return page.render(), 422
    found = Reapplying()

    def apply(session: Session) -> None:
        nonlocal found
        found = enqueue_for(session, page.state, page.scope.instance)

    try:
        saved = save(
            page.state.database,
            page.stored,
            page.scope.instance,
            form.typed,
            model_dir=page.state.config.model_dir,
            who=page.user,
            version=form.version.data,
            also=apply if form.apply.data else None,
        )
    except SettingsError as error:
        form.add_errors(error.errors)
        page.alert_errors()
        return page.render(), 422
    except StaleSettings as error:
        conflicts = page.merge_form()
        page.alerts.append(" ".join(_stale_sentences(error.who, conflicts)))
        return page.render(), 409
    if found.jobs:
        app = current_application()
        page.state.runner.wake(app, page.state, found.jobs)
    effects = {
        "applied": bool(found.updated),
        "unchanged": bool(found.unchanged),
        "cleared": bool(saved.cleared),
        "began": saved.after.resolve().enabled and not saved.before.resolve().enabled,
    }
    marks: dict[str, Any] = {name: "1" for name, is_true in effects.items() if is_true}
    marks["saved"] = "1" if saved.changes_anything else "0"
    url = url_for(request.endpoint or "", **request.view_args or {}, **marks)
    return redirect(url, 303)


def _preview(page: SettingsPage) -> ResponseReturnValue:
    page.form.validate()
    page.alert_errors()

    def work(session: Session) -> Preview:
        new = _proposed(page, session)
        return preview(session, page.state.database.models, new, PREVIEWED)

    page.preview = page.state.database.transact(work)
    return page.render()


def _proposed(page: SettingsPage, session: Session) -> dict[str, Settings]:
    """Return the settings of each instance as they would be with the form saved."""
    after = page.form.change.after
    if not page.scope.is_system:
        return {page.scope.instance: after.resolve()}
    names = affected(session, page.state, page.scope.instance)
    layers = page.stored.layers_of(session, names)
    return {name: replace(layers[name], system=after.own).resolve() for name in names}


def _try(page: SettingsPage) -> ResponseReturnValue:
    form, settings = page.form, _settings_to_try(page)
    with page.state.trials.enter(visitor()) as is_free:
        if not is_free:
            return _refuse_trial(
                page,
                gettext("You are already trying another image. Wait until it is done."),
                429,
            )
        try:
            page.trial = _trial(page, form, settings)
        except ClassifierBusy:
            return _refuse_trial(
                page,
                gettext(
                    "Other images are being tried just now. Try again in a moment."
                ),
                503,
            )
    return page.render()


def _trial(page: SettingsPage, form: SettingsForm, settings: Settings) -> Trial:
    """Try the image that was sent or chosen."""
    app, state, instance = current_application(), page.state, page.scope.instance
    file = form.image.data
    if file is not None:
        data = file.stream.read(state.config.max_image_bytes + 1)
        return try_bytes(app, state, data, file.filename, instance, settings)
    try:
        key = whole_number(form.recent.data or "")
    except ValueError:
        return Trial("", error=gettext("Choose an image first."))
    return try_recent(app, state, key, instance, settings)


def _refuse_trial(
    page: SettingsPage, sentence: str, status: int
) -> ResponseReturnValue:
    headers = {"Retry-After": str(RETRY_AFTER)}
    if wants_json():
        return {"error": sentence}, status, headers
    page.trial = Trial("", error=sentence)
    return page.render(), status, headers


def _settings_to_try(page: SettingsPage) -> Settings:
    """Return the settings for an image; add notices about typed ones left out."""
    saved, change = page.layers.resolve(), page.form.change
    if not page.may_change:
        if change.changes_anything:
            page.notices.append(
                gettext(
                    "Your account may not change these settings: the image was tried"
                    " with the saved ones."
                )
            )
        page.forget_form()
        return saved
    page.form.validate()
    page.alert_errors()
    typed = change.after.resolve()
    settings = combined(saved, typed)
    page.notices += [
        gettext(
            "%(provider)s is tried with its saved settings: save your changes first.",
            provider=section_title(name),
        )
        for name in settings.values
        if settings[name] != typed[name]
    ]
    return settings


def _test(page: SettingsPage) -> ResponseReturnValue:
    form, name = page.form, page.form.test.data
    form.validate()
    page.alert_errors()
    if not any(each.errors for each in form.setting_fields if each.path[0] == name):
        settings = form.change.after.resolve()
        page.connection = try_connection(
            page.state, page.scope.instance, name, settings, page.layers.resolve()
        )
    return page.render()


def _resume(page: SettingsPage) -> ResponseReturnValue:
    page.transact(circuit_breaker.resume, [page.form.resume.data])
    page.notices.append(gettext("The provider will be asked again for the next image."))
    return page.render()


def _show_reset(page: SettingsPage) -> ResponseReturnValue:
    for field in page.form.setting_fields:
        field.errors = field.process_errors
    page.notices.append(
        gettext("Fields that you reset inherit again as soon as you save.")
    )
    return page.render()


_COMMANDS = {
    "save": (_save, CHANGE),
    "preview": (_preview, VIEW),
    "try": (_try, TRY),
    "reset": (_show_reset, VIEW),
    "reset_section": (_show_reset, VIEW),
    "test": (_test, CHANGE),
    "resume": (_resume, CHANGE),
}


def _saved_sentence() -> str:
    sentences = [
        gettext("Nothing was changed, so nothing was saved.")
        if request.args["saved"] == "0"
        else gettext("Saved. The change applies from the next image on.")
    ]
    if "applied" in request.args:
        sentences.append(
            gettext("Existing images are being updated in the background.")
        )
    if "unchanged" in request.args:
        sentences.append(tags_stay())
    if "began" in request.args:
        sentences.append(
            gettext(
                "Images that were uploaded while tagging was off have no tags: 'flask"
                " autotag tag-untagged' tags them."
            )
        )
    if "cleared" in request.args:
        sentences.append(
            gettext("The key was removed, because the endpoint has changed.")
        )
    return " ".join(sentences)


def _stale_sentences(
    who: str | None, conflicts: Mapping[Path, CheckError] | None
) -> list[str]:
    somebody = who or gettext("Somebody")
    lead = gettext(
        "%(who)s saved these settings while you were editing. Your changes are not"
        " saved yet.",
        who=somebody,
    )
    if conflicts is None:
        return [
            lead,
            gettext("Compare with the stored values, then save again to replace them."),
        ]
    kept = gettext(
        "Fields that you did not change show the stored values. Save again to save"
        " your changes."
    )
    if not conflicts:
        return [lead, kept]
    return [lead, kept, gettext("The marked fields were changed by both of you.")]
