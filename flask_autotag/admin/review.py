"""The page of review: what is suggested, tag by tag, and accepted or rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from .. import review
from ..review import SuggestedTag, Suggestion
from ..settings.fields import GENERAL
from ..verdicts import APPLIED, REJECTED
from ..vocabulary import TagName, tag_name
from .access import VIEW, current_state
from .display import translated
from .field import explain_url
from .form import can_be_trusted, guard_fields, token_form, too_old
from .page import base_context, without_key
from .saved import Saved, left_sentences, row_number
from .scope import Scope
from .text import gettext

#: Tags, and images of one tag, on a page.
_TAGS, _IMAGES = 50, 24
#: Begins the names of the fields that decide about an image.
_IMAGE = "image."
_ACCEPT, _REJECT = "accept", "reject"
_STATES = {_ACCEPT: APPLIED, _REJECT: REJECTED}
#: Buttons that decide about the images of the page on which nothing was chosen.
_REST = {"accept_rest": _ACCEPT, "reject_rest": _REJECT}


@dataclass(frozen=True)
class TagList:
    """The tags that are suggested in an instance: one page of them.

    :param number: of the page, from 1.
    :param has_more: whether there is a page after it.
    :param suggests: whether the settings let anything be suggested.
    """

    scope: Scope
    tags: Sequence[SuggestedTag]
    number: int
    has_more: bool
    suggests: bool
    notices: Sequence[str] = ()
    saved: Saved | None = None

    @property
    def threshold_url(self) -> str | None:
        """Where the suggestion threshold is set, if the user may see that."""
        if not self.scope.may(VIEW):
            return None
        return f"{self.scope.url}#autotag-{GENERAL.name}suggestion-threshold"

    @property
    def guard_fields(self) -> Mapping[str, str]:
        """What a form holds unseen."""
        return guard_fields()


@dataclass
class ReviewPage:
    """The images for which one tag is suggested, while the page is made.

    :param before: row of the asset before this page; ``None`` on the first.
    :param chosen: what was chosen, by the asset's row, where the form comes back.
    """

    scope: Scope
    tag: SuggestedTag
    found: Sequence[Suggestion]
    before: int | None = None
    chosen: Mapping[int, str] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)
    notices: Sequence[str] = ()
    saved: Saved | None = None

    @property
    def suggestions(self) -> Sequence[Suggestion]:
        """Those that the page shows."""
        return self.found[:_IMAGES]

    @property
    def next_before(self) -> int | None:
        """Where the page after this one begins, if there is one."""
        return self.found[_IMAGES - 1].row if len(self.found) > _IMAGES else None

    @property
    def may_save(self) -> bool:
        """Whether forms can be protected."""
        return can_be_trusted()

    @property
    def guard_fields(self) -> Mapping[str, str]:
        """What a form holds unseen."""
        return guard_fields()

    def picture(self, one: Suggestion) -> str | None:
        """Give the address of a small picture, if the host knows one."""
        find = current_state().hooks.image_url
        return find(one.asset) if find else None

    def explain_url(self, one: Suggestion) -> str:
        """Give the address of the page that explains the tags of an image."""
        return explain_url(one.asset, self.scope.instance)

    def provider(self, one: Suggestion) -> str:
        """Name who suggests it."""
        for section in current_state().sections:
            if section.name == one.provider:
                return gettext(section.title)
        return one.provider


def review_page(scope: Scope) -> ResponseReturnValue:
    """Answer a request for the suggestions of an instance."""
    if request.method == "POST":
        return _answer(scope)
    saved = Saved.read(request.args)
    key = request.args.get("tag")
    if key is None:
        return _show_tags(scope, saved)
    page = _read_page(scope, key, _before(request.args))
    page.notices, page.saved = _told(saved, page.tag), saved
    return _show(page)


def _show_tags(scope: Scope, saved: Saved | None) -> str:
    state = current_state()
    number = max(1, request.args.get("page", 1, int))

    def work(session: Session) -> list[SuggestedTag]:
        return review.suggested_tags(
            session,
            state.database.models,
            scope.instance,
            _TAGS + 1,
            min((number - 1) * _TAGS, 2**31),
        )

    tags = state.database.transact(work)
    threshold = state.settings_for(scope.instance).suggestion_threshold
    page = TagList(
        scope,
        tags[:_TAGS],
        number,
        len(tags) > _TAGS,
        suggests=threshold < 1,
        notices=_told(saved, None),
        saved=saved,
    )
    return render_template("autotag/review.html", autotag_page=page, **base_context())


def _read_page(scope: Scope, key: str, before: int | None) -> ReviewPage:
    state, name = current_state(), _read_name(key)

    def work(session: Session) -> ReviewPage:
        models, instance = state.database.models, scope.instance
        tag = review.suggested_tag(session, models, instance, name.key)
        if tag is None:
            return ReviewPage(scope, SuggestedTag(name, 0), [])
        found = review.suggestions(
            session, models, instance, name.key, _IMAGES + 1, before
        )
        return ReviewPage(scope, tag, found, before)

    return state.database.transact(work)


def _read_name(text: str) -> TagName:
    try:
        return tag_name(text)
    except ValueError:
        return TagName("", gettext("No tag"))


def _show(page: ReviewPage) -> str:
    if not page.may_save:
        page.alerts.append(without_key())
    return render_template(
        "autotag/review_tag.html", autotag_page=page, **base_context()
    )


def _told(saved: Saved | None, tag: SuggestedTag | None) -> list[str]:
    """Say what came of the last form."""
    if saved is not None:
        sentences = saved.sentences
        if tag is not None and saved.decided.tag != tag.name.key:
            sentences.append(gettext("That tag is done; this is the next one."))
        return sentences
    undone = request.args.get("undone", type=int)
    if undone is None:
        return []
    back = gettext("Suggestions that are back: %(number)s.", number=undone)
    return [back, *left_sentences(request.args.get("left", 0, int))]


def _answer(scope: Scope) -> ResponseReturnValue:
    command = request.form.get("command", "save")
    if command not in ("save", "undo", *_REST):
        abort(400, gettext("The form has a button that does not belong to it."))
    if command == "undo":
        return _undo(scope)
    chosen = _chosen()
    page = _read_page(scope, request.form.get("tag", ""), _before(request.form))
    page.chosen = chosen
    if not token_form().validate():
        page.alerts.append(translated(too_old()))
        return _show(page), 400
    rest = _REST.get(command)
    wanted = {
        row: _STATES[choice or rest or ""]
        for row, choice in chosen.items()
        if choice or rest
    }
    if not wanted:
        page.alerts.append(gettext("Choose for one image at least, then save."))
        return _show(page), 422
    return _save(page, wanted)


def _save(page: ReviewPage, wanted: Mapping[int, str]) -> ResponseReturnValue:
    state, instance = current_state(), page.scope.instance
    models, key = state.database.models, page.tag.name.key
    who = state.hooks.user_name()

    def work(session: Session) -> dict[str, str | int]:
        decided = review.decide_as_seen(
            session, models, instance, page.tag.name, wanted, who
        )
        left = len(wanted) - len(decided.accepted) - len(decided.rejected)
        marks = Saved(decided, left).marks
        if review.suggestions(session, models, instance, key, 1, page.before):
            at = {} if page.before is None else {"before": page.before}
            return {"tag": key, **at, **marks}
        # What was passed over before comes again, and else what is suggested most.
        if review.suggestions(session, models, instance, key, 1):
            return {"tag": key, **marks}
        further = review.suggested_tags(session, models, instance, 1)
        return {**({"tag": further[0].name.key} if further else {}), **marks}

    return _lead(page.scope, state.database.transact(work))


def _undo(scope: Scope) -> ResponseReturnValue:
    state, saved = current_state(), Saved.read(request.form)
    if saved is None or not saved.can_be_undone:
        abort(400, gettext("The form is incomplete. Reload the page and try again."))
    decided, who = saved.decided, state.hooks.user_name()
    if not token_form().validate():
        page = _read_page(scope, decided.tag, None)
        page.alerts.append(translated(too_old()))
        return _show(page), 400
    back = state.database.transact(
        lambda session: review.put_back(
            session, state.database.models, scope.instance, decided, who
        )
    )
    left = len(decided.accepted) + len(decided.rejected) - back
    return _lead(scope, {"tag": decided.tag, "undone": back, "left": left})


def _lead(scope: Scope, marks: Mapping[str, str | int]) -> ResponseReturnValue:
    url = url_for(
        "autotag_instance.review",
        instance=scope.instance,
        **marks,  # type: ignore[arg-type]
    )
    return redirect(url, 303)


def _chosen() -> dict[int, str]:
    """Read what was chosen for each image of the page; "" where nothing was."""
    chosen: dict[int, str] = {}
    for name, value in request.form.items():
        if not name.startswith(_IMAGE):
            continue
        try:
            row = row_number(name.removeprefix(_IMAGE))
        except ValueError:
            row = -1
        if row < 0 or value not in (*_STATES, "") or len(chosen) == _IMAGES:
            abort(
                400, gettext("The form is incomplete. Reload the page and try again.")
            )
        chosen[row] = value
    return chosen


def _before(values: Mapping[str, str]) -> int | None:
    try:
        return row_number(values.get("before", ""))
    except ValueError:
        return None
