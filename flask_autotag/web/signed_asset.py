"""Signs the image of a form, so that the form cannot be used for another image.

A host shows a form beside an image that its user may see. The signature keeps that user
from tagging images that they may not see, and keeps other users from sending the form.
It expires with the form. The signed value is the key of the image's row: keys are never
reused, so a form for a deleted image names no other one.
"""

from __future__ import annotations

import secrets
from hashlib import sha256

from flask import current_app, session
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from ..settings.checks import CheckError
from .access import current_state

_SALT = "flask_autotag.image"
#: The session's key for a random text that identifies the session.
_VISITOR = "flask_autotag.visitor"
#: Seconds for which a form is valid by default, as in Flask-WTF.
_TIME_LIMIT = 3600


def can_sign() -> bool:
    """Whether the application has a ``SECRET_KEY`` to sign with."""
    return bool(current_app.secret_key)


def sign(row: int, instance: str) -> str:
    """Return the signed name of an image, for a form of the current user.

    A user without a name is identified by the session, which is changed for this.

    :param row: key of the image's row.
    """
    if _user_name() is None:
        session.setdefault(_VISITOR, secrets.token_urlsafe(16))
    return str(_serializer().dumps([instance, row, _holder()]))


def read_signed(text: str, instance: str) -> int:
    """Return the key of the image's row from a text that :func:`sign` returned.

    The image may have been deleted since then.

    :raises CheckError: if the text was not signed for this instance and the current
        user, or is older than ``WTF_CSRF_TIME_LIMIT`` seconds.
    """
    if not can_sign():
        raise incomplete()
    most = current_app.config.get("WTF_CSRF_TIME_LIMIT", _TIME_LIMIT)
    try:
        signed_instance, row, holder = _serializer().loads(text, max_age=most)
    except SignatureExpired:
        raise CheckError(
            "The form is too old. Reload the page and try again."
        ) from None
    except BadSignature:
        raise incomplete() from None
    if signed_instance != instance:
        raise incomplete()
    if holder != _holder():
        raise CheckError(
            "The form was made for another user, or before you signed in. Reload the"
            " page and try again."
        )
    return int(row)


def incomplete() -> CheckError:
    """Return the error of a form that lacks a part or was tampered with."""
    return CheckError("The form is incomplete. Reload the page and try again.")


def _holder() -> str:
    """Return a digest of the current user's name, or of the session without one."""
    name = _user_name()
    who = ("session", session.get(_VISITOR)) if name is None else ("user", name)
    return sha256(repr(who).encode()).hexdigest()[:32]


def _user_name() -> str | None:
    return current_state().hooks.user_name() or None


def _serializer() -> URLSafeTimedSerializer:
    fallbacks = current_app.config.get("SECRET_KEY_FALLBACKS") or []
    # The last key signs; every key verifies.
    return URLSafeTimedSerializer([*fallbacks, current_app.secret_key], salt=_SALT)
