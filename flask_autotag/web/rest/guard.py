"""Access to the API: the authorizer decides, and forged requests are refused."""

from __future__ import annotations

from flask import request
from flask.typing import ResponseReturnValue

from ...host.assets import SYSTEM
from ..access import VIEW_TAGS, check_access, instances, may_somewhere
from .problems import Problem

#: The header that every request with changes must have. A form of another site cannot
#: set it, and a script of another site needs permission first (CORS), which is never
#: given.
HEADER = "X-Requested-With"

_REFUSAL = "Your account may not do this."


def admit_to(action: str, instance: str) -> ResponseReturnValue | None:
    """Return the response that refuses the user, or ``None`` if the user may pass.

    :raises werkzeug.exceptions.Forbidden: if the authorizer has no response of its own.
    :raises Problem: if the user is authorized, but there is no such instance.
    """
    refusal = check_access(action, instance, _REFUSAL)
    if refusal is None and instance not in instances():
        raise Problem(404, "There is no instance of this name.", "instance")
    return refusal


def admit_to_description() -> ResponseReturnValue | None:
    """Refuse a user who may see no tags; see :func:`admit_to`."""
    if may_somewhere(VIEW_TAGS):
        return None
    return check_access(VIEW_TAGS, SYSTEM, _REFUSAL)


def refuse_forged() -> None:
    """Refuse a request that a page of another site could have sent for the user.

    :raises Problem: if the header :data:`HEADER` is missing.
    """
    if not request.headers.get(HEADER):
        raise Problem(
            403, f"A request that changes something needs the header {HEADER}."
        )
