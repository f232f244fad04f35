"""The page of settings: shown, tried out, previewed, saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from flask import abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from .. import gate
from ..checks import CheckError
from ..errors import SettingsError, StaleSettings
from ..gate import ProviderState, read_states
from ..jobs.rules import affected, enqueue_for
from ..reapply import Preview, preview
from ..settings.edit import Proposal, propose, save
from ..settings.fields import Path
from ..settings.resolution import Layers, Settings
from ..settings.stored import SettingChange
from .access import CHANGE, TRY, VIEW, admit
from .conflict import merge, write_seen
from .connection import ConnectionTest, find, try_connection
from .display import SectionView, Shown, translated
from .form import (
    Sent,
    can_be_trusted,
    command,
    read_form,
    token_form,
    uploaded_image,
)
from .page import PREVIEWED, FormPage, base_context
from .proposals import Offer, offers
from .scope import Scope
from .text import gettext
from .trial import RecentImage, Trial, recent_images, try_bytes, try_recent
from .usage import usage_sentence


@dataclass
class Page(FormPage):
    """One page of settings, while it is made.

    :param sent: the form, if one was sent.
    :param is_merged: whether it shows what is stored now beside what was typed.
    """

    sent: Sent | None = None
    is_merged: bool = False
    errors: dict[Path, CheckError] = field(default_factory=dict)
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
        """What is stored."""
        return self._read[0]

    @property
    def version(self) -> int:
        """Of the settings that the user has seen when the form is sent again."""
        if self.sent is None or self.is_merged:
            return self._read[1]
        return self.sent.version

    @property
    def seen(self) -> str:
        """These settings, for the form."""
        if self.sent is None or self.is_merged:
            return write_seen(self.layers.own)
        return self.sent.seen

    @property
    def last_change(self) -> SettingChange | None:
        """The latest change."""
        return self._read[2][0] if self._read[2] else None

    @cached_property
    def proposal(self) -> Proposal:
        """What was typed, checked."""
        typed = {} if self.sent is None else self.sent.typed
        return propose(
            self.layers,
            typed,
            model_dir=self.state.config.model_dir,
            can_seal=self.stored.sealer.is_ready,
        )

    @cached_property
    def sections(self) -> list[SectionView]:
        """The sections, once everything else is done."""
        return Shown(
            self.layers, self.sent, self.errors, self.state.config.model_dir
        ).sections()

    @cached_property
    def provider_states(self) -> dict[str, ProviderState]:
        """How the providers elsewhere fare, by name."""
        models, instance = self.state.database.models, self.scope.instance
        return self.state.database.transact(
            lambda session: read_states(session, models, instance)
        )

    def usage(self, section: str) -> str:
        """Say what a provider was sent this month, and about what that cost."""
        values = self.layers.resolve()[section]
        return usage_sentence(
            self.scope.instance, self.provider_states[section].calls, values
        )

    def is_elsewhere(self, section: str) -> bool:
        """Whether a section is that of a provider which is asked over the network."""
        return find(section) is not None

    @property
    def recent(self) -> list[RecentImage]:
        """Images to try."""
        return recent_images(self.state, self.scope.instance) if self.may_try else []

    @property
    def offers(self) -> Sequence[Offer]:
        """What people's rejections teach."""
        return offers(self.state, self.scope)

    @cached_property
    def may_try(self) -> bool:
        """Whether to offer to try an image."""
        return can_be_trusted() and self.scope.may(TRY)

    def refuse(self, errors: Mapping[Path, Any]) -> None:
        """Show errors at their fields, and say at the top that there are some."""
        self.errors.update(errors)
        if self.errors:
            self.alerts.append(
                gettext("Nothing was saved. Mend what is marked, then save again.")
                if command() == "save"
                else gettext("What is marked cannot be used, and was left out.")
            )

    def render(self) -> str:
        """Make the HTML."""
        return render_template(
            "autotag/settings.html", autotag_page=self, **base_context()
        )


def settings_page(scope: Scope) -> ResponseReturnValue:
    """Answer a request for the settings of a scope."""
    page = Page(scope, token_form())
    page.warn_without_key()
    if request.method == "GET":
        if "saved" in request.args:
            page.notices.append(_saved_sentence())
        return page.render()
    return _answer(page)


def _answer(page: Page) -> ResponseReturnValue:
    chosen = command()
    if chosen not in _COMMANDS:
        abort(400, gettext("The form has a button that does not belong to it."))
    act, needed = _COMMANDS[chosen]
    refusal = admit(needed, page.scope.instance)
    if refusal is not None:
        return refusal
    if not can_be_trusted():
        return page.render(), 400
    page.sent = read_form(tuple(page.layers.own_sections), page.token)
    complaints = page.sent.complaints
    page.alerts += [translated(complaint) for complaint in complaints]
    if complaints:
        return page.render(), 400
    return act(page, page.sent)


def _save(page: Page, sent: Sent) -> ResponseReturnValue:
    if sent.errors:
        page.refuse({**page.proposal.errors, **sent.errors})
        return page.render(), 422
    jobs: list[int] = []
    try:
        saved = save(
            page.state.database,
            page.stored,
            page.scope.instance,
            sent.typed,
            model_dir=page.state.config.model_dir,
            who=page.user,
            version=sent.version,
            also=lambda session: jobs.extend(
                enqueue_for(session, page.state, page.scope.instance)
                if "apply" in request.form
                else ()
            ),
        )
    except SettingsError as error:
        page.refuse(error.errors)
        return page.render(), 422
    except StaleSettings as error:
        conflicts = merge(sent, page.layers)
        page.is_merged = True
        page.errors.update(conflicts or {})
        page.alerts.append(" ".join(_stale_sentences(error.who, conflicts)))
        return page.render(), 409
    if jobs:
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        page.state.runner.wake(app, page.state, jobs)
    told = {
        "applied": bool(jobs),
        "cleared": bool(saved.cleared),
        "began": saved.after.resolve().enabled and not saved.before.resolve().enabled,
    }
    marks: dict[str, Any] = {name: "1" for name, true in told.items() if true}
    marks["saved"] = "1" if saved.changes_anything else "0"
    url = url_for(request.endpoint or "", **request.view_args or {}, **marks)
    return redirect(url, 303)


def _preview(page: Page, sent: Sent) -> ResponseReturnValue:
    page.refuse({**page.proposal.errors, **sent.errors})

    def work(session: Session) -> Preview:
        new = _proposed(page, session)
        return preview(session, page.state.database.models, new, PREVIEWED)

    page.preview = page.state.database.transact(work)
    return page.render()


def _proposed(page: Page, session: Session) -> dict[str, Settings]:
    """Find what would hold for each instance if the form were saved."""
    after = page.proposal.after
    if not page.scope.is_system:
        return {page.scope.instance: after.resolve()}
    names = affected(session, page.state, page.scope.instance)
    layers = page.stored.layers_of(session, names)
    return {name: replace(layers[name], system=after.own).resolve() for name in names}


def _try(page: Page, sent: Sent) -> ResponseReturnValue:
    page.refuse({**page.proposal.errors, **sent.errors})
    settings = page.proposal.after.resolve()
    file, chosen = uploaded_image(), request.form.get("recent", "")
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    if file is not None:
        most = page.state.config.max_image_bytes
        data = file.stream.read(most + 1)
        page.trial = try_bytes(
            app, page.state, data, file.filename or "", page.scope.instance, settings
        )
    elif chosen.isascii() and chosen.isdigit() and len(chosen) < 19:
        page.trial = try_recent(
            app, page.state, int(chosen), page.scope.instance, settings
        )
    else:
        page.trial = Trial("", error=gettext("Choose an image first."))
    return page.render()


def _test(page: Page, sent: Sent) -> ResponseReturnValue:
    page.refuse({**page.proposal.errors, **sent.errors})
    name = request.form["test"]
    section_errors = [path for path in page.errors if path[0] == name]
    if not section_errors:
        settings = page.proposal.after.resolve()
        page.connection = try_connection(
            page.state, page.scope.instance, name, settings
        )
    return page.render()


def _resume(page: Page, _sent: Sent) -> ResponseReturnValue:
    models, instance = page.state.database.models, page.scope.instance
    page.state.database.transact(
        lambda session: gate.resume(session, models, instance, [request.form["resume"]])
    )
    page.notices.append(gettext("It will be asked again for the next image."))
    return page.render()


def _show_reset(page: Page, sent: Sent) -> ResponseReturnValue:
    page.errors.update(sent.errors)
    page.notices.append(gettext("What you reset inherits again as soon as you save."))
    return page.render()


_COMMANDS = {
    "save": (_save, CHANGE),
    "preview": (_preview, VIEW),
    "try": (_try, TRY),
    "reset": (_show_reset, VIEW),
    "test": (_test, CHANGE),
    "resume": (_resume, CHANGE),
}


def _saved_sentence() -> str:
    sentences = [
        gettext("Nothing was changed, so nothing was saved.")
        if request.args["saved"] == "0"
        else gettext("Saved. It holds for the next image.")
    ]
    if "applied" in request.args:
        sentences.append(
            gettext("Existing images are being brought up to date in the background.")
        )
    if "began" in request.args:
        sentences.append(
            gettext(
                "Images that were uploaded while tagging was off have no tags: 'flask"
                " autotag tag-untagged' gives them some."
            )
        )
    if "cleared" in request.args:
        sentences.append(
            gettext("The key was removed, because the endpoint is another one now.")
        )
    return " ".join(sentences)


def _stale_sentences(
    who: str | None, conflicts: Mapping[Path, CheckError] | None
) -> list[str]:
    somebody = who or gettext("Somebody")
    told = gettext(
        "%(who)s has saved these settings while you were editing. Nothing of yours was"
        " saved yet.",
        who=somebody,
    )
    if conflicts is None:
        return [
            told,
            gettext("Compare with what is stored now, then save again to replace it."),
        ]
    kept = gettext(
        "What you did not change shows what is stored now. Save again to save the rest."
    )
    if not conflicts:
        return [told, kept]
    return [told, kept, gettext("What is marked was changed by both of you.")]
