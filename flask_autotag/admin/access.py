"""Who may open a page: whom the host's authorizer lets in, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from flask import abort, current_app, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from ..assets import DEFAULT_INSTANCE, SYSTEM
from ..state import State
from .text import gettext

#: The actions that an authorizer is asked about.
VIEW, CHANGE, TRY = "view_settings", "change_settings", "try_image"
#: Of these only the instances' tags are the object, and no settings.
REVIEW = "review_tags"
#: Those of the JSON API alone.
VIEW_TAGS, ENQUEUE = "view_tags", "enqueue"
#: That of metrics, of the system alone.
VIEW_METRICS = "view_metrics"

#: Where a request keeps the authorizer's answers.
_ANSWERS = "flask_autotag.answers"


def current_state() -> State:
    """Give what the extension keeps for the current application."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return cast(State, app.extensions["autotag"].state_of(app))


def may(action: str, instance: str) -> bool:
    """Whether the user may do that.

    :param instance: or :data:`.stored.SYSTEM`.
    """
    return _ask(action, instance) is True


def may_on_page(action: str, instance: str) -> bool:
    """Whether the user may, asked while a page of the host is rendered.

    An authorizer that aborts, as :func:`admit` lets it, says no: the page is for others
    too. It is not asked again for the next image of the page.
    """
    try:
        return may(action, instance)
    except HTTPException:
        _answers()[action, instance] = False
        return False


def admit(
    action: str, instance: str, sentence: str | None = None
) -> ResponseReturnValue | None:
    """Let the user through, or say what to answer.

    :param sentence: for who may not; by default one about the pages.
    :return: ``None`` if the user may; else the authorizer's own response.
    :raises werkzeug.exceptions.Forbidden: if it has none.
    """
    answer = _ask(action, instance)
    if answer is True:
        return None
    if answer and isinstance(answer, str | tuple | BaseResponse):
        return answer
    if sentence is None and action == REVIEW:
        sentence = gettext("Your account may not review these tags.")
    abort(403, sentence or gettext("Your account may not open these settings."))


def admit_somewhere() -> ResponseReturnValue | None:
    """Let through who may see any settings at all, or review the tags of anything."""
    if may(VIEW, SYSTEM):
        return None
    if any(may(VIEW, each) or may(REVIEW, each) for each in instances()):
        return None
    return admit(VIEW, SYSTEM)


def instances() -> Mapping[str, str]:
    """Give the instances that there are, and their titles."""
    lister = current_state().hooks.instance_lister
    if lister is None:
        return {name: name for name in sorted(_found())}
    listed = lister()
    if isinstance(listed, Mapping):
        return {str(name): str(title) for name, title in listed.items()}
    return {str(name): str(name) for name in listed}


def _found() -> set[str]:
    """Find the instances that have images or settings."""
    from ..reapply import instances_with_images

    state = current_state()
    models = state.database.models

    def work(session: Any) -> set[str]:
        stored = state.stored_settings().instances(session)
        return stored | instances_with_images(session, models)

    return {DEFAULT_INSTANCE} | state.database.transact(work)


def _ask(action: str, instance: str) -> Any:
    """Ask the authorizer, once a request: it may be slow."""
    authorizer = current_state().hooks.authorizer
    if authorizer is None:
        return False
    answers = _answers()
    if (action, instance) not in answers:
        tenant = None if instance == SYSTEM else instance
        answers[action, instance] = authorizer(action, tenant)
    return answers[action, instance]


def _answers() -> dict[tuple[str, str], Any]:
    """Give what the authorizer has answered in this request."""
    answers: dict[tuple[str, str], Any] = request.environ.setdefault(_ANSWERS, {})
    return answers
