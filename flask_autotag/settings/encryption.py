"""Encryption of the secrets among the settings, with keys outside the database."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from .fields import Path
from .secret import Secret

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

#: Makes our keys differ from other keys that a host derives from the same secret.
_PURPOSE = b"flask-autotag settings 1"


class Sealer:
    """Encrypts with the first of several keys, and decrypts with any of them.

    Each encrypted text holds its instance, section and field, and opens only there:
    Fernet itself would accept a row that was copied over another one.

    :param secrets: texts of at least 16 random bytes, newest first. Without any,
        nothing can be encrypted.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)

    @property
    def is_ready(self) -> bool:
        """Whether there is a key."""
        return bool(self._secrets)

    def seal(self, instance: str, path: Path, secret: Secret) -> str:
        """Return a secret encrypted for one field of an instance.

        :raises ConfigurationError: if there is no key.
        """
        if not self.is_ready:
            raise ConfigurationError(
                "API keys cannot be stored: set AUTOTAG_SECRET_KEYS or SECRET_KEY."
            )
        content = {
            "place": [instance, *path],
            "text": secret.reveal(),
            "bound_to": secret.bound_to,
        }
        return self._fernet.encrypt(json.dumps(content).encode()).decode()

    def open(self, instance: str, path: Path, sealed: str) -> Secret:
        """Decrypt a text that was encrypted for this field of this instance.

        :return: an unreadable secret if the text cannot be decrypted or belongs to
            another field or instance.
        """
        from cryptography.fernet import InvalidToken

        if not self.is_ready:
            return Secret(None)
        try:
            content = json.loads(self._fernet.decrypt(sealed.encode()))
        except InvalidToken:
            return Secret(None)
        if content["place"] != [instance, *path]:
            return Secret(None)
        return Secret(content["text"], content["bound_to"])

    def rotate(self, sealed: str) -> str | None:
        """Return the text encrypted again, with the first key.

        :return: ``None`` if it cannot be decrypted.
        """
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.rotate(sealed.encode()).decode()
        except InvalidToken:
            return None

    @cached_property
    def _fernet(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet

        return MultiFernet([Fernet(_derive(secret)) for secret in self._secrets])


def sealer_for(
    secret_keys: Sequence[str] | None, app_config: Mapping[str, Any]
) -> Sealer:
    """Return a sealer with ``AUTOTAG_SECRET_KEYS``, or with the host's secret keys.

    Call it for each use: hosts may set ``SECRET_KEY`` after ``init_app``.

    :param secret_keys: the checked value of ``AUTOTAG_SECRET_KEYS``.
    """
    if secret_keys:
        return Sealer(secret_keys)
    own = (
        app_config.get("SECRET_KEY"),
        *(app_config.get("SECRET_KEY_FALLBACKS") or ()),
    )
    return Sealer([_text(secret) for secret in own if secret])


def _text(secret: str | bytes) -> str:
    return secret if isinstance(secret, str) else secret.hex()


def _derive(secret: str) -> bytes:
    """Derive a Fernet key from a secret by HKDF (RFC 5869) with SHA-256."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = HKDF(SHA256(), length=32, salt=None, info=_PURPOSE).derive(
        secret.encode()
    )
    return base64.urlsafe_b64encode(derived)
