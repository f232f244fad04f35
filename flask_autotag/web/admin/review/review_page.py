"""The page of review: suggestions, tag by tag, to be accepted or rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from ....settings.fields import GENERAL
from ....settings.tag_names import TagName, tag_name
from ....tags import review
from ....tags.review import SuggestedTag, Suggestion
from ...access import VIEW, current_state
from ...translation import gettext
from ..form import can_be_trusted, refuse_button, refuse_incomplete, whole_number
from ..page import FormPage
from ..scope import Scope
from .image_tags import explain_url
from .review_form import REST, ReviewForm
from .saved import Saved, UndoForm, left_sentences

#: The most tags on a page, and the most images of one tag.
_TAGS, _IMAGES = 50, 24


@dataclass(kw_only=True)
class TagList(FormPage):
    """One page of the tags that are suggested in an instance.

    :param number: the number of the page, from 1.
    :param has_more: whether another page follows.
    :param suggests: whether the settings allow suggestions.
    :param saved: the decisions of the last form.
    """

    template = "autotag/review.html"

    tags: Sequence[SuggestedTag]
    number: int
    has_more: bool
    suggests: bool
    saved: Saved | None

    @property
    def threshold_url(self) -> str | None:
        """The address of the suggestion threshold, if the user may see the settings."""
        if not self.scope.may(VIEW):
            return None
        return f"{self.scope.url}#autotag-{GENERAL.name}suggestion-threshold"


@dataclass(kw_only=True)
class ReviewPage(FormPage):
    """The images for which one tag is suggested, while the page is rendered.

    :param found: the page's suggestions, and one more if another page follows.
    :param before: the row of the asset before this page; ``None`` on the first.
    :param chosen: the choices of a form that is shown again, by the asset's row.
    :param saved: the decisions of the last form.
    """

    template = "autotag/review_tag.html"

    tag: SuggestedTag
    found: Sequence[Suggestion]
    before: int | None = None
    chosen: Mapping[int, str] = field(default_factory=dict)
    saved: Saved | None = None

    @property
    def form(self) -> ReviewForm:
        """The form, with the choices that are shown again."""
        place = {"tag": self.tag.name.key, "before": self.before}
        return ReviewForm(None, data={**place, "image": self.chosen})

    @property
    def suggestions(self) -> Sequence[Suggestion]:
        """The suggestions on the page."""
        return self.found[:_IMAGES]

    @property
    def next_before(self) -> int | None:
        """The parameter ``before`` of the next page, if there is one."""
        return self.found[_IMAGES - 1].row if len(self.found) > _IMAGES else None

    @property
    def may_save(self) -> bool:
        """Whether forms can be protected."""
        return can_be_trusted()

    def explain_url(self, suggestion: Suggestion) -> str:
        """Return the address of the page that explains the tags of an image."""
        return explain_url(suggestion.asset, self.scope.instance)


def review_page(scope: Scope) -> ResponseReturnValue:
    """Answer a request for the suggestions of an instance."""
    if request.method == "POST":
        return _answer(scope, ReviewForm())
    saved = Saved.read(request.args)
    key = request.args.get("tag")
    if key is None:
        return _list_tags(scope, saved).render()
    page = _read_page(scope, key, request.args.get("before", type=whole_number))
    page.notices, page.saved = _outcome(saved, page.tag), saved
    return page.render()


def _list_tags(scope: Scope, saved: Saved | None) -> TagList:
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
    return TagList(
        scope,
        tags=tags[:_TAGS],
        number=number,
        has_more=len(tags) > _TAGS,
        suggests=threshold < 1,
        notices=_outcome(saved, None),
        saved=saved,
    )


def _read_page(scope: Scope, key: str, before: int | None) -> ReviewPage:
    state, name = current_state(), _read_name(key)

    def work(session: Session) -> ReviewPage:
        models, instance = state.database.models, scope.instance
        tag = review.suggested_tag(session, models, instance, name.key)
        if tag is None:
            return ReviewPage(scope, tag=SuggestedTag(name, 0), found=[])
        found = review.suggestions(
            session, models, instance, name.key, _IMAGES + 1, before
        )
        return ReviewPage(scope, tag=tag, found=found, before=before)

    page = state.database.transact(work)
    page.warn_without_key()
    return page


def _read_name(text: str) -> TagName:
    try:
        return tag_name(text)
    except ValueError:
        return TagName("", gettext("No tag"))


def _outcome(saved: Saved | None, tag: SuggestedTag | None) -> list[str]:
    """Return the outcome of the last form, or nothing."""
    if saved is not None:
        sentences = saved.sentences
        if tag is not None and saved.decided.tag != tag.name.key:
            sentences.append(gettext("That tag is done. This is the next one."))
        return [" ".join(sentences)]
    undone = request.args.get("undone", type=int)
    if undone is None:
        return []
    restored = gettext("Restored suggestions: %(number)s.", number=undone)
    left = left_sentences(request.args.get("left", 0, int))
    return [" ".join([restored, *left])]


def _answer(scope: Scope, form: ReviewForm) -> ResponseReturnValue:
    command = form.command.data
    if command == "undo":
        return _undo(scope, UndoForm())
    if command not in ("save", *REST):
        refuse_button()
    if not form.image.validate(form) or len(form.image.data) > _IMAGES:
        refuse_incomplete()
    page = _read_page(scope, form.tag.data or "", form.before.data)
    page.chosen = form.image.data
    if not form.has_valid_token:
        return page.refuse_token()
    wanted = form.wanted
    if not wanted:
        page.alerts.append(gettext("Choose for at least one image, then save."))
        return page.render(), 422
    return _save(page, wanted)


def _save(page: ReviewPage, wanted: Mapping[int, str]) -> ResponseReturnValue:
    state, instance = page.state, page.scope.instance
    models, key = state.database.models, page.tag.name.key
    stored, who = state.stored_settings(), page.user

    def work(session: Session) -> dict[str, str | int]:
        decided = review.decide_if_unchanged(
            session, stored, instance, page.tag.name, wanted, who
        )
        left = len(wanted) - len(decided.accepted) - len(decided.rejected)
        marks = Saved(decided, left).marks
        if review.suggestions(session, models, instance, key, 1, page.before):
            place = {} if page.before is None else {"before": page.before}
            return {"tag": key, **place, **marks}
        # Go back to images that were left out before, then to the next tag.
        if review.suggestions(session, models, instance, key, 1):
            return {"tag": key, **marks}
        tags = review.suggested_tags(session, models, instance, 1)
        return {**({"tag": tags[0].name.key} if tags else {}), **marks}

    marks = state.database.transact(work)
    return redirect(page.scope.url_for("review", **marks), 303)


def _undo(scope: Scope, form: UndoForm) -> ResponseReturnValue:
    if form.saved is None:
        refuse_incomplete()
    state, decided = current_state(), form.saved.decided
    if not form.has_valid_token:
        return _read_page(scope, decided.tag, None).refuse_token()
    who = state.hooks.user_name()
    restored = state.database.transact(
        lambda session: review.undo(
            session, state.stored_settings(), scope.instance, decided, who
        )
    )
    left = len(decided.accepted) + len(decided.rejected) - restored
    url = scope.url_for("review", tag=decided.tag, undone=restored, left=left)
    return redirect(url, 303)
