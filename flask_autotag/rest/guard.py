"""Who gets in: whom the authorizer lets, and nothing that another site made."""

from __future__ import annotations

from flask import request
from flask.typing import ResponseReturnValue

from ..admin.access import VIEW_TAGS, admit, instances, may
from ..assets import SYSTEM
from .problems import Problem

#: Must be on every request that changes something. A form on another site cannot set
#: it, and a script there has to ask first (CORS), to which nothing here says yes.
HEADER = "X-Requested-With"

_REFUSAL = "Your account may not do this."


def admit_to(action: str, instance: str) -> ResponseReturnValue | None:
    """Let the user through to an instance, or say what to answer.

    :return: ``None`` if the user may; else the authorizer's own response.
    :raises werkzeug.exceptions.Forbidden: if it has none.
    :raises Problem: if the user may, but there is no such instance.
    """
    refusal = admit(action, instance, _REFUSAL)
    if refusal is None and instance not in instances():
        raise Problem(404, "There is no instance of this name.", "instance")
    return refusal


def admit_to_description() -> ResponseReturnValue | None:
    """Let through who may see the tags of anything."""
    if may(VIEW_TAGS, SYSTEM) or any(may(VIEW_TAGS, each) for each in instances()):
        return None
    return admit(VIEW_TAGS, SYSTEM, _REFUSAL)


def refuse_forged() -> None:
    """Refuse what a page of another site could have sent in the user's name.

    :raises Problem: if the header is missing.
    """
    if not request.headers.get(HEADER):
        raise Problem(
            403, f"A request that changes something needs the header {HEADER}."
        )
