"""Which image a form is about, signed, so that no other can be put in its place.

A host shows a form beside an image that its user may see. That user must not be able
to tag, with the same form, an image that he may not see.
"""

from __future__ import annotations

from flask import current_app
from itsdangerous import BadSignature, URLSafeSerializer

from ..assets import AssetRef

_SALT = "flask_autotag.image"


def can_sign() -> bool:
    """Whether the application has a ``SECRET_KEY`` to sign with."""
    return bool(current_app.secret_key)


def sign(asset: AssetRef, instance: str) -> str:
    """Name an image of an instance; the same image always has the same text."""
    return str(_serializer().dumps([instance, asset.type, asset.id]))


def read_signed(text: str, instance: str) -> AssetRef | None:
    """Read what :func:`sign` wrote; ``None`` if it was not for that instance."""
    if not can_sign():
        return None
    try:
        of, asset_type, asset_id = _serializer().loads(text)
    except BadSignature:
        return None
    return AssetRef(asset_type, asset_id) if of == instance else None


def _serializer() -> URLSafeSerializer:
    former = current_app.config.get("SECRET_KEY_FALLBACKS") or []
    # The last one signs; all of them are good.
    return URLSafeSerializer([*former, current_app.secret_key], salt=_SALT)
