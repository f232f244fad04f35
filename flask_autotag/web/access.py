"""Access to pages and endpoints: the host's authorizer decides about each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from flask import abort, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from ..db.errors import UNAVAILABLE_ERRORS
from ..host.application import current_application
from ..host.assets import DEFAULT_INSTANCE, SYSTEM
from ..runtime.state import State
from .translation import gettext

#: Actions on the settings of the system or of an instance.
VIEW, CHANGE, TRY = "view_settings", "change_settings", "try_image"
#: The action on the tags of an instance's images.
REVIEW = "review_tags"
#: Actions of the JSON API alone.
VIEW_TAGS, ENQUEUE = "view_tags", "enqueue"
#: The action of the metrics endpoint, for the system alone.
VIEW_METRICS = "view_metrics"

#: The key of the WSGI environment that keeps the authorizer's answers.
_ANSWERS = "flask_autotag.answers"


def current_state() -> State:
    """Return the extension's state for the current application."""
    app = current_application()
    return cast(State, app.extensions["autotag"].state_of(app))


def may(action: str, instance: str) -> bool:
    """Whether the authorizer allows the user an action.

    :param instance: or :data:`.SYSTEM`.
    """
    return _ask(action, instance) is True


def may_on_page(action: str, instance: str) -> bool:
    """Return :func:`may` while a page of the host is rendered.

    An authorizer that aborts counts as a no, because the user may see the rest of the
    page. It is not asked again for the page's next image.
    """
    try:
        return may(action, instance)
    except HTTPException:
        _answers()[action, instance] = False
        return False


def check_access(
    action: str, instance: str, sentence: str | None = None
) -> ResponseReturnValue | None:
    """Return the response that refuses the user, or ``None`` if the user may pass.

    :param sentence: the description of the error 403; by default one about the pages.
    :return: the authorizer's own response, such as a redirect to the sign-in page.
    :raises werkzeug.exceptions.Forbidden: if the authorizer has no response of its own.
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
    """Refuse a user who may neither see any settings nor review any tags.

    See :func:`check_access` for the return value and the error.
    """
    if may(VIEW, SYSTEM):
        return None
    if any(may(VIEW, each) or may(REVIEW, each) for each in _instances_to_ask()):
        return None
    return check_access(VIEW, SYSTEM)


def may_somewhere(action: str) -> bool:
    """Whether the user is allowed an action for the system or for any instance."""
    return may(action, SYSTEM) or any(may(action, each) for each in _instances_to_ask())


def is_admitted() -> bool:
    """Whether the authorizer has allowed the user anything in this request."""
    return any(answer is True for answer in _answers().values())


def _instances_to_ask() -> Iterable[str]:
    """Return the instances, or the default one if the database is unavailable.

    A user without any rights is then refused by the authorizer, and does not learn
    about the state of the database.
    """
    try:
        return instances()
    except UNAVAILABLE_ERRORS:
        return (DEFAULT_INSTANCE,)


def instances() -> Mapping[str, str]:
    """Return the titles of all instances, by name."""
    lister = current_state().hooks.instance_lister
    if lister is None:
        return {name: name for name in sorted(_found())}
    listed = lister()
    if isinstance(listed, Mapping):
        return {str(name): str(title) for name, title in listed.items()}
    return {str(name): str(name) for name in listed}


def _found() -> set[str]:
    """Return the default instance and those with images or settings."""
    from ..tags.reapply import instances_with_images

    state = current_state()
    models = state.database.models

    def work(session: Any) -> set[str]:
        stored = state.stored_settings().instances(session)
        return stored | instances_with_images(session, models)

    return {DEFAULT_INSTANCE} | state.database.transact(work)


def _ask(action: str, instance: str) -> Any:
    """Return the authorizer's answer, asking only once a request: it may be slow."""
    authorizer = current_state().hooks.authorizer
    if authorizer is None:
        return False
    answers = _answers()
    if (action, instance) not in answers:
        tenant = None if instance == SYSTEM else instance
        answers[action, instance] = authorizer(action, tenant)
    return answers[action, instance]


def _answers() -> dict[tuple[str, str], Any]:
    """Return the authorizer's answers in this request."""
    answers: dict[tuple[str, str], Any] = request.environ.setdefault(_ANSWERS, {})
    return answers
