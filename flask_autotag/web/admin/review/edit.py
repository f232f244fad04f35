"""Takes decisions about a tag of one image, from any page that shows its tags."""

from __future__ import annotations

from flask import abort, get_template_attribute, redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from ....host.assets import AssetRef
from ....settings.checks import CheckError
from ....settings.tag_names import TagName, tag_name
from ....tags import deciding, review
from ....tags.asset_rows import find_asset, lock_assets
from ....tags.queries.autocomplete import words_to_add
from ...access import current_state
from ...responses import wants_json
from ...translation import gettext
from ..form import too_old
from ..scope import Scope
from ..setting_text import translated
from .choice import ACTIONS, ReviewAction
from .edit_form import EditForm
from .explanation_page import show_explanation
from .image_tags import ImageTags, explain_url
from .pinning import pin_one

#: The most completions of a word.
_OFFERED = 10


def edit(scope: Scope) -> ResponseReturnValue:
    """Carry out the decision of a form, and redirect to the page that contains it."""
    form = EditForm()
    try:
        row, pressed = form.row(scope.instance), form.pressed
    except CheckError as error:
        return _refuse_form(form, translated(error), 400)
    asset = _find(scope, row)
    if asset is None:
        return _refuse_form(form, _gone(), 404)
    if not form.has_valid_token:
        return _refuse(scope, form, asset, translated(too_old()), 400)
    try:
        name = form.tag()
    except CheckError as error:
        return _refuse(scope, form, asset, translated(error), 422)
    choice = ACTIONS[pressed]
    is_done = _decide(scope, row, name, choice)
    if is_done is None:
        return _refuse_form(form, _gone(), 404)
    if not is_done:
        is_late = choice.is_pinned is None and _has(scope, asset, name)
        sentence = choice.excuse(name.name, applied=is_late)
        return _refuse(scope, form, asset, sentence, 409)
    if wants_json():
        return _answer(scope, form, asset, message=choice.sentence(name.name))
    notice = {"done": pressed, "tag": name.name}
    return redirect(form.back or explain_url(asset, scope.instance, **notice), 303)


def complete(scope: Scope) -> ResponseReturnValue:
    """Return words of an instance that begin with the typed text, as JSON."""
    try:
        start = tag_name(request.args.get("q", "")).key
    except ValueError:
        return {"words": []}
    state = current_state()

    def work(session: Session) -> list[str]:
        models, connection = state.database.models, session.connection()
        return words_to_add(connection, models, scope.instance, start, _OFFERED)

    return {"words": state.database.transact(work)}


def _find(scope: Scope, row: int) -> AssetRef | None:
    """Return the image of a row, or ``None`` if it was deleted."""
    database = current_state().database
    return database.transact(
        lambda session: find_asset(session, database.models, row, scope.instance)
    )


def _decide(scope: Scope, row: int, name: TagName, choice: ReviewAction) -> bool | None:
    """Store a decision in one transaction.

    :return: whether the tag was still in the state that the user saw; ``None`` if the
        image was deleted meanwhile.
    """
    state = current_state()
    models, instance = state.database.models, scope.instance
    stored, who = state.stored_settings(), state.hooks.user_name()

    def work(session: Session) -> bool | None:
        asset = lock_assets(session, models, instance, [row]).get(row)
        if asset is None:
            return None
        if choice.is_pinned is not None:
            return pin_one(
                session, stored, asset, instance, name, who, is_pinned=choice.is_pinned
            )
        if choice.standing is None:
            deciding.decide(
                session.connection(), stored, asset, instance, name, choice.state, who
            )
            return True
        decided = review.decide_if_unchanged(
            session, stored, instance, name, {row: choice.state}, who, choice.standing
        )
        return bool(decided.accepted or decided.rejected)

    return state.database.transact(work)


def _has(scope: Scope, asset: AssetRef, name: TagName) -> bool:
    """Whether an image has a tag according to the database."""
    tags = ImageTags(asset, scope.instance, is_fresh=True).tags
    return name.key in {tag_name(tag.name).key for tag in tags}


def _gone() -> str:
    return gettext("This image no longer exists. Reload the page.")


def _refuse_form(form: EditForm, sentence: str, status: int) -> ResponseReturnValue:
    """Refuse a form that names no image, without rendering a new one."""
    if wants_json():
        return {"error": sentence}, status
    if form.typed:
        reminder = gettext("You had typed “%(text)s”.", text=form.typed)
        sentence = f"{sentence} {reminder}"
    abort(status, sentence)


def _refuse(
    scope: Scope, form: EditForm, asset: AssetRef, sentence: str, status: int
) -> ResponseReturnValue:
    if wants_json():
        return _answer(scope, form, asset, error=sentence), status
    return show_explanation(scope, asset, alert=sentence, back=form.back), status


def _answer(
    scope: Scope, form: EditForm, asset: AssetRef, **message: str
) -> dict[str, object]:
    """Return the current HTML of a page's parts, for a script."""
    image = ImageTags(asset, scope.instance, form.back, is_fresh=True)
    parts = {
        part: str(get_template_attribute("autotag/_image.html", part)(image))
        for part in ("field", "strip")
    }
    return {**message, "image": image.id, "parts": parts}
