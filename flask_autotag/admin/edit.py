"""Deciding about a tag of one image, from any page that shows its tags."""

from __future__ import annotations

from flask import abort, get_template_attribute, redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from .. import decisions, review
from ..assets import AssetRef
from ..checks import CheckError
from ..completion import words_to_add
from ..vocabulary import NAME_LENGTH, TagName, tag_name
from .access import current_state
from .decision import CHOICES, Choice
from .display import translated
from .exchange import local_path, wants_json
from .explanation import show_explanation
from .field import ImageTags, explain_url
from .form import token_form, too_old
from .reference import read_signed
from .scope import Scope
from .text import gettext

#: Words that are offered for what is typed.
_OFFERED = 10


def edit(scope: Scope) -> ResponseReturnValue:
    """Do what the button of a form says, and lead back to the page that has it."""
    asset = read_signed(request.form.get("image", ""), scope.instance)
    pressed = next((name for name in CHOICES if name in request.form), None)
    if asset is None or pressed is None:
        abort(400, gettext("The form is incomplete. Reload the page and try again."))
    if not token_form().validate():
        return _refuse(scope, asset, translated(too_old()), 400)
    try:
        name = _read_name(request.form[pressed])
    except CheckError as error:
        return _refuse(scope, asset, translated(error), 422)
    choice = CHOICES[pressed]
    if not _decide(scope, asset, name, choice):
        sentence = choice.excuse(name.name, applied=_has(scope, asset, name))
        return _refuse(scope, asset, sentence, 409)
    if wants_json():
        return _answer(scope, asset, message=choice.sentence(name.name))
    back = local_path(request.form.get("next"))
    told = {"done": pressed, "tag": name.name}
    return redirect(back or explain_url(asset, scope.instance, **told), 303)


def complete(scope: Scope) -> ResponseReturnValue:
    """Offer words of an instance that begin with what is typed."""
    try:
        start = tag_name(request.args.get("q", "")).key
    except ValueError:
        return {"words": []}
    state = current_state()

    def work(session: Session) -> list[str]:
        models, connection = state.database.models, session.connection()
        return words_to_add(connection, models, scope.instance, start, _OFFERED)

    return {"words": state.database.transact(work)}


def _read_name(text: str) -> TagName:
    if not text.strip():
        raise CheckError("Type a tag first.")
    try:
        return tag_name(text)
    except ValueError:
        raise CheckError(
            "A tag needs a name of 1 to %(most)s characters.", most=NAME_LENGTH
        ) from None


def _decide(scope: Scope, asset: AssetRef, name: TagName, choice: Choice) -> bool:
    """Decide in one transaction.

    :return: whether the tag stood as the user saw it.
    """
    state = current_state()
    models, instance = state.database.models, scope.instance
    who = state.hooks.user_name()

    def work(session: Session) -> bool:
        if choice.standing is None:
            decisions.decide(
                session.connection(), models, asset, instance, name, choice.state, who
            )
            return True
        row = review.row_of(session, models, asset, instance)
        wanted = {} if row is None else {row: choice.state}
        decided = review.decide_as_seen(
            session, models, instance, name, wanted, who, choice.standing
        )
        return bool(decided.accepted or decided.rejected)

    return state.database.transact(work)


def _has(scope: Scope, asset: AssetRef, name: TagName) -> bool:
    """Whether an image has a tag now."""
    tags = ImageTags(asset, scope.instance, is_fresh=True).tags
    return name.key in {tag_name(tag.name).key for tag in tags}


def _refuse(
    scope: Scope, asset: AssetRef, sentence: str, status: int
) -> ResponseReturnValue:
    if wants_json():
        return _answer(scope, asset, error=sentence), status
    back = local_path(request.form.get("next"))
    return show_explanation(scope, asset, alert=sentence, back=back), status


def _answer(scope: Scope, asset: AssetRef, **told: str) -> dict[str, object]:
    """Tell a script how the parts of its page look now."""
    back = local_path(request.form.get("next"))
    image = ImageTags(asset, scope.instance, back, is_fresh=True)
    parts = {
        part: str(get_template_attribute("autotag/_image.html", part)(image))
        for part in ("field", "strip")
    }
    return {**told, "image": image.id, "parts": parts}
